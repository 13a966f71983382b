_base_ = [
    'mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py',
    '../_base_/methods/frskd_seg.py',
    '../_base_/runtime.py',
]
model = dict(
    _base_.distiller,
    _delete_=True,
    student=_base_.model,
    terms=_base_.terms,
)
