# SAKD-style (reconstructed; doi 10.1007/s44267-023-00003-0) on the
# stages of a ResNet, all but the first. RECONSTRUCTION: see parts/sakd.py.
_base_ = './parts/sakd.py'
terms = dict(
    loss_match=dict(student=[f'backbone.layer{i}' for i in (2, 3, 4)]),
    loss_branch=dict(
        student=[f'backbone.layer{i}' for i in (2, 3, 4)],
        loss=dict(recipe=dict(epochs=10)),
    ),
    # P2, "+KD". Off: --cfg-options model.terms.loss_logits.weight=1
    loss_logits=dict(student='head.fc', loss=dict(type='mmkd.KD', tau=4.0), weight=0.0),
)
