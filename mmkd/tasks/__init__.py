"""Tasks: one thin adapter each, the only place that imports the mm packages."""

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
