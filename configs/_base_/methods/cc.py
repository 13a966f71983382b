# CC (1904.01802, Peng et al.): learned embeddings, of one image and the next.
method = dict(
    name='CC',
    paper='1904.01802',
    authors='Peng et al.',
    compares='learned embeddings, of one image and the next',
    group='relations between images',
    reconstruction=dict(cls='the weight'),
)
# RepDistiller, scripts/run_cifar_distill.sh: -b 0.02; --feat_dim is 128.
cls = cifar = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_cc=dict(
            student='<pooled>', loss=dict(type='mmkd.CC', width=128), weight=0.02
        )
    ),
)
