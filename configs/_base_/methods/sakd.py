# SAKD-style (reconstructed; doi 10.1007/s44267-023-00003-0, Guo et al.): vectors of one
# length, and how a branch on the teacher classifies them.
# Profile P1; P0 is this with weight 0 for loss_match.
method = dict(
    name='SAKD-style',
    doi='10.1007/s44267-023-00003-0',
    authors='Guo et al.',
    compares='vectors of one length, and how a branch classifies them',
    group='features',
    extension=['two_stage', 'one_stage', 'seg'],
    reconstruction=(
        'all, except that there is a branch and that vectors have one length'
    ),
    trial={'terms.loss_branch.loss.recipe': 'random'},
)
ramp = [dict(kind='linear', end=0.05)]  # over 5% of the run
match = dict(
    student='<stages>[1:]',
    loss=dict(type='mmkd.SAKDMatch', uniformize=dict(form='u2', size=4)),
    weight=10.0,
    schedule=ramp,
)
branch = dict(
    type='mmkd.SAKDBranch',
    tau=4.0,
    shared=True,  # one branch judges teacher and student
    uniformize=dict(form='u2', size=4),
)
guide = dict(
    student='<stages>[1:]',
    loss=dict(branch, recipe=dict(epochs=10)),
    weight=0.1,
    schedule=ramp,
)
cls = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_match=match,
        loss_branch=guide,
        # P2, "+KD". Off: --cfg-options model.terms.loss_logits.weight=1
        loss_logits=dict(
            student='<logits>', loss=dict(type='mmkd.KD', tau=4.0), weight=0.0
        ),
    ),
)
# The three stages of a network for 32x32 images; the branch's epochs are HSAKD's.
cifar = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_match=dict(match, student='<stages>'),
        loss_branch=dict(
            guide, student='<stages>', loss=dict(branch, recipe=dict(epochs=100))
        ),
        loss_logits=dict(
            student='<logits>', loss=dict(type='mmkd.KD', tau=4.0), weight=0.0
        ),
    ),
)
# With a region for each ground-truth box.
two_stage = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_match=dict(match, student='<pyramid>[:4]'),
        loss_branch=dict(
            guide, student='<pyramid>[:4]', loss=dict(branch, recipe=dict(epochs=1))
        ),
    ),
)
one_stage = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_match=dict(match, student='<pyramid>[:3]'),
        loss_branch=dict(
            guide, student='<pyramid>[:3]', loss=dict(branch, recipe=dict(epochs=1))
        ),
    ),
)
# With a region for each class in an image.
seg = dict(
    type='mmkd.Distiller',
    terms=dict(loss_match=match, loss_branch=guide),
)
