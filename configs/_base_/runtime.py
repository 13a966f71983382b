# What every distillation needs beside the student's own recipe.
custom_imports = dict(imports=['mmkd'], allow_failed_imports=False)
custom_hooks = [
    dict(type='mmkd.SeedIterations'),  # a resumed run repeats dropout and sampling
    dict(type='mmkd.CheckData'),  # codebooks and recordings: made from these data?
    dict(type='mmkd.DescribeStudent'),  # what layers cost that stay in the student
    dict(type='mmkd.TrainPreludes'),  # what learns from the teacher first
    dict(type='mmkd.ExportStudent'),  # student_last.pth, student_best_….pth
]
