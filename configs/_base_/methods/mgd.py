# MGD (2205.01529, Yang et al.): the teacher's map, generated from a masked student's.
method = dict(
    name='MGD',
    paper='2205.01529',
    authors='Yang et al.',
    compares="the teacher's map, generated from a part of the student's",
    group='features',
)
# Weights and ratios: yzd-v/MGD, alpha_mgd and lambda_mgd in configs/distillers/mgd.
# cls: of the last stage's channels. (The README's best rows have WSLD as well.)
cls = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_mgd=dict(
            student='<stages>[-1]',
            connector=dict(type='mmkd.MGD', ratio=0.15, hides='channels'),
            loss=dict(type='mmkd.MSE', reduction='batch'),
            weight=7e-5,
        )
    ),
)
# P2 to P5; P6 is a pooled P5.
two_stage = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_mgd=dict(
            student='<pyramid>[:4]',
            connector=dict(type='mmkd.MGD', ratio=0.45),
            loss=dict(type='mmkd.MSE', reduction='batch'),
            weight=5e-7,
        )
    ),
)
# P3 to P7. The authors' student starts from the teacher's neck and head (init_student):
# where those agree, add inherit=['neck', 'bbox_head'] to the distiller.
one_stage = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_mgd=dict(
            student='<pyramid>',
            connector=dict(type='mmkd.MGD', ratio=0.65),
            loss=dict(type='mmkd.MSE', reduction='batch'),
            weight=2e-5,
        )
    ),
)
# segmentation_distiller.py: the last stage, and CWD with tau 4 and weight 3 on logits.
seg = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_mgd=dict(
            student='<stages>[-1]',
            connector=dict(type='mmkd.MGD', ratio=0.75),
            loss=dict(type='mmkd.MSE', reduction='batch'),
            weight=2e-5,
        ),
        loss_cwd=dict(
            student='<logits>',
            loss=dict(type='mmkd.CWD', tau=4.0),
            weight=3.0,
        ),
    ),
)
