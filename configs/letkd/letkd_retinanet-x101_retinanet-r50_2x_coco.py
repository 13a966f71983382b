_base_ = [
    'mmdet::retinanet/retinanet_r50_fpn_2x_coco.py',
    '../_base_/methods/letkd_one_stage.py',
    '../_base_/runtime.py',
]
_base_.terms.loss_intermediate.loss.codebook = 'codebooks/retinanet-x101_coco.pth'
_base_.terms.loss_penultimate.loss.codebook = 'codebooks/retinanet-x101_coco.pth'
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=dict(_base_.model, **_base_.student, of='RetinaNet'),
    teacher='mmdet::retinanet/retinanet_x101-64x4d_fpn_1x_coco.py',
    teacher_ckpt='https://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_x101_64x4d_fpn_1x_coco/retinanet_x101_64x4d_fpn_1x_coco_20200130-366f5af1.pth',
    terms=_base_.terms,
)
