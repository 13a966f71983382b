# letKD-2 (2309.02843): two layers in the student, which stay there.
# Weights, alpha 1, tau, 4096 words and 8 sub-classes for each class (of ImageNet here)
# are the authors'. RECONSTRUCTION: the places in a ResNet of mmpretrain.
# codebook: a file that tools/build_codebook.py makes from the teacher.
student = dict(  # beside the model's own settings
    type='mmkd.KDLayered',
    layers=dict(
        intermediate=dict(after='backbone.layer4.0', templates=8000),
        penultimate=dict(after='backbone', templates=4096),
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
