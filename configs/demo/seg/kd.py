_base_ = [
    './student.py',
    '../../_base_/methods/kd_seg.py',
    '../_runtime.py',
]
# KD makes it worse on validation images, the less the smaller its weight; this is the
# smallest that was tried: see docs/results/embedded.md.
_base_.terms.loss_kd.weight = 0.1
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher='{{ fileDirname }}/teacher.py',
    teacher_ckpt='{{$DEMO_TEACHER:demo_runs/seed0/seg/teacher/epoch_20.pth}}',
    terms=_base_.terms,
)
