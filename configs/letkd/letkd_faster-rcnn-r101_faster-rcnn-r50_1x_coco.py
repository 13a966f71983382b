_base_ = [
    'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    '../_base_/methods/letkd_two_stage.py',
    '../_base_/runtime.py',
]
_base_.terms.loss_intermediate.loss.codebook = 'codebooks/faster-rcnn-r101_coco.pth'
_base_.terms.loss_penultimate.loss.codebook = 'codebooks/faster-rcnn-r101_coco.pth'
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=dict(_base_.model, **_base_.student, of='FasterRCNN'),
    teacher='mmdet::faster_rcnn/faster-rcnn_r101_fpn_2x_coco.py',
    teacher_ckpt='https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/faster_rcnn_r101_fpn_2x_coco/faster_rcnn_r101_fpn_2x_coco_bbox_mAP-0.398_20200504_210455-1d2dac9c.pth',
    terms=_base_.terms,
)
