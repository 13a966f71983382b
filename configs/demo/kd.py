_base_ = ['./student.py', '../_base_/methods/kd_cls.py', '../_base_/runtime.py']
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher='{{ fileDirname }}/teacher.py',
    teacher_ckpt='demo_runs/seed0/teacher/epoch_40.pth',
    # tau 4 with weight 1: what is usual for images of this size.
    terms=dict(
        loss_kd=dict(
            _base_.terms.loss_kd, loss=dict(type='mmkd.KD', tau=4.0), weight=1.0
        )
    ),
)
