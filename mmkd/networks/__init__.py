"""Larger trainable parts: self-teachers, and the networks that the KD papers use."""

from mmkd.networks.frskd import FRSKDSLATeacher, FRSKDTeacher
from mmkd.networks.frskd_seg import FRSKDNeck, FRSKDNeckTeacher
from mmkd.networks.letkd import KDLayer, kd_layered
from mmkd.networks.mobilenet import CifarMobileNetV2, MobileNetV1
from mmkd.networks.resnet import CifarResNet, WideResNet
from mmkd.networks.shufflenet import CifarShuffleNetV1, CifarShuffleNetV2
from mmkd.networks.vgg import CifarVGG

__all__ = [
    'CifarMobileNetV2',
    'CifarResNet',
    'CifarShuffleNetV1',
    'CifarShuffleNetV2',
    'CifarVGG',
    'FRSKDNeck',
    'FRSKDNeckTeacher',
    'FRSKDSLATeacher',
    'FRSKDTeacher',
    'KDLayer',
    'MobileNetV1',
    'WideResNet',
    'kd_layered',
]
