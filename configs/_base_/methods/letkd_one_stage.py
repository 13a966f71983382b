# letKD-2 (2309.02843): two layers in the last stage of the student's backbone.
# The paper has no detection: an extension. RECONSTRUCTION: all of it, 1024 words for
# the sake of parameters. 8 sub-classes for each of COCO's 80 classes; a position has
# the class of the smallest box around it, or none.
# codebook: a file that tools/build_codebook.py makes from the teacher.
_base_ = './parts/letkd.py'
student = dict(
    layers=dict(intermediate=dict(templates=640), penultimate=dict(templates=1024))
)
