# CWD (2011.13256) on the logits.
# tau and weight: mmrazor, for Cityscapes at 512x1024 and 80k. The authors' code has
# tau 4 and weight 3, for 512x512 and 40k.
terms = dict(
    loss_cwd=dict(
        student='decode_head.conv_seg',  # logits before upsampling
        loss=dict(type='mmkd.CWD', tau=1.0),
        weight=5.0,
    )
)
