_base_ = [
    'mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py',
    '../_base_/methods/cwt.py',
    '../_base_/runtime.py',
]
# RECONSTRUCTION: crops and iterations, which in MGD are 512x512 and 40000. The loss is
# a sum over positions, so on these maps of 64x128 MGD's weight counts twice as much.
model = dict(
    _base_.seg,
    _delete_=True,
    student=_base_.model,
    teacher='mmseg::pspnet/pspnet_r101-d8_4xb2-80k_cityscapes-512x1024.py',
    teacher_ckpt='https://download.openmmlab.com/mmsegmentation/v0.5/pspnet/pspnet_r101-d8_512x1024_80k_cityscapes/pspnet_r101-d8_512x1024_80k_cityscapes_20200606_112211-e1e1100f.pth',
)
