_base_ = [
    '../_base_/students/resnet18_1xb128_cifar100.py',
    '../_base_/methods/frskd.py',
    '../_base_/runtime.py',
]
model = dict(_base_.cls, _delete_=True, student=_base_.model)
