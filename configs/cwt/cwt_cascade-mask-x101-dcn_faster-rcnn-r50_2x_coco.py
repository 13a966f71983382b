_base_ = [
    'mmdet::faster_rcnn/faster-rcnn_r50_fpn_2x_coco.py',
    '../_base_/methods/cwt.py',
    '../_base_/runtime.py',
]
model = dict(
    _base_.two_stage,
    _delete_=True,
    student=_base_.model,
    teacher='mmdet::dcn/cascade-mask-rcnn_x101-32x4d-dconv-c3-c5_fpn_1x_coco.py',
    teacher_ckpt='https://download.openmmlab.com/mmdetection/v2.0/dcn/cascade_mask_rcnn_x101_32x4d_fpn_dconv_c3-c5_1x_coco/cascade_mask_rcnn_x101_32x4d_fpn_dconv_c3-c5_1x_coco-e75f90c8.pth',
)
# MGD's protocol.
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
