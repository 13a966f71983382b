# What letKD's fragments share: letKD-2 (2309.02843), two layers that stay in the
# student, in the last stage of a ResNet. RECONSTRUCTION: the places in a ResNet of
# mmpretrain, mmdet or mmseg. Weights, alpha 1 and tau are the authors'. A fragment says
# how many templates the layers have.
# codebook: a file that tools/build_codebook.py makes from the teacher.
student = dict(  # beside the model's own settings
    type='mmkd.KDLayered',
    layers=dict(
        intermediate=dict(after='backbone.layer4.0'),
        penultimate=dict(after='backbone'),
    ),
)
terms = dict(
    loss_intermediate=dict(
        student='backbone.kd_layers.intermediate.match',
        teacher='backbone.layer4.0',
        loss=dict(type='mmkd.LetKDIntermediate', codebook=None),
        weight=1.0,
    ),
    loss_penultimate=dict(
        student='backbone.kd_layers.penultimate.match',
        teacher='backbone[-1]',
        loss=dict(type='mmkd.LetKDPenultimate', codebook=None, tau=1.0),
        weight=1.0,
    ),
)
