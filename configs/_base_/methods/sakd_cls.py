# SAKD-style (reconstructed; doi 10.1007/s44267-023-00003-0) on the
# stages of a ResNet, all but the first.
# RECONSTRUCTION: all, except that there is a branch and that vectors have one length.
# Profile P1; P0 is this with weight 0 for loss_match.
terms = dict(
    loss_match=dict(
        student=[f'backbone.layer{i}' for i in (2, 3, 4)],
        loss=dict(type='mmkd.SAKDMatch', uniformize=dict(form='u2', size=4)),
        weight=10.0,
        schedule=[dict(kind='linear', end=0.05)],  # a ramp over 5% of the run
    ),
    loss_branch=dict(
        student=[f'backbone.layer{i}' for i in (2, 3, 4)],
        loss=dict(
            type='mmkd.SAKDBranch',
            tau=4.0,
            shared=True,  # one branch judges teacher and student
            uniformize=dict(form='u2', size=4),
            recipe=dict(epochs=10),
        ),
        weight=1.0,
        schedule=[dict(kind='linear', end=0.05)],  # a ramp over 5% of the run
    ),
    # P2, "+KD". Off: --cfg-options model.terms.loss_logits.weight=1
    loss_logits=dict(student='head.fc', loss=dict(type='mmkd.KD', tau=4.0), weight=0.0),
)
