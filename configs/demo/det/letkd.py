_base_ = [
    './student.py',
    '../../_base_/methods/letkd_two_stage.py',
    '../_runtime.py',
]
_base_.student.layers.intermediate.update(templates=80)
_base_.student.layers.penultimate.update(templates=256)
codebook = '{{$DEMO_CODEBOOK:demo_runs/seed0/det/letkd/codebook.pth}}'
_base_.terms.loss_intermediate.loss.codebook = codebook
_base_.terms.loss_penultimate.loss.codebook = codebook
# The best of 0.1, 1 and 10 times the usual weight on validation images: see
# benchmarks/embedded.
_base_.terms.loss_intermediate.weight = 0.1
_base_.terms.loss_penultimate.weight = 0.1
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=dict(_base_.model, **_base_.student, of='FasterRCNN'),
    teacher='{{ fileDirname }}/teacher.py',
    teacher_ckpt='{{$DEMO_TEACHER:demo_runs/seed0/det/teacher/epoch_20.pth}}',
    terms=_base_.terms,
)
