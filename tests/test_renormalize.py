"""A teacher that expects other images gets them."""

from __future__ import annotations

import pytest
import torch
import zoo
from mmengine.model import ImgDataPreprocessor
from torch import nn

from mmkd.teacher.renormalize import Renormalize

RGB = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
HALF = dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5])
CAFFE = dict(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ('student', 'teacher'),
    [
        (dict(RGB, bgr_to_rgb=True), dict(HALF, bgr_to_rgb=True)),
        (dict(RGB, bgr_to_rgb=True), dict(CAFFE, bgr_to_rgb=False)),
        (dict(CAFFE), dict(RGB, bgr_to_rgb=True)),
        (dict(bgr_to_rgb=True), dict(RGB, bgr_to_rgb=True)),
        (dict(RGB, bgr_to_rgb=True), dict()),
    ],
)
def test_it_is_what_the_teachers_own_preprocessor_makes(student: dict, teacher: dict):
    image = [torch.randint(0, 256, (3, 4, 5), dtype=torch.uint8)]
    sides = [ImgDataPreprocessor(**config) for config in (student, teacher)]
    ours, theirs = (side(dict(inputs=image))['inputs'] for side in sides)
    translated = Renormalize(*sides)(ours, None)
    assert torch.allclose(translated, theirs, atol=1e-3)


def test_idle_where_nothing_differs():
    side = ImgDataPreprocessor(**RGB)
    x = torch.randn(1, 3, 2, 2)
    step = Renormalize(side, ImgDataPreprocessor(**RGB))
    assert step.idle and step(x, None) is x and not list(step.state_dict())


def test_idle_where_the_teacher_does_not_say():
    assert Renormalize(ImgDataPreprocessor(**RGB), nn.Identity()).idle


def test_a_teachers_dict_without_preprocessor_means_the_same_images():
    teacher = zoo.student('cls')
    del teacher['data_preprocessor']
    assert zoo.distiller('cls', teacher=teacher).renormalize['teacher'].idle


def test_padding_stays_zero():
    from mmengine.structures import BaseDataElement

    step = Renormalize(ImgDataPreprocessor(**RGB), ImgDataPreprocessor(**HALF))
    sample = BaseDataElement(metainfo=dict(img_shape=(2, 3)))
    image = step(torch.ones(1, 3, 4, 4), [sample])
    assert (image[..., 2:, :] == 0).all() and (image[..., 3:] == 0).all()
    assert (image[..., :2, :3] != 0).all()


@pytest.mark.parametrize(
    ('student', 'teacher', 'words'),
    [
        (nn.Identity(), ImgDataPreprocessor(**RGB), 'Identity normalises is not known'),
        (
            ImgDataPreprocessor(mean=[0.0], std=[1.0]),
            ImgDataPreprocessor(**RGB),
            'sees 1 channels and the teacher 3',
        ),
    ],
)
def test_what_cannot_be_translated(student: nn.Module, teacher: nn.Module, words: str):
    with pytest.raises(ValueError, match=words):
        Renormalize(student, teacher)


@pytest.mark.parametrize('kind', ['cls', 'faster_rcnn', 'pspnet'])
def test_in_a_distiller(kind: str):
    """A real teacher trained the Caffe way sees Caffe's images, the student its own."""
    teacher = zoo.student(kind)
    teacher['data_preprocessor'].update(
        dict(CAFFE, **{'to_rgb' if kind == 'cls' else 'bgr_to_rgb': False})
    )
    distiller = zoo.distiller(kind, teacher=teacher).train()
    seen = {}
    for name, model in (('s', distiller.student), ('t', distiller.teacher)):
        model.backbone.register_forward_pre_hook(
            lambda _, inputs, name=name: seen.update({name: inputs[0]})
        )
    data = zoo.batch(kind)
    distiller.train_step(data, zoo.optimizer(distiller))
    own = distiller.data_preprocessor(zoo.batch(kind), True)['inputs']
    theirs = distiller.teacher.data_preprocessor(zoo.batch(kind), True)['inputs']
    assert torch.equal(seen['s'], own)
    assert torch.allclose(seen['t'], theirs, atol=1e-3)
