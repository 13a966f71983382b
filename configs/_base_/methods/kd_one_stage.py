# KD (1503.02531) on the class scores of every anchor of every level.
# The paper has no detection: an extension. RECONSTRUCTION: tau and weight are our
# choice.
terms = dict(
    loss_kd=dict(
        student='bbox_head[0]',  # (class scores per level, box deltas per level)[0]
        loss=dict(type='mmkd.BinaryKD', tau=1.0),
        weight=1.0,
    )
)
