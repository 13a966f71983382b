_base_ = [
    './student.py',
    '../../_base_/methods/cwd_seg.py',
    '../_runtime.py',
]
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher='{{ fileDirname }}/teacher.py',
    teacher_ckpt='{{$DEMO_TEACHER:demo_runs/seed0/seg/teacher/epoch_20.pth}}',
    terms=_base_.terms,
)
