_base_ = [
    '../_base_/students/bifpn-efficientnet-b0_1xb16-60e_voc0712-512x512.py',
    '../_base_/methods/frskd_seg.py',
    '../_base_/runtime.py',
]
# The authors' self-teacher, loss and weights. RECONSTRUCTION: loss_kd compares logits
# before they are enlarged, and without pixels of no class.
_base_.terms.loss_at.update(
    student='neck', loss=dict(type='mmkd.AT'), weight=50.0
)
model = dict(
    _base_.distiller,
    _delete_=True,
    student=_base_.model,
    teacher=dict(type='mmkd.FRSKDNeckTeacher'),
    teacher_reads='neck',
    terms=_base_.terms,
)
