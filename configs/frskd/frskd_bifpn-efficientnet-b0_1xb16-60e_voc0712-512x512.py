_base_ = [
    '../_base_/students/bifpn-efficientnet-b0_1xb16-60e_voc0712-512x512.py',
    '../_base_/methods/frskd.py',
    '../_base_/runtime.py',
]
# The authors' self-teacher, losses, weights and ramp. RECONSTRUCTION: loss_kd compares
# logits before they are enlarged, and without pixels of no class.
_base_.seg.terms.loss_at.update(student='neck', weight=50.0)
_base_.seg.terms.loss_at.loss = dict(type='mmkd.AT')  # the mean over positions
# The authors' ramp: nothing for 40 epochs, then up to 1 in the last of 60.
_base_.seg.terms.loss_kd.schedule = _base_.seg.terms.loss_at.schedule = [
    dict(kind='constant', by='epoch', end=40, factor=0.0),
    dict(kind='sigmoid', by='epoch', begin=39, end=59),
]
model = dict(
    _base_.seg,
    _delete_=True,
    student=_base_.model,
    teacher=dict(type='mmkd.FRSKDNeckTeacher'),
    teacher_reads='neck',
)
