_base_ = [
    './student.py',
    '../../_base_/methods/kd_two_stage.py',
    '../_runtime.py',
]
# The best of 0.1, 1 and 10 times the usual weight on validation images: see
# benchmarks/embedded.
_base_.terms.loss_kd.weight = 10.0
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher='{{ fileDirname }}/teacher.py',
    teacher_ckpt='{{$DEMO_TEACHER:demo_runs/seed0/ins/teacher/epoch_20.pth}}',
    terms=_base_.terms,
)
