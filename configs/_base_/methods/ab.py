# AB (1811.03233, Heo et al.): which neurons are active, before all else is learned.
method = dict(
    name='AB',
    paper='1811.03233',
    authors='Heo et al.',
    compares='which neurons are active, before the student learns anything else',
    group='features',
    reconstruction='both stages in one run: they share its epochs and learning rates',
    # The first stage; a trial has no epochs.
    trial={'own': {}, 'terms.loss_ab.schedule': []},
)
# RepDistiller, train_student.py: 30 epochs with this alone, then 240 without it, which
# are 270 epochs here; distiller_zoo/AB.py: / 1000 * 3. (It keeps the head out of the
# first stage's optimizer; here the head sees weight decay alone.)
cifar = dict(
    type='mmkd.Distiller',
    own=dict(schedule=[dict(kind='constant', by='epoch', end=30, factor=0.0)]),
    terms=dict(
        loss_ab=dict(
            student=[f'backbone.stages.{i}.-1.relu:input' for i in (0, 1, 2)],
            connector=dict(type='mmkd.FitNet', relu=False, always=False),
            loss=dict(type='mmkd.AB'),
            weight=0.003,
            schedule=[dict(kind='stop', by='epoch', begin=30)],
        )
    ),
)
# RepDistiller's places in other networks: in front of a ReLU. A wide ResNet has its
# BatchNorms at the beginning of what follows; MobileNetV2 has no ReLU there. (Its
# ShuffleNets have one, which is no module of ours.)
student, teacher = 'terms.loss_ab.student', 'terms.loss_ab.teacher'
wrn = [f'backbone.stages.{i}' for i in ('1.0.activate.0', '2.0.activate.0', '3.0')]
vgg = [f'backbone.stages.{i}.-1:input' for i in (1, 2, 3, 4)]
linear = [f'backbone.stages.{i}' for i in (0, 1, 2, 3)]
ends = [f'backbone.layer{i}.-1.relu:input@-1' for i in (1, 2, 3, 4)]
pairs = {
    'wrn-40-2_wrn-16-2': {student: wrn},
    'wrn-40-2_wrn-40-1': {student: wrn},
    'vgg13_vgg8': {student: vgg},
    'vgg13_mobilenet-v2': {student: linear, teacher: vgg},
    'resnet50_mobilenet-v2': {student: linear, teacher: ends},
    'resnet50_vgg8': {student: vgg, teacher: ends},
}
