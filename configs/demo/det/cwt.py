_base_ = [
    './student.py',
    '../../_base_/methods/cwt_two_stage.py',
    '../_runtime.py',
]
# The loss is a sum over the map, and here maps are 500 times smaller than on COCO.
_base_.terms.loss_cwt.weight = 2.5e-4
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher='{{ fileDirname }}/teacher.py',
    teacher_ckpt='{{$DEMO_TEACHER:demo_runs/seed0/det/teacher/epoch_20.pth}}',
    terms=_base_.terms,
)
