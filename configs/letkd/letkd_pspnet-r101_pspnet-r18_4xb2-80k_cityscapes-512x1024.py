_base_ = [
    'mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py',
    '../_base_/methods/letkd_seg.py',
    '../_base_/runtime.py',
]
_base_.terms.loss_intermediate.loss.codebook = 'codebooks/pspnet-r101_cityscapes.pth'
_base_.terms.loss_penultimate.loss.codebook = 'codebooks/pspnet-r101_cityscapes.pth'
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=dict(_base_.model, **_base_.student, of='EncoderDecoder'),
    teacher='mmseg::pspnet/pspnet_r101-d8_4xb2-80k_cityscapes-512x1024.py',
    teacher_ckpt='https://download.openmmlab.com/mmsegmentation/v0.5/pspnet/pspnet_r101-d8_512x1024_80k_cityscapes/pspnet_r101-d8_512x1024_80k_cityscapes_20200606_112211-e1e1100f.pth',
    terms=_base_.terms,
)
