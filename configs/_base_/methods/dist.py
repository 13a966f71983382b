# DIST (2205.10536, Huang et al.): how class probabilities vary over classes and images.
method = dict(
    name='DIST',
    paper='2205.10536',
    authors='Huang et al.',
    compares='how class probabilities vary over the classes, and over the images',
    group='class probabilities',
)
# hunto/image_classification_sota, configs/strategies/distill/resnet_dist.yaml: 8 GPUs
# with 32 images each. A class is compared over the images of one GPU.
cls = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_dist=dict(
            student='<logits>',
            loss=dict(type='mmkd.DIST', tau=1.0),
            weight=2.0,
        )
    ),
)
# The same, dist_cifar.yaml: one GPU with 64 images.
cifar = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_dist=dict(
            student='<logits>',
            loss=dict(type='mmkd.DIST', tau=4.0),
            weight=2.0,
        )
    ),
)
# hunto/MasKD, mmrazor/configs/distill/dist: on the regions that the student sampled. The
# first head of a cascade is the teacher there: teacher='roi_head.bbox_head.0[0]'.
# "DIST+mimic" adds MSE of all FPN outputs behind 1x1 convolutions, with weight 1.
two_stage = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_dist=dict(
            student='<logits>',
            loss=dict(type='mmkd.DIST', tau=1.0),
            weight=1.0,
        )
    ),
)
# The same repository's RetinaNet: the class scores of each level, on their own.
one_stage = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_dist=dict(
            student='<logits>',
            loss=dict(type='mmkd.BinaryDIST', tau=1.0),
            weight=1.0,
        )
    ),
)
# hunto/DIST_KD, segmentation/train_kd.py: on every pixel, before the logits are
# enlarged, with 2 images on each GPU. Of auxiliary heads it adds the same with weight
# 0.4, which is a second term with student='auxiliary_head.conv_seg'.
seg = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_dist=dict(
            student='<logits>',
            loss=dict(type='mmkd.DIST', tau=1.0),
            weight=1.0,
        )
    ),
)
