# CWD (2011.13256, Shu et al.): where in the map each channel is active.
method = dict(
    name='CWD',
    paper='2011.13256',
    authors='Shu et al.',
    compares='where in the map each channel is active',
    group='dense prediction',
    extension=['cls'],
    reconstruction=dict(cls='tap, tau and weight'),
)
cls = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_cwd=dict(
            student='<stages>[-1]',
            connector=dict(type='mmkd.Align'),
            loss=dict(type='mmkd.CWD', tau=1.0),
            weight=1.0,
        )
    ),
)
# All FPN outputs: mmrazor's cwd_fpn_frcnn_r101_frcnn_r50_1x_coco.
two_stage = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_cwd=dict(
            student='<pyramid>',
            connector=dict(type='mmkd.Align'),  # nothing to do where channels agree
            loss=dict(type='mmkd.CWD', tau=1.0),
            weight=10.0,
        )
    ),
)
# The first four FPN outputs: mmdetection-distiller's RetinaNet X101 -> R50 (40.5 box
# AP).
one_stage = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_cwd=dict(
            student='<pyramid>[:4]',
            connector=dict(type='mmkd.Align'),  # nothing to do where channels agree
            loss=dict(type='mmkd.CWD', tau=1.0),
            weight=5.0,
        )
    ),
)
# The logits before they are enlarged: mmrazor, for Cityscapes at 512x1024 and 80k. The
# authors' code has tau 4 and weight 3, for 512x512 and 40k.
seg = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_cwd=dict(
            student='<logits>',
            loss=dict(type='mmkd.CWD', tau=1.0),
            weight=5.0,
        )
    ),
)
