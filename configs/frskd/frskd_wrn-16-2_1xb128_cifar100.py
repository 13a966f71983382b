_base_ = [
    '../_base_/students/wrn-16-2_1xb128_cifar100.py',
    '../_base_/methods/frskd.py',
    '../_base_/runtime.py',
]
# RECONSTRUCTION: that the authors' weights for ResNet-18 are those of this network, and
# the network itself: the authors' has its norms in other places (see the README).
# Where the groups end in the authors' WRN: behind the next norm and ReLU.
_base_.cls.teacher_reads = [
    f'backbone.stages.{end}' for end in ('1.0.activate', '2.0.activate', '3')
]
_base_.cls.terms.loss_at.student = _base_.cls.teacher_reads
model = dict(_base_.cls, _delete_=True, student=_base_.model)
