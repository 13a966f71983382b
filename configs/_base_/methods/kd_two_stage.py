# KD (1503.02531) on RoI classes: the teacher judges the regions that the student
# sampled.
# The paper has no detection: an extension. RECONSTRUCTION: tau and weight are our
# choice.
terms = dict(
    loss_kd=dict(
        student='roi_head.bbox_head[0]',  # (class scores, box deltas)[0]
        # A cascade has several heads. Name one: teacher='roi_head.bbox_head.2[0]'.
        loss=dict(type='mmkd.KD', tau=1.0),
        weight=1.0,
    )
)
