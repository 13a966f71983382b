_base_ = ['./student.py', '../_base_/methods/cwd_cls.py', '../_base_/runtime.py']
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher='{{ fileDirname }}/teacher.py',
    teacher_ckpt='demo_runs/seed0/teacher/epoch_40.pth',
    terms=_base_.terms,
)
