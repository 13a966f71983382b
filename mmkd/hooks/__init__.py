"""Hooks: what runs beside training."""

from mmkd.hooks.export_student import ExportStudent, student_checkpoint
from mmkd.hooks.seed_iterations import SeedIterations
from mmkd.hooks.train_branch import TrainBranch

__all__ = ['ExportStudent', 'SeedIterations', 'TrainBranch', 'student_checkpoint']
