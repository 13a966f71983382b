# FitNet (1412.6550, Romero et al.): a hint, the squared error of a regressed feature.
method = dict(
    name='FitNet',
    paper='1412.6550',
    authors='Romero et al.',
    compares='features, behind a learned 1x1 convolution',
    group='features',
    extension=['two_stage', 'one_stage', 'seg'],
    reconstruction='taps and weights, but for those of cifar',
)
cls = seg = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_fitnet=dict(
            student='<stages>[-1]',
            connector=dict(type='mmkd.Align'),
            loss=dict(type='mmkd.MSE'),
            weight=100.0,
        )
    ),
)
two_stage = one_stage = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_fitnet=dict(
            student='<pyramid>',
            connector=dict(type='mmkd.Align'),
            loss=dict(type='mmkd.MSE'),
            weight=1.0,
        )
    ),
)
