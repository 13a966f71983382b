_base_ = [
    '../_base_/students/wrn-40-1_1xb64_cifar100.py',
    '../_base_/methods/sakd.py',
    '../_base_/runtime.py',
]
model = dict(
    _base_.cifar,
    _delete_=True,
    student=_base_.model,
    teacher='{{ fileDirname }}/../_base_/students/wrn-40-2_1xb64_cifar100.py',
    # RepDistiller's file, converted: see tools/convert_repdistiller.py.
    teacher_ckpt='checkpoints/repdistiller/wrn_40_2.pth',
)
