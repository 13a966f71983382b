# As for every distillation, and for the report each loss's share of the gradient.
_base_ = '../_base_/runtime.py'
custom_hooks = [*_base_.custom_hooks, dict(type='mmkd.GradientShare', interval=12)]
