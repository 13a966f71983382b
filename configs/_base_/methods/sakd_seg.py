# SAKD-style (reconstructed; doi 10.1007/s44267-023-00003-0) on the
# stages of a ResNet, all but the first. RECONSTRUCTION: see parts/sakd.py.
# The paper has no segmentation: an extension, with a region for each class in an image.
_base_ = './parts/sakd.py'
terms = dict(
    loss_match=dict(student=[f'backbone.layer{i}' for i in (2, 3, 4)]),
    loss_branch=dict(
        student=[f'backbone.layer{i}' for i in (2, 3, 4)],
        loss=dict(recipe=dict(epochs=10)),
    ),
)
