# letKD-2 (2309.02843): two layers in the last stage of the student's backbone.
# The paper has no detection: an extension. RECONSTRUCTION: all of it, 1024 words for
# the sake of parameters. 8 sub-classes for each of COCO's 80 classes; a position has
# the class of the smallest box around it, or none.
# codebook: a file that tools/build_codebook.py makes from the teacher.
student = dict(  # beside the model's own settings
    type='mmkd.KDLayered',
    layers=dict(
        intermediate=dict(after='backbone.layer4.0', templates=640),
        penultimate=dict(after='backbone', templates=1024),
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
