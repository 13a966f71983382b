# DKD (2203.08679, Zhao et al.): probabilities, the target's and the others' apart.
method = dict(
    name='DKD',
    paper='2203.08679',
    authors='Zhao et al.',
    compares="class probabilities: the target's, and the others' apart from it",
    group='class probabilities',
)
# mdistiller, configs/imagenet/r34_r18/dkd.yaml; there is no warm-up.
cls = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_dkd=dict(
            student='<logits>',
            loss=dict(type='mmkd.DKD', tau=1.0, beta=0.5),
        )
    ),
)
# mdistiller, configs/cifar100/dkd/res32x4_res8x4.yaml. It counts epochs from 1: the
# weight is 1/20 in the first one and 1 from the twentieth on.
cifar = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_dkd=dict(
            student='<logits>',
            loss=dict(type='mmkd.DKD', tau=4.0, beta=8.0),
            schedule=[dict(kind='linear', by='epoch', start=1 / 20, end=19)],
        )
    ),
)
# mdistiller, detection/model/config.py: the teacher judges the regions that the student
# sampled, those of the background too. Of a cascade the last head counts, which has the
# labels='roi_head.bbox_head.2.get_targets()[0]'.
two_stage = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_dkd=dict(
            student='<logits>',
            labels='roi_head.bbox_head.get_targets()[0]',
            loss=dict(type='mmkd.DKD', tau=1.0, beta=0.25),
        )
    ),
)
# mdistiller's configs, one for each pair.
beta = 'terms.loss_dkd.loss.beta'
pairs = {
    'resnet56_resnet20': {beta: 2.0},
    'resnet110_resnet32': {beta: 2.0},
    'resnet32x4_resnet8x4': {beta: 8.0},
    'wrn-40-2_wrn-16-2': {beta: 6.0},
    'wrn-40-2_wrn-40-1': {beta: 6.0},
    'vgg13_vgg8': {beta: 6.0},
    'vgg13_mobilenet-v2': {beta: 6.0},
    'resnet50_mobilenet-v2': {beta: 8.0},
    'resnet32x4_shufflenet-v1': {beta: 8.0},
    'resnet32x4_shufflenet-v2': {beta: 8.0},
    'wrn-40-2_shufflenet-v1': {beta: 8.0},
    'resnet34_resnet18': {beta: 0.5},
    'resnet50_mobilenet-v1': {beta: 2.0},
}
