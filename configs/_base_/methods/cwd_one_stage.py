# CWD (2011.13256) on the first four FPN outputs.
# Taps, tau and weight: mmdetection-distiller's RetinaNet X101 -> R50 (40.5 box AP).
terms = dict(
    loss_cwd=dict(
        student='neck[:4]',
        connector=dict(type='mmkd.Align'),  # nothing to do where channels agree
        loss=dict(type='mmkd.CWD', tau=1.0),
        weight=5.0,
    )
)
