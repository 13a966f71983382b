# AT (1612.03928, Zagoruyko and Komodakis): where in its maps a network looks.
method = dict(
    name='AT',
    paper='1612.03928',
    authors='Zagoruyko and Komodakis',
    compares='where in its maps a network looks: the energy of every position',
    group='features',
)
# szagoruyko/attention-transfer, README.md: --beta 1e+3, on the four groups of ResNet-34
# -> ResNet-18. (Its imagenet.py sums what each GPU gives, so 2 GPUs count twice that.)
# mdistiller, configs/imagenet/r34_r18/at.yaml and r50_mv1/at.yaml: 1000. RepDistiller,
# scripts/run_cifar_distill.sh: -b 1000, on the three stages.
cls = cifar = dict(
    type='mmkd.Distiller',
    terms=dict(
        loss_at=dict(student='<stages>', loss=dict(type='mmkd.AT'), weight=1000.0)
    ),
)
# MobileNetV1 has a stage more, at half the size of the image. (mdistiller's pairing is
# off by one here: it leaves out the student's second stage and none of the teacher's.)
pairs = {
    'resnet50_mobilenet-v1': {
        'terms.loss_at.student': '<stages>[1:]',
        'terms.loss_at.teacher': '<stages>',
    }
}
