# CWD (2011.13256) on the last feature map.
# The paper has dense prediction only: an extension. RECONSTRUCTION: tap, tau and weight
# are our choice.
terms = dict(
    loss_cwd=dict(
        student='backbone[-1]',
        connector=dict(type='mmkd.Align'),
        loss=dict(type='mmkd.CWD', tau=1.0),
        weight=1.0,
    )
)
