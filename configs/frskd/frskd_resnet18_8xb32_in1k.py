_base_ = [
    'mmpretrain::resnet/resnet18_8xb32_in1k.py',
    '../_base_/methods/frskd.py',
    '../_base_/runtime.py',
]
# RECONSTRUCTION: the paper's width, weights and schedule for ImageNet are not known.
_base_.cls.teacher.width = 1.0
_base_.cls.terms.loss_kd.weight = 1.0
model = dict(_base_.cls, _delete_=True, student=_base_.model)
