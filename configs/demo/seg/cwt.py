_base_ = [
    './student.py',
    '../../_base_/methods/cwt_seg.py',
    '../_runtime.py',
]
# The loss is a sum over the map, here 100 times smaller than on Cityscapes. Ten times
# that was best on validation images: see docs/results/embedded.md.
_base_.terms.loss_cwt.weight = 2e-2
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher='{{ fileDirname }}/teacher.py',
    teacher_ckpt='{{$DEMO_TEACHER:demo_runs/seed0/seg/teacher/epoch_20.pth}}',
    terms=_base_.terms,
)
