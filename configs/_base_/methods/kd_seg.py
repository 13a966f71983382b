# KD (1503.02531) on every pixel that has a label.
# The paper has no segmentation: an extension. RECONSTRUCTION: tau and weight are our
# choice.
terms = dict(
    loss_kd=dict(
        student='decode_head.conv_seg',  # logits before upsampling
        loss=dict(type='mmkd.KD', tau=1.0),
        weight=1.0,
    )
)
