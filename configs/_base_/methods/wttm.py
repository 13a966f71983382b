# WTTM (2402.11148, Zheng and Yang): TTM, more where the teacher is unsure.
method = dict(
    name='WTTM',
    paper='2402.11148',
    authors='Zheng and Yang',
    compares="class probabilities, the teacher's to a power, more where it is unsure",
    group='class probabilities',
)
# The paper's table 10, for a ResNet-18 (72.19 from ResNet-34).
cls = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_wttm=dict(
            student='<logits>',
            loss=dict(type='mmkd.WTTM', gamma=0.8),
            weight=1.6,
        )
    ),
)
# The paper's table 8, for VGG-13 to VGG-8.
cifar = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_wttm=dict(
            student='<logits>',
            loss=dict(type='mmkd.WTTM', gamma=0.1),
            weight=2.25,
        )
    ),
)
# The paper's tables 8 to 10.
gamma, weight = 'terms.loss_wttm.loss.gamma', 'terms.loss_wttm.weight'
pairs = {
    'wrn-40-2_wrn-16-2': {gamma: 0.1, weight: 4.0},
    'wrn-40-2_wrn-40-1': {gamma: 0.1, weight: 3.0},
    'resnet56_resnet20': {gamma: 0.3, weight: 1.5},
    'resnet110_resnet20': {gamma: 0.2, weight: 2.0},
    'resnet110_resnet32': {gamma: 0.1, weight: 1.5},
    'resnet32x4_resnet8x4': {gamma: 0.1, weight: 3.0},
    'vgg13_vgg8': {gamma: 0.1, weight: 2.25},
    'vgg13_mobilenet-v2': {gamma: 0.2, weight: 3.0},
    'resnet50_mobilenet-v2': {gamma: 0.2, weight: 5.0},
    'resnet50_vgg8': {gamma: 0.1, weight: 2.0},
    'resnet32x4_shufflenet-v1': {gamma: 0.2, weight: 1.4},
    'resnet32x4_shufflenet-v2': {gamma: 0.4, weight: 16.0},
    'wrn-40-2_shufflenet-v1': {gamma: 0.3, weight: 3.0},
    'resnet34_resnet18': {gamma: 0.8, weight: 1.6},
    'resnet50_mobilenet-v1': {gamma: 0.7, weight: 3.5},
}
