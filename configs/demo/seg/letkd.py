_base_ = [
    './student.py',
    '../../_base_/methods/letkd_seg.py',
    '../_runtime.py',
]
_base_.student.layers.intermediate.update(templates=88)  # 8 for each of 11 classes
_base_.student.layers.penultimate.update(templates=256)
codebook = '{{$DEMO_CODEBOOK:demo_runs/seed0/seg/letkd/codebook.pth}}'
_base_.terms.loss_intermediate.loss.codebook = codebook
_base_.terms.loss_penultimate.loss.codebook = codebook
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=dict(_base_.model, **_base_.student, of='EncoderDecoder'),
    teacher='{{ fileDirname }}/teacher.py',
    teacher_ckpt='{{$DEMO_TEACHER:demo_runs/seed0/seg/teacher/epoch_20.pth}}',
    terms=_base_.terms,
)
