_base_ = [
    './student.py',
    '../../_base_/methods/frskd_seg.py',
    '../_runtime.py',
]
# The best of 0.1, 1 and 10 times the usual weights on validation images: see
# docs/results/embedded.md.
_base_.terms.loss_kd.weight = _base_.terms.loss_at.weight = 0.1
model = dict(_base_.distiller, _delete_=True, student=_base_.model, terms=_base_.terms)
