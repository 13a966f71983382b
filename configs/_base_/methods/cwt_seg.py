# CWT (2303.13212) on the backbone's last stage.
# RECONSTRUCTION: the paper's tap and weight are not known; both are MGD's.
terms = dict(
    loss_cwt=dict(
        student='backbone[-1]',
        connector=dict(type='mmkd.CWT'),
        loss=dict(type='mmkd.MSE', reduction='batch'),
        weight=2e-5,
    ),
    # MGD adds CWD on the logits, with weight 3. Whether CWT does is not known, and its
    # abstract speaks of one hyper-parameter: off. To switch it on:
    # --cfg-options model.terms.loss_logits.weight=3
    loss_logits=dict(
        student='decode_head.conv_seg',
        loss=dict(type='mmkd.CWD', tau=4.0),
        weight=0.0,
    ),
)
