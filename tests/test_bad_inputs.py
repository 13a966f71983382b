"""Odd batches: a distillation does with them what the student alone does, and its terms
are finite; where the student refuses, so does it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
import torch
import zoo
from cells import cell
from mmengine.logging import MessageHub
from torch import Tensor

from mmkd.launch import BUILDING, MISTAKES
from mmkd.registry import MODELS

METHODS = ('kd', 'cwd', 'cwt', 'frskd', 'letkd', 'sakd')
Batch = dict[str, Any]


@cache
def distiller(method: str, kind: str) -> Any:
    torch.manual_seed(0)
    return MODELS.build(cell(method, kind)).train()


@pytest.fixture(scope='module', autouse=True)
def forget() -> Iterator[None]:
    yield
    distiller.cache_clear()


# -- batches ---------------------------------------------------------------------------


def usual(kind: str) -> Batch:
    return zoo.batch(kind)


def single(kind: str) -> Batch:
    return zoo.batch(kind, count=1)


def empty(kind: str) -> Batch:
    return dict(inputs=[], data_samples=[])


def of_size(kind: str, *sizes: tuple[int, int]) -> Batch:
    """Images of these sizes, each with one object or all of one class."""
    from mmengine.structures import InstanceData, PixelData

    data = zoo.batch(kind, count=len(sizes))
    data['inputs'] = [torch.randint(0, 256, (3, *size)) for size in sizes]
    for (height, width), sample in zip(sizes, data['data_samples']):
        shape = dict.fromkeys(('img_shape', 'ori_shape', 'pad_shape'), (height, width))
        sample.set_metainfo(dict(shape, scale_factor=(1.0, 1.0)))
        if kind == 'pspnet':
            label = torch.ones(1, height, width, dtype=torch.long)
            sample.gt_sem_seg = PixelData(data=label)
        elif kind != 'cls':
            sample.ignored_instances = InstanceData(
                bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long)
            )
            sample.gt_instances = objects(kind, height, width)
    return data


def objects(kind: str, height: int, width: int) -> Any:
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData

    found = InstanceData(
        bboxes=torch.tensor([[0.0, 0.0, width / 2, height / 2]]),
        labels=torch.tensor([1]),
    )
    if kind == 'mask_rcnn':
        mask = torch.zeros(1, height, width, dtype=torch.uint8)
        mask[:, : height // 2, : width // 2] = 1
        found.masks = BitmapMasks(mask.numpy(), height, width)
    return found


def tiny(kind: str) -> Batch:
    """The deepest map has one position."""
    return of_size(kind, (8, 8), (8, 8))


def tiny_single(kind: str) -> Batch:
    return of_size(kind, (8, 8))


def mixed_sizes(kind: str) -> Batch:
    return of_size(kind, (32, 64), (48, 40))


def grey(kind: str) -> Batch:
    data = zoo.batch(kind)
    data['inputs'] = [image[:1] for image in data['inputs']]
    return data


def bare(kind: str, images: int | None = None) -> Batch:
    """Without ground truth: no boxes, no pixel that counts."""
    data = zoo.batch(kind)
    for sample in data['data_samples'][:images]:
        if kind == 'pspnet':
            sample.gt_sem_seg.data.fill_(255)
        elif kind != 'cls':
            sample.gt_instances = sample.gt_instances[:0]
    return data


def half_bare(kind: str) -> Batch:
    return bare(kind, 1)


def labelled(kind: str, label: int) -> Batch:
    data = zoo.batch(kind)
    for sample in data['data_samples']:
        if kind == 'cls':
            sample.set_gt_label(label)
        elif kind == 'pspnet':
            sample.gt_sem_seg.data.fill_(label)
        else:
            sample.gt_instances.labels.fill_(label)
    return data


def one_class(kind: str) -> Batch:
    return labelled(kind, 2)


def foreign_label(kind: str) -> Batch:
    return labelled(kind, 77)


def negative_label(kind: str) -> Batch:
    return labelled(kind, -1)


BATCHES = (usual, single, empty, tiny, tiny_single, mixed_sizes, grey, bare, half_bare)
BATCHES += (one_class, foreign_label, negative_label)

# Nothing to compare: the term is zero, and so is its gradient.
LABELLED = ('loss_match', 'loss_branch', 'loss_intermediate')
SILENT = {(bare, kind): LABELLED for kind in zoo.KINDS if kind != 'cls'}
SILENT[bare, 'pspnet'] += ('loss_kd',)


# -- what comes of them ----------------------------------------------------------------


def run(model: Any, preprocessor: Any, data: Batch) -> Batch:
    """The losses of a batch, always with the same random numbers."""
    hub = MessageHub.get_current_instance()
    for key, value in dict(max_iters=100, iter=99, max_epochs=10, epoch=9).items():
        hub.update_info(key, value)
    torch.manual_seed(3)
    ready = preprocessor(data, True)
    found: Batch = model(**ready, mode='loss')
    return found


def flat(losses: Batch) -> dict[str, Tensor]:
    """Losses by name; mmdet's heads return lists."""
    return {
        f'{key}.{i}': one
        for key, value in losses.items()
        for i, one in enumerate(value if isinstance(value, (list, tuple)) else [value])
    }


def attempt(model: Any, preprocessor: Any, make: Callable[[str], Batch], kind: str):
    """Losses, or the error in their place."""
    try:
        return flat(run(model, preprocessor, make(kind)))
    except (*MISTAKES, *BUILDING, IndexError, FloatingPointError) as error:
        return error


@pytest.mark.parametrize('kind', zoo.KINDS)
@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('make', BATCHES, ids=lambda make: make.__name__)
def test_as_the_student_alone(make: Any, method: str, kind: str) -> None:
    model = distiller(method, kind)
    alone = attempt(model.student, model.data_preprocessor, make, kind)
    found = attempt(model, model.data_preprocessor, make, kind)
    if isinstance(alone, Exception):
        assert isinstance(found, Exception) and str(found), found
        return
    if isinstance(found, Exception):  # FRSKD's own norms, on one value a channel
        assert method == 'frskd' and 'more than 1 value per channel' in str(found)
        return
    for key, value in alone.items():
        assert torch.equal(found[key], value), key
    raw = {name: found[f'{term.raw_name}.0'] for name, term in model.terms.items()}
    assert raw and all(value.isfinite() for value in raw.values()), raw
    silent = SILENT.get((make, kind), ())
    assert not any(raw[name] for name in silent if name in raw), raw
    for name in raw:
        model.zero_grad()
        if found[f'{name}.0'].requires_grad:
            found[f'{name}.0'].backward(retain_graph=True)
        else:
            assert model.terms[name].weight == 0
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        assert all(grad.isfinite().all() for grad in grads), name
        assert name not in silent or not any(grad.any() for grad in grads), name


def test_one_position_has_no_place_to_compare() -> None:
    """CWD on 1x1 maps: a softmax over one position is 1 on both sides."""
    model = distiller('cwd', 'cls')
    losses = run(model, model.data_preprocessor, tiny('cls'))
    assert losses['raw_cwd'] == 0 and losses['loss'] > 0


def test_padding_is_no_part_of_an_image() -> None:
    """What the task tells of images of several sizes."""
    model = distiller('kd', 'retinanet')
    data = model.data_preprocessor(mixed_sizes('retinanet'), True)
    found = model.task.targets(model.student, data['data_samples'])
    assert found.image_sizes == [(32, 64), (48, 40)] and found.input_size == (64, 64)
