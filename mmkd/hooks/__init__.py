"""Hooks: what runs beside training."""

from mmkd.hooks.check_data import CheckData
from mmkd.hooks.checkpoints import CheckpointHook
from mmkd.hooks.describe_student import DescribeStudent
from mmkd.hooks.export_student import ExportStudent, student_checkpoint
from mmkd.hooks.gradient_share import GradientShare
from mmkd.hooks.seed_iterations import SeedIterations
from mmkd.hooks.train_preludes import TrainPreludes

__all__ = [
    'CheckData',
    'CheckpointHook',
    'DescribeStudent',
    'ExportStudent',
    'GradientShare',
    'SeedIterations',
    'TrainPreludes',
    'student_checkpoint',
]
