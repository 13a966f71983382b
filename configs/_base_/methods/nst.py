# NST (1707.01219, Huang and Wang): where channels are active, whichever channel it is.
method = dict(
    name='NST',
    paper='1707.01219',
    authors='Huang and Wang',
    compares='where channels are active, as a distribution over channels',
    group='features',
)
# RepDistiller, scripts/run_cifar_distill.sh: -b 50, and mdistiller, engine/cfg.py.
cifar = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_nst=dict(student='<stages>', loss=dict(type='mmkd.NST'), weight=50.0)
    ),
)
