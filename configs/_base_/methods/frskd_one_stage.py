# FRSKD (2103.08273) on the levels of the FPN; the student's own heads, applied to the
# refined levels, train the self-teacher.
# The paper has no detection: an extension. RECONSTRUCTION: all of it. The width keeps
# the FPN's channels, GN suits few images on a GPU, and without ReLU the levels are what
# the heads are used to. There is no soft-label term: both judgements would be of the
# same heads.
distiller = dict(
    type='mmkd.SelfDistiller',
    teacher=dict(type='mmkd.FRSKDTeacher', width=1.0, relu=False, norm='GN'),
    teacher_reads='neck',
)
terms = dict(
    loss_at=dict(
        student='neck',
        teacher='pyramid',
        loss=dict(type='mmkd.AT', reduction='batch'),
        weight=1.0,
    )
)
