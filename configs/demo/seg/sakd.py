_base_ = [
    './student.py',
    '../../_base_/methods/sakd_seg.py',
    '../_runtime.py',
]
# The best of 0.1, 1 and 10 times these weights on validation images: see
# docs/results/embedded.md.
_base_.terms.loss_match.weight, _base_.terms.loss_branch.weight = 1.0, 0.1
_base_.terms.loss_branch.loss.recipe.epochs = 3
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher='{{ fileDirname }}/teacher.py',
    teacher_ckpt='{{$DEMO_TEACHER:demo_runs/seed0/seg/teacher/epoch_20.pth}}',
    terms=_base_.terms,
)
