_base_ = ['./student.py', '../_runtime.py']
# FitNet (1412.6550): the student's last map, through a 1x1 convolution. Weight: the
# best of 0.1, 1, 10 and 100 on validation images, see benchmarks/embedded.
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher='{{ fileDirname }}/teacher.py',
    teacher_ckpt='{{$DEMO_TEACHER:demo_runs/seed0/cls/teacher/epoch_40.pth}}',
    terms=dict(
        loss_fitnet=dict(
            student='backbone[-1]',
            connector=dict(type='mmkd.Align'),
            loss=dict(type='mmkd.MSE'),
            weight=10.0,
        )
    ),
)
