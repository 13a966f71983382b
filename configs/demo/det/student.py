# The baseline, and the student of every method: Faster R-CNN on scenes of digits.
_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    'mmdet::_base_/default_runtime.py',
    './_data.py',
    '../_runtime.py',
]
model = dict(
    backbone=dict(
        depth=18,
        base_channels=12,
        stem_channels=12,
        init_cfg=None,
        frozen_stages=-1,
        norm_eval=False,
        norm_cfg=dict(type='BN', requires_grad=True),
    ),
    neck=dict(in_channels=[12, 24, 48, 96], out_channels=16),
    rpn_head=dict(
        in_channels=16,
        feat_channels=16,
        anchor_generator=dict(scales=[5], ratios=[0.67, 1.0, 1.5]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=16),
        bbox_head=dict(in_channels=16, fc_out_channels=64, num_classes=10),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=200, max_per_img=100), rcnn=dict(sampler=dict(num=64))
    ),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=50), rcnn=dict(max_per_img=20)),
)
# mmengine deletes the oldest before it writes the newest: with two, one is whole.
default_hooks = dict(
    logger=dict(interval=12), checkpoint=dict(interval=2, max_keep_ckpts=2)
)
