# NFD (2207.05256, Liu et al.): features without the mean and the scale of a channel.
method = dict(
    name='NFD',
    paper='2207.05256',
    authors='Liu et al.',
    compares="features, without each image's mean and scale of a channel",
    group='dense prediction',
    reconstruction='the reduction, the tap and the weight',
)
# The weight is our choice: at the beginning, where nothing correlates, the loss is 2.
seg = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_nfd=dict(
            student='<stages>[-1]',
            connector=dict(type='mmkd.Align'),
            loss=dict(type='mmkd.NFD'),
            weight=1.0,
        )
    ),
)
