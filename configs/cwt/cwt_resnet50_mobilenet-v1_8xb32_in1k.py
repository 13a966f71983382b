_base_ = [
    '../_base_/students/mobilenet-v1_8xb32_in1k.py',
    '../_base_/methods/cwt.py',
    '../_base_/runtime.py',
]
model = dict(
    _base_.cls,
    _delete_=True,
    student=_base_.model,
    teacher='mmpretrain::resnet/resnet50_8xb32_in1k.py',
    teacher_ckpt='https://download.openmmlab.com/mmclassification/v0/resnet/resnet50_8xb32_in1k_20210831-ea4938fc.pth',
)
# RECONSTRUCTION: MGD's protocol.
optim_wrapper = dict(clip_grad=dict(max_norm=5))
