# NKD (2303.13005, Yang et al.): the target's probability and, normalised, the others'.
method = dict(
    name='NKD',
    paper='2303.13005',
    authors='Yang et al.',
    compares="class probabilities: the target's, and the others', normalised",
    group='class probabilities',
    extension=['two_stage'],
    reconstruction=dict(two_stage="all; the numbers are ImageNet's"),
)
# cls_KD, configs/distillers/imagenet/res34_distill_res18_img.py (71.96). For ResNet-50
# to MobileNet (72.58) it clips gradients as well: optim_wrapper.clip_grad.max_norm=5.
cls = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_nkd=dict(
            student='<logits>',
            loss=dict(type='mmkd.NKD', tau=1.0, gamma=1.5),
        )
    ),
)
# cls_KD, configs/distillers/cifar100/res34_distill_res18_cifar.py.
cifar = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_nkd=dict(
            student='<logits>',
            loss=dict(type='mmkd.NKD', tau=3.0, gamma=3.5),
        )
    ),
)
# On the regions that the student sampled, as in DKD's.
two_stage = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_nkd=dict(
            student='<logits>',
            labels='roi_head.bbox_head.get_targets()[0]',
            loss=dict(type='mmkd.NKD', tau=1.0, gamma=1.5),
        )
    ),
)
# cls_KD, configs/distillers/imagenet/deit-*: transformers have a smaller gamma.
gamma = 'terms.loss_nkd.loss.gamma'
pairs = {
    'deit-small_deit-tiny': {gamma: 1.0},
    'deit3-small_deit-tiny': {gamma: 1.0},
    'deit3-base_deit-small': {gamma: 1.0},
    'deit3-large_deit-base': {gamma: 1.0},
}
