_base_ = [
    './student.py',
    '../../_base_/methods/letkd_cls.py',
    '../_runtime.py',
]
_base_.student.layers.intermediate.update(after='backbone.layer3.0', templates=80)
_base_.student.layers.penultimate.update(templates=256)
_base_.terms.loss_intermediate.teacher = 'backbone.layer3.0'
codebook = '{{$DEMO_CODEBOOK:demo_runs/seed0/cls/letkd/codebook.pth}}'
_base_.terms.loss_intermediate.loss.codebook = codebook
_base_.terms.loss_penultimate.loss.codebook = codebook
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=dict(_base_.model, **_base_.student, of='ImageClassifier'),
    teacher='{{ fileDirname }}/teacher.py',
    teacher_ckpt='{{$DEMO_TEACHER:demo_runs/seed0/cls/teacher/epoch_40.pth}}',
    terms=_base_.terms,
)
