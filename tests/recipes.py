"""The numbers of every config that ships, typed from where they are taken from.

Lines are those of MingiJi/FRSKD 98b87e5, adagorgun/letKD-framework 4fb2289 and its
supplement, yzd-v/MGD 2c9da0b, HobbitLong/RepDistiller b84f547, open-mmlab/mmrazor and
pppppM/mmdetection-distiller. What is guessed says RECONSTRUCTION. Of each config what a
row names is compared.
"""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]
IMAGENET = dict(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
FLIP = dict(type='RandomFlip', prob=0.5, direction='horizontal')


def term(
    loss: str, weight: float, student: Any, teacher: Any = None, **more: Any
) -> Row:
    """A term's taps, weight and what its loss (or the term) has of arguments."""
    return dict(
        loss=loss, weight=weight, student=student, teacher=teacher or student, **more
    )


def sgd(lr: float, weight_decay: float, **more: Any) -> Row:
    return dict(type='SGD', lr=lr, momentum=0.9, weight_decay=weight_decay, **more)


# -- RepDistiller: train_student.py:44-54, 78, 93, 273; dataset/cifar100.py:54-57 ------

REPDISTILLER = dict(
    optimizer=sgd(0.05, 5e-4),
    decay=([150, 180, 210], 0.1),
    epochs=240,
    batch=64,
    mean=(0.5071, 0.4867, 0.4408),
    std=(0.2675, 0.2565, 0.2761),
    pipeline=[dict(type='RandomCrop', crop_size=32, padding=4), FLIP],
    drop_last=False,
)
LIGHT = {**REPDISTILLER, 'optimizer': sgd(0.01, 5e-4)}
# CINIC-10 has mean and std of github.com/BayesWatch/cinic-10. RECONSTRUCTION: the rest.
CINIC = {
    **REPDISTILLER,
    'mean': (0.4789, 0.4723, 0.4305),
    'std': (0.2421, 0.2383, 0.2587),
}

# -- FRSKD: classification/main.py:19-51, dataset.py:23-26, 40-43, 66-68 ---------------

FRSKD = dict(
    optimizer=sgd(0.1, 1e-4),
    decay=([100, 150], 0.1),
    epochs=200,
    batch=128,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
    pipeline=[dict(type='RandomCrop', crop_size=32, padding=4), FLIP],
    drop_last=False,
)
FRSKD_TINY = {
    **FRSKD,
    'mean': (0.4802, 0.4481, 0.3975),
    'std': (0.2770, 0.2691, 0.2821),
    'pipeline': [dict(type='RandomResizedCrop', scale=32), FLIP],
}
FINE = {  # RECONSTRUCTION: the batch size
    **FRSKD,
    **IMAGENET,
    'batch': 32,
    'pipeline': [dict(type='RandomResizedCrop', scale=224), FLIP],
}
# segmentation/main.py:36-46, 78-90, 95, 98-101, 116-133, and the README's command.
VOC = dict(
    **IMAGENET,
    optimizer=sgd(0.01, 5e-4),
    decay=([40], 0.1),
    epochs=60,
    batch=16,
    accumulate=2,
    clip=dict(type='value', clip_value=2.0),
    drop_last=True,
)
# Behind the sigmoid of epoch + 1 - 40 over 20: it begins at -1, counted from 40.
RAMP = [
    dict(kind='constant', by='epoch', end=40, factor=0.0),
    dict(kind='sigmoid', by='epoch', begin=39, end=59),
]
BIFPNC = dict(type='mmkd.FRSKDTeacher', width=2.0, depth=2, repeat=1, channels=None)
LAYERS = [f'backbone.layer{i}' for i in (1, 2, 3, 4)]
# classification/models/wrn.py: behind the first norm and ReLU of each next group.
GROUPS = [f'backbone.stages.{i}' for i in ('1.0.activate', '2.0.activate', '3')]


def frskd(
    recipe: Row,
    alpha: float,
    beta: float,
    reads: Any = LAYERS,
    teacher: Row = BIFPNC,
    **more: Any,
) -> Row:
    """A row with the attention loss at the places that the self-teacher reads."""
    return {
        **recipe,
        'reads': reads,
        'self_teacher': teacher,
        'loss_kd': term('KD', alpha, 'head.fc', 'head', tau=4.0),
        'loss_at': term('AT', beta, reads, 'pyramid', reduction='mean'),
        **more,
    }


def neck(at: Row, teacher: Row, ramp: Any) -> Row:
    """A row of segmentation, with the self-teacher on the neck."""
    logits = term('KD', 1.0, 'decode_head.conv_seg', 'head', tau=1.0, schedule=ramp)
    at = {**at, 'schedule': ramp}
    return dict(reads='neck', self_teacher=teacher, loss_kd=logits, loss_at=at)


# RECONSTRUCTION: the attention's weight and reduction; on other networks, all but the
# ramp (of a run by iterations: over its last third).
WIDE = dict(
    type='mmkd.FRSKDTeacher', channels=256, repeat=2, from_deepest=False, norm='SyncBN'
)
BY_ITERATION = [
    dict(kind='constant', end=2 / 3, factor=0.0),
    dict(kind='sigmoid', begin=2 / 3),
]
ON_A_NECK = term('AT', 1.0, 'neck', 'pyramid', reduction='batch')
SLA = dict(type='mmkd.FRSKDSLATeacher', width=2.0, depth=2, tau=4.0, sla_weight=1.0)
ADAPTER = dict(type='mmkd.Align', bias=False, norm=True, always=True)
FRSKD_ROWS = {
    'resnet18_1xb128_cifar100': frskd(FRSKD, 2.0, 100.0),
    'cutmix_resnet18_1xb128_cifar100': frskd(  # README: --aug_a 1.0
        FRSKD, 2.0, 100.0, augments=dict(type='CutMix', alpha=1.0)
    ),
    'mixup_resnet18_1xb128_cifar100': frskd(  # README: --aug_a 0.2
        FRSKD, 2.0, 100.0, augments=dict(type='Mixup', alpha=0.2)
    ),
    # distill_loss/FitNet.py. RECONSTRUCTION: the weight.
    'fitnet_resnet18_1xb128_cifar100': frskd(
        FRSKD,
        2.0,
        0.0,
        loss_at=term(
            'MSE', 100.0, LAYERS, 'pyramid', connector={**ADAPTER, 'relu': True}
        ),
    ),
    # distill_loss/OD.py, models/resnet.py and bifpnc.py with preact: what is before the
    # last ReLU on both sides. RECONSTRUCTION: the weight.
    'overhaul_resnet18_1xb128_cifar100': frskd(
        FRSKD,
        2.0,
        0.0,
        loss_at=term(
            'OFD',
            1e-3,
            [f'backbone.layer{i}.-1.relu:input@-1' for i in (1, 2, 3, 4)],
            ['pyramid.0.top_down.0', *(f'pyramid.0.bottom_up.{i}' for i in range(3))],
            connector=ADAPTER,
        ),
    ),
    # distill_loss/sla.py: KD over 2 views, alpha / 2 each; AT over 5, beta / 5 each.
    'sla_resnet18_1xb128_cifar100': frskd(
        FRSKD, 1.0, 20.0, teacher={**SLA, 'kd_weight': 1.0, 'at_weight': 80.0}
    ),
    # RECONSTRUCTION: that alpha and beta are those of ResNet-18.
    'wrn-16-2_1xb128_cifar100': frskd(FRSKD, 2.0, 100.0, GROUPS),
    # RECONSTRUCTION from here on: alpha and beta.
    'wrn-16-2_1xb128_tinyimagenet-32x32': frskd(FRSKD_TINY, 3.0, 100.0, GROUPS),
    'resnet18_1xb128_tinyimagenet-32x32': frskd(FRSKD_TINY, 3.0, 100.0),
    **{
        f'resnet18_1xb32_{data}': frskd(FINE, 1.0, 200.0)
        for data in ('cub200', 'dogs', 'mit67', 'stanford40')
    },
    # RECONSTRUCTION: the schedule (mmpretrain's) and the width too.
    **{
        f'resnet{depth}_8xb32_in1k': frskd(
            IMAGENET, 1.0, 100.0, teacher={**BIFPNC, 'width': 1.0}
        )
        for depth in (18, 34)
    },
    'bifpn-efficientnet-b0_1xb16-60e_voc0712-512x512': {
        **VOC,
        **neck(
            term('AT', 50.0, 'neck', 'pyramid', reduction='mean'),
            dict(type='mmkd.FRSKDNeckTeacher'),
            RAMP,
        ),
    },
    'fpn-r18_1xb16-60e_voc0712-512x512': {**VOC, **neck(ON_A_NECK, WIDE, RAMP)},
    'fpn-r50_4xb2-80k_cityscapes-512x1024': neck(ON_A_NECK, WIDE, BY_ITERATION),
}

# -- letKD: CIFAR100/**/letKD-{1,2}.py, datasets/, supplement 1.2 and 2.2 --------------

LETKD = {  # cifar_dataset.py:72; basic_dataloaders.py:45, 54
    **REPDISTILLER,
    'optimizer': sgd(0.05, 5e-4, nesterov=True),
    'pipeline': [
        dict(type='RandomCrop', crop_size=32, padding=4, padding_mode='reflect'),
        FLIP,
    ],
    'drop_last': True,
}
TURNED = dict(  # RandomRotation(20): any angle up to 20 degrees, to either side
    type='Rotate',
    magnitude_range=(0, 20),
    magnitude_std='inf',
    magnitude_level=10,
    prob=1.0,
    pad_val=0,
)
LETKD_TINY = {  # tiny_imagenet_dataset.py. RECONSTRUCTION: batch and weight decay
    **LETKD,
    'mean': (0.4802, 0.4481, 0.3975),
    'std': (0.2302, 0.2265, 0.2262),
    'pipeline': [TURNED, FLIP],
}
LETKD_IN1K = dict(  # supplement 2.2. RECONSTRUCTION: batch and weight decay
    **IMAGENET,
    optimizer=sgd(0.1, 1e-4, nesterov=True),
    decay=([30, 60, 90], 0.1),
    epochs=100,
    batch=32,
)
LAST = 'backbone.stages.2.0'  # the first block of the last stage
GAINS = (3.0, 1.0)  # scale_cls of both; valueLayer.py


def letkd(
    recipe: Row,
    after: str,
    teacher: str,
    alphas: tuple[float, float] = (1.0, 1.0),
    templates: int = 800,
) -> Row:
    """A row of letKD-2."""
    places = dict(intermediate=(after, templates), penultimate=('backbone', 4096))
    return {
        **recipe,
        'layers': {
            name: dict(after=place, templates=count, alpha=alpha, gains=GAINS)
            for (name, (place, count)), alpha in zip(places.items(), alphas)
        },
        'loss_intermediate': term(
            'LetKDIntermediate', 1.0, 'backbone.kd_layers.intermediate.match', teacher
        ),
        'loss_penultimate': term(
            'LetKDPenultimate',
            1.0,
            'backbone.kd_layers.penultimate.match',
            'backbone[-1]',
            tau=1.0,
        ),
    }


def slow(recipe: Row) -> Row:
    """With the learning rate of heterogeneous students."""
    return {**recipe, 'optimizer': {**recipe['optimizer'], 'lr': 0.01}}


HALF = 'backbone.stages.3.0.0'  # of MobileNetV2: blocks[5][0], with 80 channels
LETKD_ROWS = {
    'wrn-40-2_wrn-16-2_1xb64_cifar100': letkd(LETKD, LAST, LAST),
    'wrn-40-2_wrn-40-1_1xb64_cifar100': letkd(LETKD, LAST, LAST),
    'resnet56_resnet20_1xb64_cifar100': letkd(LETKD, LAST, LAST),
    'resnet110_resnet20_1xb64_cifar100': letkd(LETKD, LAST, LAST),
    'resnet110_resnet32_1xb64_cifar100': letkd(LETKD, LAST, LAST),
    'resnet32x4_resnet8x4_1xb64_cifar100': letkd(LETKD, LAST, LAST),
    'wrn-40-2_shufflenet-v1_1xb64_cifar100': letkd(slow(LETKD), LAST, LAST),
    'resnet32x4_shufflenet-v1_1xb64_cifar100': letkd(slow(LETKD), LAST, LAST),
    'resnet32x4_shufflenet-v2_1xb64_cifar100': letkd(slow(LETKD), LAST, LAST),
    'resnet50_mobilenet-v2_1xb64_cifar100': letkd(
        slow(LETKD), HALF, 'backbone.layer4.0', (0.2, 0.1)
    ),
    'wrn-40-2_wrn-16-2_1xb64_tinyimagenet': letkd(
        LETKD_TINY, LAST, LAST, templates=1600
    ),
    'wrn-40-2_wrn-40-1_1xb64_tinyimagenet': letkd(
        LETKD_TINY, LAST, LAST, templates=1600
    ),
    'resnet56_resnet20_1xb64_tinyimagenet': letkd(
        LETKD_TINY, LAST, LAST, templates=1600
    ),
    'wrn-40-2_shufflenet-v1_1xb64_tinyimagenet': letkd(
        slow(LETKD_TINY), LAST, LAST, templates=1600
    ),
    'resnet50_mobilenet-v2_1xb64_tinyimagenet': letkd(
        slow(LETKD_TINY), HALF, 'backbone.layer4.0', (1.0, 0.5), 1600
    ),
    # RECONSTRUCTION: the places.
    'resnet34_resnet18_8xb32_in1k': letkd(
        LETKD_IN1K, 'backbone.layer4.0', 'backbone.layer4.0', templates=8000
    ),
    'resnet50_mobilenet-v1_8xb32_in1k': letkd(
        LETKD_IN1K, 'backbone.stages.4.0', 'backbone.layer4.0', templates=8000
    ),
}
LETKD_ROWS['1_resnet56_resnet20_1xb64_cifar100'] = {
    key: value
    for key, value in letkd(LETKD, LAST, LAST).items()
    if key != 'loss_intermediate'
} | {
    'layers': {
        'penultimate': dict(after='backbone', templates=4096, alpha=1.0, gains=GAINS)
    }
}

# -- CWT, as RECONSTRUCTION: MGD's configs. Their neck.fpn_convs.i.conv gives neck[i]. -

CLIP = dict(max_norm=35, norm_type=2)


def cwt(weight: float, student: Any, teacher: Any = None, **more: Any) -> Row:
    return dict(
        loss_cwt=term(
            'MSE',
            weight,
            student,
            teacher,
            reduction='batch',
            connector=dict(type='mmkd.CWT'),
        ),
        **more,
    )


CWT_ROWS = {
    'resnet34_resnet18_8xb32_in1k': cwt(7e-5, 'backbone.layer4', clip=None),
    'resnet50_mobilenet-v1_8xb32_in1k': cwt(
        7e-5, 'backbone.stages.4', 'backbone.layer4', clip=dict(max_norm=5)
    ),
    'cascade-mask-x101-dcn_faster-rcnn-r50_2x_coco': cwt(5e-7, 'neck[:4]', clip=CLIP),
    'cascade-mask-x101-dcn_mask-rcnn-r50_2x_coco': cwt(5e-7, 'neck[:4]', clip=CLIP),
    'retinanet-x101_retinanet-r50_2x_coco': cwt(
        2e-5, 'neck', clip=CLIP, inherit=['neck', 'bbox_head']
    ),
    'pspnet-r101_pspnet-r18_4xb2-80k_cityscapes-512x1024': cwt(
        2e-5,
        'backbone.layer4',
        clip=None,
        # SegmentationDistiller: use_logit, with tau 4 and weight 3. Off here.
        loss_logits=term('CWD', 0.0, 'decode_head.conv_seg', tau=4.0),
    ),
}

# -- CWD and KD: mmrazor, mmdetection-distiller, RepDistiller's script -----------------

SEG = 'pspnet-r101_pspnet-r18_4xb2-80k_cityscapes-512x1024'
FASTER = 'faster-rcnn-r101_faster-rcnn-r50_1x_coco'
CWD_ROWS = {
    FASTER: dict(loss_cwd=term('CWD', 10.0, 'neck', tau=1.0)),
    'retinanet-x101_retinanet-r50_2x_coco': dict(
        loss_cwd=term('CWD', 5.0, 'neck[:4]', tau=1.0)
    ),
    SEG: dict(loss_cwd=term('CWD', 5.0, 'decode_head.conv_seg', tau=1.0)),
}
KD_ROWS = {
    'resnet34_resnet18_8xb32_in1k': dict(
        own=1.0, loss_kd=term('KD', 3.0, 'head.fc', tau=1.0)
    ),
    'resnet32x4_resnet8x4_1xb64_cifar100': dict(  # run_cifar_distill.sh:5
        REPDISTILLER, own=0.1, loss_kd=term('KD', 0.9, 'head.fc', tau=4.0)
    ),
    # RECONSTRUCTION: our choice.
    FASTER: dict(own=1.0, loss_kd=term('KD', 1.0, 'roi_head.bbox_head[0]', tau=1.0)),
    SEG: dict(own=1.0, loss_kd=term('KD', 1.0, 'decode_head.conv_seg', tau=1.0)),
}

# -- SAKD. RECONSTRUCTION: all but RepDistiller's recipe and the branch's epochs, which
# -- are those of winycg/HSAKD. --------------------------------------------------------

STAGES = [f'backbone.stages.{i}' for i in range(3)]


def sakd(recipe: Row) -> Row:
    return dict(
        recipe,
        loss_match=term('SAKDMatch', 10.0, STAGES),
        loss_branch=term('SAKDBranch', 0.1, STAGES, tau=4.0, recipe=dict(epochs=100)),
        loss_logits=term('KD', 0.0, 'head.fc', tau=4.0),
    )


SAKD_ROWS = {
    'resnet32x4_resnet8x4_1xb64_cifar100': sakd(REPDISTILLER),
    'wrn-40-2_wrn-40-1_1xb64_cifar100': sakd(REPDISTILLER),
    'wrn-40-2_wrn-40-1_1xb64_cinic10': sakd(CINIC),
}
ROWS = {
    f'{method}_{name}': row
    for method, rows in dict(
        kd=KD_ROWS,
        cwd=CWD_ROWS,
        cwt=CWT_ROWS,
        frskd=FRSKD_ROWS,
        letkd=LETKD_ROWS,
        sakd=SAKD_ROWS,
    ).items()
    for name, row in rows.items()
}
