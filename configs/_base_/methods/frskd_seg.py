# FRSKD (2103.08273) on the four stages of a ResNet, dilated or not.
# The paper's place is a neck: see frskd_fpn-r50_4xb2-80k_cityscapes-512x1024.py.
# RECONSTRUCTION: this form, the weight and the reduction of loss_at. Of the authors'
# code: 256 as the fixed width, tau and weight of loss_kd, the ramp.
distiller = dict(
    type='mmkd.SelfDistiller',
    teacher=dict(type='mmkd.FRSKDTeacher', channels=256, norm='SyncBN'),
    teacher_reads=[f'backbone.layer{i}' for i in range(1, 5)],
    teacher_target='decode_head.conv_seg',
)
terms = dict(
    loss_kd=dict(
        student='decode_head.conv_seg',
        teacher='head',
        # Where the teacher's logits are larger or smaller than the student's.
        teacher_connector=dict(type='mmkd.Align'),
        loss=dict(type='mmkd.KD', tau=1.0),
        weight=1.0,
        schedule=[  # nothing for two thirds of the run, then up to its end
            dict(kind='constant', end=2 / 3, factor=0.0),
            dict(kind='sigmoid', begin=2 / 3),
        ],
    ),
    loss_at=dict(
        student=[f'backbone.layer{i}' for i in range(1, 5)],
        teacher='pyramid',
        loss=dict(type='mmkd.AT', reduction='batch'),
        weight=1.0,
        schedule=[  # nothing for two thirds of the run, then up to its end
            dict(kind='constant', end=2 / 3, factor=0.0),
            dict(kind='sigmoid', begin=2 / 3),
        ],
    ),
)
