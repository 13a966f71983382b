_base_ = [
    'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
    '../_base_/methods/letkd_two_stage.py',
    '../_base_/runtime.py',
]
_base_.terms.loss_intermediate.loss.codebook = 'codebooks/mask-rcnn-r101_coco.pth'
_base_.terms.loss_penultimate.loss.codebook = 'codebooks/mask-rcnn-r101_coco.pth'
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=dict(_base_.model, **_base_.student, of='MaskRCNN'),
    teacher='mmdet::mask_rcnn/mask-rcnn_r101_fpn_2x_coco.py',
    teacher_ckpt='https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r101_fpn_2x_coco/mask_rcnn_r101_fpn_2x_coco_bbox_mAP-0.408__segm_mAP-0.366_20200505_071027-14b391c7.pth',
    terms=_base_.terms,
)
