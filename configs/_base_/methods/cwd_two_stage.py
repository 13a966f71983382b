# CWD (2011.13256) on all FPN outputs.
# Taps, tau and weight: mmrazor's cwd_fpn_frcnn_r101_frcnn_r50_1x_coco.
terms = dict(
    loss_cwd=dict(
        student='neck',
        connector=dict(type='mmkd.Align'),  # nothing to do where channels agree
        loss=dict(type='mmkd.CWD', tau=1.0),
        weight=10.0,
    )
)
