# TTM (2402.11148, Zheng and Yang): the teacher's class probabilities to a power.
method = dict(
    name='TTM',
    paper='2402.11148',
    authors='Zheng and Yang',
    compares="class probabilities, the teacher's to a power",
    group='class probabilities',
    extension=['cls'],
    reconstruction=dict(cls="gamma and weight are WTTM's"),
)
# The paper has WTTM alone on ImageNet.
cls = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_ttm=dict(
            student='<logits>',
            loss=dict(type='mmkd.TTM', gamma=0.8),
            weight=1.6,
        )
    ),
)
# VGG-13 to VGG-8, as in the command of the authors' README.
cifar = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_ttm=dict(
            student='<logits>',
            loss=dict(type='mmkd.TTM', gamma=0.1),
            weight=45.0,
        )
    ),
)
# The paper's tables 8 and 9.
gamma, weight = 'terms.loss_ttm.loss.gamma', 'terms.loss_ttm.weight'
pairs = {
    'wrn-40-2_wrn-16-2': {gamma: 0.1, weight: 101.0},
    'wrn-40-2_wrn-40-1': {gamma: 0.1, weight: 76.0},
    'resnet56_resnet20': {gamma: 0.3, weight: 7.0},
    'resnet110_resnet20': {gamma: 0.2, weight: 8.0},
    'resnet110_resnet32': {gamma: 0.1, weight: 33.0},
    'resnet32x4_resnet8x4': {gamma: 0.1, weight: 100.0},
    'vgg13_vgg8': {gamma: 0.1, weight: 45.0},
    'vgg13_mobilenet-v2': {gamma: 0.2, weight: 16.0},
    'resnet50_mobilenet-v2': {gamma: 0.2, weight: 20.0},
    'resnet50_vgg8': {gamma: 0.1, weight: 70.0},
    'resnet32x4_shufflenet-v1': {gamma: 0.2, weight: 12.0},
    'resnet32x4_shufflenet-v2': {gamma: 0.4, weight: 40.0},
    'wrn-40-2_shufflenet-v1': {gamma: 0.3, weight: 8.0},
}
