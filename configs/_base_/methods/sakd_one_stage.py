# SAKD-style (reconstructed; doi 10.1007/s44267-023-00003-0) on the
# ground-truth boxes in three FPN levels.
# The paper has no detection: an extension, with a region for each ground-truth box.
# RECONSTRUCTION: all, except that there is a branch and that vectors have one length.
# Profile P1; P0 is this with weight 0 for loss_match.
terms = dict(
    loss_match=dict(
        student='neck[:3]',
        loss=dict(type='mmkd.SAKDMatch', uniformize=dict(form='u2', size=4)),
        weight=10.0,
        schedule=[dict(kind='linear', end=0.05)],  # a ramp over 5% of the run
    ),
    loss_branch=dict(
        student='neck[:3]',
        loss=dict(
            type='mmkd.SAKDBranch',
            tau=4.0,
            shared=True,  # one branch judges teacher and student
            uniformize=dict(form='u2', size=4),
            recipe=dict(epochs=1),
        ),
        weight=1.0,
        schedule=[dict(kind='linear', end=0.05)],  # a ramp over 5% of the run
    ),
)
