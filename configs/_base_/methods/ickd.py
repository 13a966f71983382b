# ICKD (2202.03680, Liu et al.): which channels of an image's map are alike.
method = dict(
    name='ICKD',
    paper='2202.03680',
    authors='Liu et al.',
    compares="which channels of an image's map are alike",
    group='features',
    reconstruction=dict(cls='the weight'),
)
align = dict(type='mmkd.Align', space='keep', always=True, bias=False, norm=True)
# The authors released no training for ImageNet but configs with factor 1, which their
# loss divides by the batch size once more. torchdistill has 500 instead, beside KD and
# for batches of 256 (configs/sample/ilsvrc2012/ickd/resnet18_from_resnet34.yaml): here
# 500 / 256.
cls = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_ickd=dict(
            student='<stages>[-1]',
            connector=align,
            loss=dict(type='mmkd.ICKD'),
            weight=500 / 256,
        )
    ),
)
# ADLab-AutoDrive/ICKD, Cifar100/scripts/run_cifar_distill.sh: -a 0 -b 2.5 (75.25 for
# ResNet-32x4 -> 8x4). With -a 1 (75.48) there is a second term: mmkd.KD on the
# '<logits>', with tau 4 and weight 1.
cifar = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_ickd=dict(
            student='<stages>[-1]',
            connector=align,
            loss=dict(type='mmkd.ICKD'),
            weight=2.5,
        )
    ),
)
