_base_ = [
    'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    '../_base_/methods/frskd_two_stage.py',
    '../_base_/runtime.py',
]
model = dict(_base_.distiller, _delete_=True, student=_base_.model, terms=_base_.terms)
