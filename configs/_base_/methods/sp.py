# SP (1907.09682, Tung and Mori): how alike the images of a batch are, in the last map.
method = dict(
    name='SP',
    paper='1907.09682',
    authors='Tung and Mori',
    compares='how alike the images of a batch are',
    group='relations between images',
    reconstruction=dict(cls="the weight, which is CIFAR-100's"),
)
# RepDistiller's weight for CIFAR-100.
cls = cifar = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_sp=dict(student='<stages>[-1]', loss=dict(type='mmkd.SP'), weight=3000.0)
    ),
)
