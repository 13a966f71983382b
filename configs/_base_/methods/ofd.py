# OFD (1904.01866, Heo et al.): features in front of a ReLU, where they say something.
method = dict(
    name='OFD',
    paper='1904.01866',
    authors='Heo et al.',
    compares='features in front of a ReLU; below zero nothing but that they are so',
    group='features',
    reconstruction=dict(
        seg='no taps in the ASPP and the decoder, and no epoch of the connectors alone'
    ),
)
# clovaai/overhaul-distillation: in front of the last ReLU of each layer of a ResNet,
# with the margins of that block's last BatchNorm.
ends = [f'backbone.layer{i}.-1.relu:input@-1' for i in (1, 2, 3, 4)]
norms = [f'backbone.layer{i}.-1' for i in (1, 2, 3, 4)]
align = dict(type='mmkd.Align', always=True, bias=False, norm=True)
# ImageNet/train_with_distillation.py: / batch_size / 10000. (mdistiller's R50 -> MBV1
# has 1e-4 too, but leaves the first stage out.)
cls = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_ofd=dict(
            student=ends,
            connector=align,
            loss=dict(type='mmkd.OFD', norms=norms),
            weight=1e-4,
        )
    ),
)
# Segmentation/train_with_distillation.py: 1e-5 on the four stages, with shares 1/8,
# 1/4, 1/2 and 1. (The authors have two more places, in DeepLabV3+'s head.)
seg = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_ofd=dict(
            student=ends,
            connector=align,
            loss=dict(type='mmkd.OFD', norms=norms),
            weight=1e-5,
        )
    ),
)
# CIFAR-100/train_with_distillation.py: / batch_size / 1000; mdistiller, engine/cfg.py:
# 0.001. (Both run the teacher in training mode, which we do not.) The places are those
# of mmkd.CifarResNet; for other networks see the pairs.
cifar = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_ofd=dict(
            student=[f'backbone.stages.{i}.-1.relu:input' for i in (0, 1, 2)],
            connector=align,
            loss=dict(
                type='mmkd.OFD',
                norms=[f'backbone.stages.{i}.-1.body' for i in (0, 1, 2)],
            ),
            weight=1e-3,
        )
    ),
)
# Places of other networks, as RepDistiller has them: in front of a ReLU. A wide
# ResNet has its BatchNorms at the beginning of what follows; MobileNetV2 has no ReLU
# there. Where sizes differ (VGG-13's last map is larger than MobileNetV2's), mdistiller
# pools the teacher's map; Align enlarges the student's.
student, teacher = 'terms.loss_ofd.student', 'terms.loss_ofd.teacher'
read = 'terms.loss_ofd.loss.norms'
wrn = [f'backbone.stages.{i}' for i in ('1.0.activate.0', '2.0.activate.0', '3.0')]
vgg = [f'backbone.stages.{i}' for i in (1, 2, 3, 4)]
relus, bns = [f'{one}.-1:input' for one in vgg], [f'{one}.-2' for one in vgg]
linear = [f'backbone.stages.{i}' for i in (0, 1, 2, 3)]
separable = [f'backbone.stages.{i}.-1.-1:input' for i in (1, 2, 3, 4)]
pairs = {
    'wrn-40-2_wrn-16-2': {student: wrn, read: wrn},
    'wrn-40-2_wrn-40-1': {student: wrn, read: wrn},
    'vgg13_vgg8': {student: relus, read: bns},
    'vgg13_mobilenet-v2': {student: linear, teacher: relus, read: bns},
    'resnet50_mobilenet-v2': {student: linear, teacher: ends, read: norms},
    'resnet50_mobilenet-v1': {student: separable, teacher: ends},
}
