_base_ = [
    '../_base_/students/fpn-r18_1xb16-60e_voc0712-512x512.py',
    '../_base_/methods/frskd_seg.py',
    '../_base_/runtime.py',
]
# An extension: for the paper's network see frskd_bifpn-efficientnet-b0.
model = dict(
    _base_.distiller,
    _delete_=True,
    student=_base_.model,
    # The paper's place: two pyramids on top of the neck, logits of the largest level.
    teacher=dict(_base_.distiller.teacher, repeat=2, from_deepest=False),
    teacher_reads='neck',
    terms=dict(
        loss_kd=_base_.terms.loss_kd,
        loss_at=dict(_base_.terms.loss_at, student='neck'),
    ),
)
