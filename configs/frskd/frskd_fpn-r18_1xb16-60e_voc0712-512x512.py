_base_ = [
    '../_base_/students/fpn-r18_1xb16-60e_voc0712-512x512.py',
    '../_base_/methods/frskd.py',
    '../_base_/runtime.py',
]
# An extension: for the paper's network see frskd_bifpn-efficientnet-b0.
# The paper's place: two pyramids on top of the neck, logits of the largest level.
_base_.seg.teacher.update(repeat=2, from_deepest=False)
_base_.seg.teacher_reads = _base_.seg.terms.loss_at.student = 'neck'
# The authors' ramp: nothing for 40 epochs, then up to 1 in the last of 60.
_base_.seg.terms.loss_kd.schedule = _base_.seg.terms.loss_at.schedule = [
    dict(kind='constant', by='epoch', end=40, factor=0.0),
    dict(kind='sigmoid', by='epoch', begin=39, end=59),
]
model = dict(_base_.seg, _delete_=True, student=_base_.model)
