_base_ = [
    '../_base_/students/wrn-16-2_1xb128_tinyimagenet-32x32.py',
    '../_base_/methods/frskd.py',
    '../_base_/runtime.py',
]
# RECONSTRUCTION: the network, as on CIFAR-100, and both weights.
# Where the groups end in the authors' WRN: behind the next norm and ReLU.
_base_.cls.teacher_reads = [
    f'backbone.stages.{end}' for end in ('1.0.activate', '2.0.activate', '3')
]
_base_.cls.terms.loss_at.student = _base_.cls.teacher_reads
_base_.cls.terms.loss_kd.weight, _base_.cls.terms.loss_at.weight = 3.0, 100.0
model = dict(_base_.cls, _delete_=True, student=_base_.model)
