# VID (1904.05835, Ahn et al.): each channel of the teacher, as a normal distribution.
method = dict(
    name='VID',
    paper='1904.05835',
    authors='Ahn et al.',
    compares='features, each channel as a normal distribution that the student tells',
    group='features',
)
# RepDistiller, scripts/run_cifar_distill.sh: -b 1, and mdistiller, engine/cfg.py.
cifar = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_vid=dict(student='<stages>', loss=dict(type='mmkd.VID'), weight=1.0)
    ),
)
