# SRRL (Yang et al., ICLR 2021): pooled features, judged by the teacher's classifier.
method = dict(
    name='SRRL',
    paper='https://openreview.net/forum?id=ZzwDy_wiWv',
    authors='Yang et al.',
    compares="pooled features, and what the teacher's classifier makes of them",
    group='features',
)
align = dict(
    type='mmkd.Align', space='keep', always=True, bias=False, norm=True, relu=True
)
# jingyang2017/KD_SRRL, train_imagenet_distillation.py: --weight 1, of the last map.
# yzd-v/cls_KD, configs/distillers/imagenet: alpha and beta 1.
cls = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_srrl=dict(
            student='<stages>[-1]',
            connector=align,
            loss=dict(type='mmkd.SRRL', head='head.fc', logits=1.0),
            weight=1.0,
        )
    ),
)
# DefangChen/SimKD, scripts/run_distill.sh: -c 1 -d 1 -b 1, of the pooled features and
# together with KD (75.39 for ResNet-32x4 -> 8x4).
cifar = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_kd=dict(student='<logits>', loss=dict(type='mmkd.KD', tau=4.0)),
        loss_srrl=dict(
            student='<pooled>',
            connector=align,
            loss=dict(type='mmkd.SRRL', head='head.fc', logits=1.0),
            weight=1.0,
        ),
    ),
)
