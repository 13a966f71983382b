# SAKD-style (reconstructed; doi 10.1007/s44267-023-00003-0) on the
# ground-truth boxes in four FPN levels. RECONSTRUCTION: see parts/sakd.py.
# The paper has no detection: an extension, with a region for each ground-truth box.
_base_ = './parts/sakd.py'
terms = dict(
    loss_match=dict(student='neck[:4]'),
    loss_branch=dict(student='neck[:4]', loss=dict(recipe=dict(epochs=1))),
)
