_base_ = [
    'mmseg::sem_fpn/fpn_r50_4xb2-80k_cityscapes-512x1024.py',
    '../_base_/methods/frskd.py',
    '../_base_/runtime.py',
]
# The paper's place: two pyramids on top of the neck, logits of the largest level.
_base_.seg.teacher.update(repeat=2, from_deepest=False)
_base_.seg.teacher_reads = _base_.seg.terms.loss_at.student = 'neck'
model = dict(_base_.seg, _delete_=True, student=_base_.model)
