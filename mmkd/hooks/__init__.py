"""Hooks: what runs beside training."""

from mmkd.hooks.export_student import ExportStudent, student_checkpoint
from mmkd.hooks.seed_iterations import SeedIterations

__all__ = ['ExportStudent', 'SeedIterations', 'student_checkpoint']
