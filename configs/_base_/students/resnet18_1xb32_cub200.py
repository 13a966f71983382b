# ResNet-18 from scratch, FRSKD's recipe. RECONSTRUCTION: the batch size.
_base_ = [
    '../models/resnet18.py',
    '../datasets/cub200.py',
    '../schedules/frskd_200e.py',
]
model = dict(head=dict(num_classes=200))
auto_scale_lr = dict(base_batch_size=32)
