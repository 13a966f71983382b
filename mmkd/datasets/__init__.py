"""Data sets of the papers that mmpretrain, mmdet and mmseg lack."""

from mmkd.datasets.archives import ARCHIVES, Archive
from mmkd.datasets.images import (
    CINIC10,
    MIT67,
    Stanford40,
    StanfordDogs,
    TinyImageNet,
)

__all__ = [
    'ARCHIVES',
    'Archive',
    'CINIC10',
    'MIT67',
    'Stanford40',
    'StanfordDogs',
    'TinyImageNet',
]
