# FRSKD (2103.08273) on the four stages of a ResNet.
# Widths, tau and weights: the authors' command for CIFAR-100 with ResNet-18. FRSKD\F is
# this with weight 0 for loss_at. A wide backbone (ResNet-50) wants a smaller width.
distiller = dict(
    type='mmkd.SelfDistiller',
    teacher=dict(type='mmkd.FRSKDTeacher', width=2.0),
    teacher_reads=[f'backbone.layer{i}' for i in range(1, 5)],
    teacher_target='head.fc',
)
terms = dict(
    loss_kd=dict(
        student='head.fc',
        teacher='head',
        loss=dict(type='mmkd.KD', tau=4.0),
        weight=2.0,
    ),
    loss_at=dict(
        student=[f'backbone.layer{i}' for i in range(1, 5)],
        teacher='pyramid',
        loss=dict(type='mmkd.AT'),
        weight=100.0,
    ),
)
