# ResNet-20, letKD's recipe.
# RECONSTRUCTION: weight decay and batch size are CIFAR-100's.
_base_ = [
    '../models/cifar/resnet20.py',
    '../datasets/tinyimagenet_letkd.py',
    '../schedules/cifar_repdistiller.py',
]
model = dict(head=dict(num_classes=200))
optim_wrapper = dict(optimizer=dict(nesterov=True))
