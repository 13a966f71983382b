# WRN-16-2, FRSKD's recipe.
_base_ = [
    '../models/cifar/wrn_16_2.py',
    '../datasets/cifar100_frskd.py',
    '../schedules/frskd_200e.py',
]
