_base_ = [
    './student.py',
    '../../_base_/methods/kd_cls.py',
    '../_runtime.py',
]
# tau 4 is usual for images of this size. Weight: the best of 0.1, 1, 10 and 100 on
# validation images, see benchmarks/embedded.
_base_.terms.loss_kd.update(loss=dict(type='mmkd.KD', tau=4.0), weight=10.0)
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher='{{ fileDirname }}/teacher.py',
    teacher_ckpt='{{$DEMO_TEACHER:demo_runs/seed0/cls/teacher/epoch_40.pth}}',
    terms=_base_.terms,
)
