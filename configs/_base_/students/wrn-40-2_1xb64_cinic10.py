# WRN-40-2 on CINIC-10. RECONSTRUCTION: the recipe is RepDistiller's for CIFAR-100.
_base_ = [
    '../models/cifar/wrn_40_2.py',
    '../datasets/cinic10.py',
    '../schedules/cifar_repdistiller.py',
]
model = dict(head=dict(num_classes=10))
