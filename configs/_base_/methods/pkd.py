# PKD (2207.02039, Cao et al.): the pattern of each channel, by Pearson's correlation.
method = dict(
    name='PKD',
    paper='2207.02039',
    authors='Cao et al.',
    compares="each channel's pattern, whatever its mean and its scale",
    group='detection',
)
# mmrazor, configs/distill/mmdet/pkd: the first four outputs of the FPN; 6 for Faster
# R-CNN, 10 for RetinaNet with any teacher. (The authors interpolate where sizes differ;
# Align pools the larger map.)
two_stage = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_pkd=dict(
            student='<pyramid>[:4]',
            connector=dict(type='mmkd.Align'),  # nothing to do where shapes agree
            loss=dict(type='mmkd.PKD'),
            weight=6.0,
        )
    ),
)
one_stage = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_pkd=dict(
            student='<pyramid>[:4]',
            connector=dict(type='mmkd.Align'),  # nothing to do where shapes agree
            loss=dict(type='mmkd.PKD'),
            weight=10.0,
        )
    ),
)
