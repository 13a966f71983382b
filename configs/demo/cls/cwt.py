_base_ = [
    './student.py',
    '../../_base_/methods/cwt_cls.py',
    '../_runtime.py',
]
# The loss is a sum over the map, and here maps are 16 times smaller than on ImageNet.
_base_.terms.loss_cwt.weight = 1e-3
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher='{{ fileDirname }}/teacher.py',
    teacher_ckpt='{{$DEMO_TEACHER:demo_runs/seed0/cls/teacher/epoch_40.pth}}',
    terms=_base_.terms,
)
