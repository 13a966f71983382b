# FRSKD (2103.08273, Ji et al.): class probabilities and attention of a self-teacher.
method = dict(
    name='FRSKD',
    paper='2103.08273',
    authors='Ji et al.',
    compares=(
        'class probabilities and attention, with a self-teacher instead of a trained '
        'one'
    ),
    group='the student itself',
    extension=['two_stage', 'one_stage'],
    reconstruction=dict(
        two_stage='all',
        one_stage='all',
        seg='the taps, weight and reduction of loss_at',
    ),
)
# Widths, tau and weights: the authors' command for CIFAR-100 with ResNet-18. FRSKD\F is
# this with weight 0 for loss_at. A wide backbone (ResNet-50) wants a smaller width.
cls = dict(
    type='mmkd.SelfDistiller',
    teacher=dict(type='mmkd.FRSKDTeacher', width=2.0),
    teacher_reads='<stages>',
    teacher_target='<logits>',
    terms=dict(
        loss_kd=dict(
            student='<logits>',
            teacher='head',
            loss=dict(type='mmkd.KD', tau=4.0),
            weight=2.0,
        ),
        loss_at=dict(
            student='<stages>',
            teacher='pyramid',
            loss=dict(type='mmkd.AT'),
            weight=100.0,
        ),
    ),
)
# On the levels of the FPN; the student's own heads, applied to the refined levels,
# train the self-teacher. The width keeps the FPN's channels, GN suits few images on a
# GPU, and without ReLU the levels are what the heads are used to. There is no term on
# logits: both judgements would be of the same heads.
two_stage = one_stage = dict(
    type='mmkd.SelfDistiller',
    teacher=dict(type='mmkd.FRSKDTeacher', width=1.0, relu=False, norm='GN'),
    teacher_reads='<pyramid>',
    terms=dict(
        loss_at=dict(
            student='<pyramid>',
            teacher='pyramid',
            loss=dict(type='mmkd.AT', reduction='batch'),
            weight=1.0,
        )
    ),
)
# Nothing for two thirds of the run, then up to its end: the authors' ramp, whose steps
# are epochs there.
ramp = [
    dict(kind='constant', end=2 / 3, factor=0.0),
    dict(kind='sigmoid', begin=2 / 3),
]
# On the stages of a ResNet, dilated or not. The paper's place is a neck: see
# frskd_fpn-r50_4xb2-80k_cityscapes-512x1024.py. Of the authors' code: 256 as the fixed
# width, tau and weight of loss_kd, the ramp.
seg = dict(
    type='mmkd.SelfDistiller',
    teacher=dict(type='mmkd.FRSKDTeacher', channels=256, norm='SyncBN'),
    teacher_reads='<stages>',
    teacher_target='<logits>',
    terms=dict(
        loss_kd=dict(
            student='<logits>',
            teacher='head',
            # Where the teacher's logits are larger or smaller than the student's.
            teacher_connector=dict(type='mmkd.Align'),
            loss=dict(type='mmkd.KD', tau=1.0),
            weight=1.0,
            schedule=ramp,
        ),
        loss_at=dict(
            student='<stages>',
            teacher='pyramid',
            loss=dict(type='mmkd.AT', reduction='batch'),
            weight=1.0,
            schedule=ramp,
        ),
    ),
)
