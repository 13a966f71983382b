_base_ = [
    'mmseg::sem_fpn/fpn_r50_4xb2-80k_cityscapes-512x1024.py',
    '../_base_/methods/frskd_seg.py',
    '../_base_/runtime.py',
]
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
