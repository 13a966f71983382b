"""The networks that the papers of knowledge distillation train on small images."""

from mmkd.backbones.mobilenet import CifarMobileNetV2, MobileNetV1
from mmkd.backbones.resnet import CifarResNet, WideResNet
from mmkd.backbones.shufflenet import CifarShuffleNetV1, CifarShuffleNetV2
from mmkd.backbones.vgg import CifarVGG

__all__ = [
    'CifarMobileNetV2',
    'CifarResNet',
    'CifarShuffleNetV1',
    'CifarShuffleNetV2',
    'CifarVGG',
    'MobileNetV1',
    'WideResNet',
]
