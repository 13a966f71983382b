# letKD-2 (2309.02843): two layers in the last stage of the student's backbone.
# The paper has no segmentation: an extension. RECONSTRUCTION: all of it, 1024 words for
# the sake of memory. 8 sub-classes for each of the 19 classes of Cityscapes.
# codebook: a file that tools/build_codebook.py makes from the teacher.
_base_ = './parts/letkd.py'
student = dict(
    layers=dict(intermediate=dict(templates=152), penultimate=dict(templates=1024))
)
