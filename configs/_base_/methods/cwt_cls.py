# CWT (2303.13212) on the last feature map.
# RECONSTRUCTION: the paper's tap and weight are not known; both are MGD's.
terms = dict(
    loss_cwt=dict(
        student='backbone[-1]',
        connector=dict(type='mmkd.CWT'),
        loss=dict(type='mmkd.MSE', reduction='batch'),
        weight=7e-5,
    )
)
