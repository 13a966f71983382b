# For the report: each loss's share of the gradient. A model alone has but one loss.
custom_imports = dict(imports=['mmkd'], allow_failed_imports=False)
custom_hooks = [dict(type='mmkd.GradientShare', interval=12)]
