"""What methods add to a student: self-teachers, layers that stay in it."""

from mmkd.networks.frskd import FRSKDTeacher
from mmkd.networks.frskd_seg import FRSKDNeck, FRSKDNeckTeacher
from mmkd.networks.frskd_sla import FRSKDSLATeacher
from mmkd.networks.kd_layered import kd_layered
from mmkd.networks.letkd import KDLayer

__all__ = [
    'FRSKDNeck',
    'FRSKDNeckTeacher',
    'FRSKDSLATeacher',
    'FRSKDTeacher',
    'KDLayer',
    'kd_layered',
]
