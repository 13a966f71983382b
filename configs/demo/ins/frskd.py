_base_ = [
    './student.py',
    '../../_base_/methods/frskd_two_stage.py',
    '../_runtime.py',
]
model = dict(_base_.distiller, _delete_=True, student=_base_.model, terms=_base_.terms)
