# WSLD (2102.00650, Zhou et al.): class probabilities, less where the label is known.
method = dict(
    name='WSLD',
    paper='2102.00650',
    authors='Zhou et al.',
    compares='class probabilities, the less the better the student knows the label',
    group='class probabilities',
    extension=['two_stage'],
    reconstruction=dict(two_stage="all; the numbers are ImageNet's"),
)
# The authors' knowledge_distiller.py, for ResNet-34 to ResNet-18 (72.04) and ResNet-50
# to MobileNetV1 (71.52). Their teacher stays in training mode, ours never does.
cls = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_wsld=dict(
            student='<logits>',
            loss=dict(type='mmkd.WSLD', tau=2.0),
            weight=2.5,
        )
    ),
)
# cls_KD, configs/distillers/cifar100/res34_distill_res18_cifar.py.
cifar = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_wsld=dict(
            student='<logits>',
            loss=dict(type='mmkd.WSLD', tau=4.0),
            weight=2.25,
        )
    ),
)
# On the regions that the student sampled, as in DKD's.
two_stage = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_wsld=dict(
            student='<logits>',
            labels='roi_head.bbox_head.get_targets()[0]',
            loss=dict(type='mmkd.WSLD', tau=2.0),
            weight=2.5,
        )
    ),
)
