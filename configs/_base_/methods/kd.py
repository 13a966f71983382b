# KD (1503.02531, Hinton et al.): softened class probabilities.
method = dict(
    name='KD',
    paper='1503.02531',
    authors='Hinton et al.',
    compares='class probabilities; per pixel, per region, per anchor',
    group='class probabilities',
    extension=['two_stage', 'one_stage', 'seg'],
    # The paper has none of the numbers of these kinds: tau and weight are our choice.
    reconstruction=dict(two_stage='tau, weight', one_stage='all', seg='tau, weight'),
)
# mmrazor's ImageNet runs (R34 -> R18 71.81, R50 -> MobileNetV2 73.56).
cls = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_kd=dict(
            student='<logits>',
            loss=dict(type='mmkd.KD', tau=1.0),
            weight=3.0,
        )
    ),
)
# RepDistiller: 0.9 of the teacher and 0.1 of the labels.
cifar = dict(
    type='mmkd.Distiller',
    own=dict(weight=0.1),
    terms=dict(
        loss_kd=dict(
            student='<logits>',
            loss=dict(type='mmkd.KD', tau=4.0),
            weight=0.9,
        )
    ),
)
# On RoI classes: the teacher judges the regions that the student sampled. Of a cascade
# the last head counts; another one: teacher='roi_head.bbox_head.1[0]'.
two_stage = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_kd=dict(
            student='<logits>',
            loss=dict(type='mmkd.KD', tau=1.0),
            weight=1.0,
        )
    ),
)
# On the class scores of every anchor of every level.
one_stage = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_kd=dict(
            student='<logits>',
            loss=dict(type='mmkd.BinaryKD', tau=1.0),
            weight=1.0,
        )
    ),
)
# On every pixel that has a label, before the logits are enlarged.
seg = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_kd=dict(
            student='<logits>',
            loss=dict(type='mmkd.KD', tau=1.0),
            weight=1.0,
        )
    ),
)
# mdistiller, ImageNet: half of the teacher and half of the labels. SemCKD and SimKD,
# CIFAR-100: all of both.
pairs = {
    'resnet50_mobilenet-v1': {'own.weight': 0.5, 'terms.loss_kd.weight': 0.5},
    'resnet50_resnet18': {'own.weight': 1.0, 'terms.loss_kd.weight': 1.0},
}
