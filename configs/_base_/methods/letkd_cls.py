# letKD-2 (2309.02843): two layers in the student, which stay there.
# 4096 words and 8 sub-classes for each class (of ImageNet here) are the authors'.
# codebook: a file that tools/build_codebook.py makes from the teacher.
_base_ = './parts/letkd.py'
student = dict(
    layers=dict(intermediate=dict(templates=8000), penultimate=dict(templates=4096))
)
