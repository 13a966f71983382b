# CWT (2303.13212) on the FPN's output convolutions P3 to P7.
# RECONSTRUCTION: the paper's taps and weight are not known; both are MGD's. A neck that
# is no five-convolution FPN: write student='neck'.
terms = dict(
    loss_cwt=dict(
        student=[f'neck.fpn_convs.{i}.conv' for i in range(5)],
        connector=dict(type='mmkd.CWT'),
        loss=dict(type='mmkd.MSE', reduction='batch'),
        weight=2e-5,
    )
)
