_base_ = [
    './student.py',
    '../../_base_/methods/sakd_cls.py',
    '../_runtime.py',
]
stages = ['backbone.layer2', 'backbone.layer3']
_base_.terms.loss_match.update(student=stages)
_base_.terms.loss_branch.update(student=stages)
# The best of 0.01, 0.1, 1 and 10 times the usual weight on validation images: see
# benchmarks/embedded.
_base_.terms.loss_match.weight, _base_.terms.loss_branch.weight = 0.1, 0.01
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher='{{ fileDirname }}/teacher.py',
    teacher_ckpt='{{$DEMO_TEACHER:demo_runs/seed0/cls/teacher/epoch_40.pth}}',
    terms=_base_.terms,
)
