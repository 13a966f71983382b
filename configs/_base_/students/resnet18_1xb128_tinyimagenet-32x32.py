# ResNet-18, FRSKD's recipe.
_base_ = [
    '../models/resnet18_cifar.py',
    '../datasets/tinyimagenet_frskd.py',
    '../schedules/frskd_200e.py',
]
model = dict(head=dict(num_classes=200))
