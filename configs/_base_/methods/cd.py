# CD (2006.01683, Zhou et al.): how active each channel is; probabilities of a teacher
# who is right.
method = dict(
    name='CD',
    paper='2006.01683',
    authors='Zhou et al.',
    compares='how active each channel is; probabilities where the teacher is right',
    group='features',
    # A trial has no epochs, and its teacher, which knows nothing, may be right nowhere.
    trial={
        'own': {},
        'terms.loss_cd.schedule': [],
        'terms.loss_gkd.schedule': [],
        'terms.loss_gkd.loss': dict(type='mmkd.KD', tau=1.0),
    },
)
align = dict(
    type='mmkd.Align',
    always=True,
    bias=False,
    norm=True,
    relu=True,
    space='keep',  # only means are compared
)
# zhouzaida/channel-distillation: imagenet_config.py, and 'lrdv2' of utils/util.py, as
# the best rows have: 30 epochs of loss_cd alone, which loses a tenth every 30 epochs.
# Its epochs count from 1, so that loss_cd decays one epoch earlier than it seems.
cls = dict(
    type='mmkd.Distiller',
    own=dict(schedule=[dict(kind='constant', by='epoch', end=30, factor=0.0)]),
    terms=dict(
        loss_cd=dict(
            student='<stages>',
            connector=align,
            loss=dict(type='mmkd.CD'),
            weight=6.0,
            schedule=[
                dict(kind='step', by='epoch', milestones=[29, 59, 89], gamma=0.9)
            ],
        ),
        loss_gkd=dict(
            student='<logits>',
            loss=dict(type='mmkd.GKD', tau=1.0),
            weight=1.0,
            schedule=[dict(kind='constant', by='epoch', end=30, factor=0.0)],
        ),
    ),
)
# cifar_config.py: 200 epochs, the first 60 of loss_cd alone.
cifar = dict(
    type='mmkd.Distiller',
    own=dict(schedule=[dict(kind='constant', by='epoch', end=60, factor=0.0)]),
    terms=dict(
        loss_cd=dict(
            student='<stages>',
            connector=align,
            loss=dict(type='mmkd.CD'),
            weight=6.0,
            schedule=[dict(kind='step', by='epoch', milestones=[59, 159], gamma=0.9)],
        ),
        loss_gkd=dict(
            student='<logits>',
            loss=dict(type='mmkd.GKD', tau=1.0),
            weight=0.1,
            schedule=[dict(kind='constant', by='epoch', end=60, factor=0.0)],
        ),
    ),
)
