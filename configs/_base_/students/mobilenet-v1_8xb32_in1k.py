# MobileNetV1 with mmpretrain's recipe for ResNets, which CWT's and letKD's pairs have.
_base_ = [
    '../models/mobilenetv1.py',
    'mmpretrain::_base_/datasets/imagenet_bs32.py',
    'mmpretrain::_base_/schedules/imagenet_bs256.py',
    'mmpretrain::_base_/default_runtime.py',
]
