_base_ = [
    'mmdet::retinanet/retinanet_r50_fpn_2x_coco.py',
    '../_base_/methods/cwt.py',
    '../_base_/runtime.py',
]
model = dict(
    _base_.one_stage,
    _delete_=True,
    student=_base_.model,
    teacher='mmdet::retinanet/retinanet_x101-64x4d_fpn_1x_coco.py',
    teacher_ckpt='https://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_x101_64x4d_fpn_1x_coco/retinanet_x101_64x4d_fpn_1x_coco_20200130-366f5af1.pth',
    inherit=['neck', 'bbox_head'],  # MGD's protocol, where heads agree
)
# MGD's protocol.
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
