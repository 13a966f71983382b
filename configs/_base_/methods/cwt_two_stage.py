# CWT (2303.13212) on the FPN's output convolutions P2 to P5; P6 is a pooled P5.
# RECONSTRUCTION: the paper's taps and weight are not known; both are MGD's.
terms = dict(
    loss_cwt=dict(
        student=[f'neck.fpn_convs.{i}.conv' for i in range(4)],
        connector=dict(type='mmkd.CWT'),
        loss=dict(type='mmkd.MSE', reduction='batch'),
        weight=5e-7,
    )
)
