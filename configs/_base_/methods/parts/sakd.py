# What the fragments share of SAKD-style (reconstructed; doi
# 10.1007/s44267-023-00003-0).
# RECONSTRUCTION: all, except that there is a branch and that vectors have one length.
# Profile P1; P0 is this with weight 0 for loss_match. A fragment says where the levels
# are, and for how many epochs the branch is trained.
terms = dict(
    loss_match=dict(
        loss=dict(type='mmkd.SAKDMatch', uniformize=dict(form='u2', size=4)),
        weight=10.0,
        schedule=[dict(kind='linear', end=0.05)],  # a ramp over 5% of the run
    ),
    loss_branch=dict(
        loss=dict(
            type='mmkd.SAKDBranch',
            tau=4.0,
            shared=True,  # one branch judges teacher and student
            uniformize=dict(form='u2', size=4),
        ),
        weight=0.1,
        schedule=[dict(kind='linear', end=0.05)],  # a ramp over 5% of the run
    ),
)
