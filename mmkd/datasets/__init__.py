"""Data sets of the papers that mmpretrain, mmdet and mmseg lack; replayed views."""

from mmkd.datasets.archives import ARCHIVES, Archive
from mmkd.datasets.images import (
    CINIC10,
    MIT67,
    Stanford40,
    StanfordDogs,
    TinyImageNet,
)
from mmkd.datasets.view_sampler import ViewSampler
from mmkd.datasets.views import ReplayedViews

__all__ = [
    'ARCHIVES',
    'Archive',
    'CINIC10',
    'MIT67',
    'ReplayedViews',
    'Stanford40',
    'StanfordDogs',
    'TinyImageNet',
    'ViewSampler',
]
