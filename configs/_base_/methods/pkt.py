# PKT (1803.10837, Passalis and Tefas): which images are neighbours, as probabilities.
method = dict(
    name='PKT',
    paper='1803.10837',
    authors='Passalis and Tefas',
    compares='which images of a batch are neighbours, as probabilities',
    group='relations between images',
    extension=['cls'],
    reconstruction=dict(cls='the weight, which depends on the batch size'),
)
# RepDistiller, scripts/run_cifar_distill.sh: -b 30000, for batches of 64.
cls = cifar = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_pkt=dict(student='<pooled>', loss=dict(type='mmkd.PKT'), weight=30000.0)
    ),
)
