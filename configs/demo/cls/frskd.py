_base_ = [
    './student.py',
    '../../_base_/methods/frskd_cls.py',
    '../_runtime.py',
]
stages = [f'backbone.layer{i}' for i in (1, 2, 3)]
_base_.distiller.update(teacher_reads=stages)
_base_.terms.loss_at.update(student=stages)
# The best of 0.01, 0.1, 1 and 10 times the usual weight on validation images: see
# benchmarks/embedded.
_base_.terms.loss_kd.weight, _base_.terms.loss_at.weight = 0.2, 10.0
model = dict(_base_.distiller, _delete_=True, student=_base_.model, terms=_base_.terms)
