"""Tasks: one thin adapter each; the only files that import mmpretrain, mmdet or mmseg."""

from mmkd.tasks.base import Task
from mmkd.tasks.cls import ClassificationTask
from mmkd.tasks.det import DetectionTask
from mmkd.tasks.seg import SegmentationTask

__all__ = [
    'ClassificationTask',
    'DetectionTask',
    'SegmentationTask',
    'Task',
]
