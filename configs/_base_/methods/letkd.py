# letKD-2 (2309.02843, Gorgun et al.): layers that stay in the student say which words
# of the teacher's vocabulary they see. Weights, alpha 1, tau, 4096 words and 8
# sub-classes for each class are the authors'.
# codebook: a file that tools/build_codebook.py makes from the teacher.
codebooks = [
    'terms.loss_intermediate.loss.codebook',
    'terms.loss_penultimate.loss.codebook',
]
method = dict(
    name='letKD',
    paper='2309.02843',
    authors='Gorgun et al.',
    compares=(
        "which words of the teacher's vocabulary are seen, by layers that stay in the "
        'student'
    ),
    group='features',
    extension=['two_stage', 'one_stage', 'seg'],
    reconstruction=dict(
        cls='the places in a ResNet',
        two_stage='all',
        one_stage='all',
        seg='all',
    ),
    before=dict(build_codebook=codebooks),
    trial={
        **{key: 'random' for key in codebooks},
        'student.layers.intermediate.templates': 40,
        'student.layers.penultimate.templates': 16,
    },
)
terms = dict(
    loss_intermediate=dict(
        student='backbone.kd_layers.intermediate.match',
        teacher='<stages>[-1].0',
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
# The student's type becomes mmkd.KDLayered, of the type that it has. 8000 templates are
# ImageNet's: 8 for each class.
cls = dict(
    type='mmkd.Distiller',
    student=dict(
        type='mmkd.KDLayered',
        layers=dict(
            intermediate=dict(after='backbone.layer4.0', templates=8000),
            penultimate=dict(after='backbone', templates=4096),
        ),
    ),
    terms=terms,
)
# CIFAR-100.
cifar = dict(
    type='mmkd.Distiller',
    student=dict(
        type='mmkd.KDLayered',
        layers=dict(
            intermediate=dict(after='backbone.stages.2.0', templates=800),
            penultimate=dict(after='backbone', templates=4096),
        ),
    ),
    terms=terms,
)
# 1024 words for the sake of parameters; 8 sub-classes for each of COCO's 80 classes; a
# position has the class of the smallest box around it, or none.
two_stage = one_stage = dict(
    type='mmkd.Distiller',
    student=dict(
        type='mmkd.KDLayered',
        layers=dict(
            intermediate=dict(after='backbone.layer4.0', templates=640),
            penultimate=dict(after='backbone', templates=1024),
        ),
    ),
    terms=terms,
)
# 1024 words for the sake of memory; 8 sub-classes for each of the 19 classes of
# Cityscapes.
seg = dict(
    type='mmkd.Distiller',
    student=dict(
        type='mmkd.KDLayered',
        layers=dict(
            intermediate=dict(after='backbone.layer4.0', templates=152),
            penultimate=dict(after='backbone', templates=1024),
        ),
    ),
    terms=terms,
)
