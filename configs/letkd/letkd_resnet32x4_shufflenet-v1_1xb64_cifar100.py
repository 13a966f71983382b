_base_ = [
    '../_base_/students/shufflenet-v1_1xb64_cifar100.py',
    '../_base_/methods/letkd.py',
    '../_base_/runtime.py',
]
_base_.cifar.terms.loss_intermediate.loss.codebook = (
    'codebooks/resnet32x4_cifar100_half.pth'
)
_base_.cifar.terms.loss_penultimate.loss.codebook = (
    'codebooks/resnet32x4_cifar100_half.pth'
)
model = dict(
    _base_.cifar,
    _delete_=True,
    student=dict(_base_.model, **_base_.cifar.student, of='ImageClassifier'),
    teacher='{{ fileDirname }}/../_base_/students/resnet32x4_1xb64_cifar100.py',
    teacher_ckpt='checkpoints/repdistiller/resnet32x4.pth',
)
# The authors': Nesterov, crops padded by reflection, and only full batches.
optim_wrapper = dict(optimizer=dict(nesterov=True))
train_dataloader = dict(drop_last=True)
_base_.train_dataloader.dataset.pipeline[0].padding_mode = 'reflect'
