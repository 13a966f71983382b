_base_ = [
    '../_base_/students/wrn-40-1_1xb64_cinic10.py',
    '../_base_/methods/sakd.py',
    '../_base_/runtime.py',
]
# RECONSTRUCTION: the pair, and all numbers, which are CIFAR-100's.
model = dict(
    _base_.cifar,
    _delete_=True,
    student=_base_.model,
    teacher='{{ fileDirname }}/../_base_/students/wrn-40-2_1xb64_cinic10.py',
    teacher_ckpt='checkpoints/cinic10/wrn-40-2.pth',
)
