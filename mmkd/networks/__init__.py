"""What methods add to a student: self-teachers, layers that stay in it."""

from mmkd.networks.frskd import FRSKDSLATeacher, FRSKDTeacher
from mmkd.networks.frskd_seg import FRSKDNeck, FRSKDNeckTeacher
from mmkd.networks.letkd import KDLayer, kd_layered

__all__ = [
    'FRSKDNeck',
    'FRSKDNeckTeacher',
    'FRSKDSLATeacher',
    'FRSKDTeacher',
    'KDLayer',
    'kd_layered',
]
