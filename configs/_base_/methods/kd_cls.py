# KD (1503.02531): class probabilities of the whole image.
# tau and weight: mmrazor's ImageNet runs (R34 -> R18 71.81, R50 -> MobileNetV2 73.56).
# CIFAR-100 practice is tau 4, see kd_resnet50_resnet18_8xb16_cifar100.py.
terms = dict(
    loss_kd=dict(
        student='head.fc',  # of a LinearClsHead or a StackedLinearClsHead
        loss=dict(type='mmkd.KD', tau=1.0),
        weight=3.0,
    )
)
