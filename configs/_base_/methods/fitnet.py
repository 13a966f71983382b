# FitNet (1412.6550, Romero et al.): a hint, the squared error of a regressed feature.
method = dict(
    name='FitNet',
    paper='1412.6550',
    authors='Romero et al.',
    compares='features, behind a learned convolution',
    group='features',
    extension=['two_stage', 'one_stage', 'seg'],
    # In the paper the hint comes first, and then class probabilities; all benchmarks
    # learn both at once.
    reconstruction=dict(
        cls='tap and weight', seg='tap and weight', one_stage='the weight'
    ),
)
# RepDistiller, run_cifar_distill.sh: -b 100, and train_student.py: hint layer 2,
# which is the second stage.
cifar = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_fitnet=dict(
            student='<stages>[1]',
            connector=dict(type='mmkd.FitNet'),
            loss=dict(type='mmkd.MSE'),
            weight=100.0,
        )
    ),
)
# RepDistiller's weight, on the last stage. (mmrazor's ImageNet config compares stages 3
# and 4 with each image's map divided by its length, which is another loss.)
cls = seg = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_fitnet=dict(
            student='<stages>[-1]',
            connector=dict(type='mmkd.Align'),
            loss=dict(type='mmkd.MSE'),
            weight=100.0,
        )
    ),
)
# hunto/MasKD calls it mimic: all outputs of the FPN behind 1x1 convolutions, weight 1.
two_stage = one_stage = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_fitnet=dict(
            student='<pyramid>',
            connector=dict(type='mmkd.Align'),
            loss=dict(type='mmkd.MSE'),
            weight=1.0,
        )
    ),
)
