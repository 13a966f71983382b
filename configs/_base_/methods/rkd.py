# RKD (1904.05068, Park et al.): distances of images, and angles between three of them.
method = dict(
    name='RKD',
    paper='1904.05068',
    authors='Park et al.',
    compares='distances of images, and angles between three of them',
    group='relations between images',
)
# mmrazor, configs/distill/mmcls/rkd/rkd_neck_resnet34_resnet18_8xb32_in1k.py: of the
# features with length 1, on 8 GPUs with 32 images each (70.23).
cls = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_rkd=dict(
            student='<pooled>',
            loss=dict(type='mmkd.RKD', distance=25.0, angle=50.0, normalise=True),
            weight=1.0,
        )
    ),
)
# RepDistiller, RKDLoss(w_d=25, w_a=50), and scripts/run_cifar_distill.sh: -b 1.
cifar = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_rkd=dict(
            student='<pooled>',
            loss=dict(type='mmkd.RKD', distance=25.0, angle=50.0),
            weight=1.0,
        )
    ),
)
