"""Regions: a feature and its class, on every task."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from mmkd.losses import KD
from mmkd.regions import (
    NOTHING,
    crops,
    label_map,
    masked_mean,
    regions,
    rows,
    valid,
)
from mmkd.targets import Targets

GRID = torch.arange(16.0).view(1, 1, 4, 4)


def boxes(*corners: tuple[float, ...], labels: list[int]) -> Targets:
    return Targets(
        boxes=[torch.tensor(corners).view(-1, 4)],
        box_labels=[torch.tensor(labels, dtype=torch.long)],
        input_size=(32, 32),
    )


def test_an_image_is_a_region():
    crops, labels = regions(GRID, Targets(labels=torch.tensor([3])), 2)
    assert crops.flatten().tolist() == [2.5, 4.5, 10.5, 12.5] and labels.tolist() == [3]
    assert label_map(GRID, Targets(labels=torch.tensor([3]))).unique().tolist() == [3]


def test_a_box_is_a_region():
    """Stride 8: the left upper quarter and the whole; cells are means of 2x2 points."""
    targets = boxes((0, 0, 16, 16), (0, 0, 32, 32), labels=[1, 2])
    crops, labels = regions(GRID, targets, 2)
    assert labels.tolist() == [1, 2]
    assert crops[0].flatten().tolist() == [0.625, 1.5, 4.125, 5]  # clamped at the edge
    assert crops[1].flatten().tolist() == pytest.approx([2.5, 4.5, 10.5, 12.5])


def test_the_smaller_box_labels_a_position():
    targets = boxes((0, 0, 16, 32), (0, 0, 8, 8), labels=[1, 2])
    expected = [[2, 1, -1, -1], *[[1, 1, -1, -1]] * 3]
    assert label_map(GRID, targets)[0].tolist() == expected


def test_a_tiny_box_has_a_position():
    targets = boxes((9, 9, 10, 10), labels=[4])
    assert (label_map(GRID, targets) == 4).sum() == 1
    assert regions(GRID, targets, 2)[0].isfinite().all()


def test_a_class_mask_is_a_region():
    seg_map = torch.full((8, 8), 255)
    seg_map[:4, :4] = 0
    seg_map[4:, 4:] = 7
    targets = Targets(seg_maps=[seg_map])
    crops, labels = regions(GRID, targets, 1)
    assert labels.tolist() == [0, 7] and crops.flatten().tolist() == [2.5, 12.5]
    assert (label_map(GRID, targets) == NOTHING).sum() == 8


def test_only_the_class_counts_in_its_box():
    seg_map = torch.zeros(4, 4, dtype=torch.long)
    seg_map[0, 0] = seg_map[1, 1] = 1
    crops, labels = regions(GRID, Targets(seg_maps=[seg_map]), 1)
    assert labels.tolist() == [0, 1] and crops[1].item() == 2.5  # of 0 and 5


@pytest.mark.parametrize(
    'targets',
    [
        boxes(labels=[]),
        Targets(seg_maps=[torch.full((4, 4), 255)]),
    ],
)
def test_no_region(targets: Targets):
    crops, labels = regions(GRID, targets, 3)
    assert crops.shape == (0, 1, 3, 3) and labels.shape == (0,)
    assert (label_map(GRID, targets) == NOTHING).all()


def test_without_hard_labels():
    with pytest.raises(ValueError, match='Mixup'):
        regions(GRID, Targets(scores=torch.rand(1, 5)), 2)
    with pytest.raises(ValueError, match='needs hard labels'):
        label_map(GRID, Targets(scores=torch.rand(1, 5)))


def test_boxes_without_the_size_of_the_input():
    targets = boxes((0, 0, 16, 16), labels=[1])
    targets = dataclasses.replace(targets, input_size=None)
    for find in (label_map, lambda x, y: regions(x, y, 2)):
        with pytest.raises(ValueError, match='targets.input_size'):
            find(GRID, targets)


@pytest.mark.parametrize(
    'targets',
    [
        Targets(labels=torch.tensor([3])),
        boxes((3, 3, 20, 29), labels=[1]),
        Targets(seg_maps=[torch.arange(16).view(4, 4) % 3]),
    ],
)
def test_gradient(targets: Targets):
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda y: regions(y, targets, 2)[0], x)


# -- against loops over boxes, classes and positions -----------------------------------


def naive_labels(feature: Tensor, targets: Targets) -> Tensor:
    """Boxes painted one after another, the largest first."""
    count, _, height, width = feature.shape
    result = torch.full((count, height, width), NOTHING)
    for i, (boxes, labels) in enumerate(zip(targets.boxes, targets.box_labels)):
        area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        for j in area.argsort(descending=True).tolist():
            x1, y1, x2, y2 = in_positions(boxes[j], feature, targets).tolist()
            down = slice(int(y1), max(int(y1) + 1, round(y2)))
            across = slice(int(x1), max(int(x1) + 1, round(x2)))
            result[i, down, across] = labels[j]
    return result


def in_positions(boxes: Tensor, feature: Tensor, targets: Targets) -> Tensor:
    height, width = targets.input_size
    ratio = (feature.shape[3] / width, feature.shape[2] / height)
    return boxes.to(feature) * feature.new_tensor(ratio * 2)


def naive_boxes(feature: Tensor, targets: Targets, size: int) -> tuple[Tensor, Tensor]:
    found = []
    for x, boxes in zip(feature, targets.boxes):
        for box in in_positions(boxes, feature, targets):
            grid = feature.new_empty(2 * size, 2 * size, 2)
            for i in range(2 * size):
                for j in range(2 * size):
                    step = feature.new_tensor([j + 0.5, i + 0.5]) / (2 * size)
                    at = box[:2] + (box[2:] - box[:2]) * step
                    grid[i, j] = 2 * at / at.new_tensor(x.shape[:0:-1]) - 1
            sampled = F.grid_sample(
                x[None], grid[None], padding_mode='border', align_corners=False
            )
            found.append(F.avg_pool2d(sampled, 2))
    return torch.cat(found), torch.cat(targets.box_labels)


def naive_masks(feature: Tensor, targets: Targets, size: int) -> tuple[Tensor, Tensor]:
    """The smallest box around each class, pooled as torch does it."""
    found, classes = [], []
    for x, own in zip(feature, label_map(feature, targets)):
        for label in own.unique().tolist():
            if label == NOTHING:
                continue
            mask = own == label
            down, across = (mask.any(dim).nonzero() for dim in (1, 0))
            box = (
                slice(int(down[0]), int(down[-1]) + 1),
                slice(int(across[0]), int(across[-1]) + 1),
            )
            inside = mask[box].to(x.dtype)[None]
            total = F.adaptive_avg_pool2d(x[(slice(None), *box)] * inside, size)
            share = F.adaptive_avg_pool2d(inside, size)
            found.append((total / share.clamp(min=1e-6))[None])
            classes.append(label)
    return torch.cat(found), torch.tensor(classes)


def random_boxes(seed: int) -> Targets:
    """Of four images: many boxes, none, a tiny one, and some at the border."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for count in (9, 0, 1, 4):
        corners = torch.rand(count, 2, 2, generator=generator, dtype=torch.float64)
        found.append(corners.sort(1).values.flatten(1) * torch.tensor([60, 40] * 2))
    found[2][:, 2:] = found[2][:, :2] + 0.01
    found[3][:2, 2:] = torch.tensor([60.0, 40.0])
    found[3][2] = torch.tensor([60.0, 40.0, 60.0, 40.0])  # at the end of the image
    labels = [torch.randint(0, 5, (len(b),), generator=generator) for b in found]
    return Targets(boxes=found, box_labels=labels, input_size=(40, 60))


def random_map(seed: int, size: tuple[int, int] = (24, 36)) -> Targets:
    """Blocks of classes, of which some are ignored; one image has nothing else."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.randint(0, 6, (3, 1, 8, 9), generator=generator)
    small[small == 5] = 255
    small[1] = 255
    maps = F.interpolate(small.double(), size)[:, 0].long()
    return Targets(seg_maps=list(maps))


def feature(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('shape', [(5, 7), (20, 30), (1, 1)])
def test_boxes_as_loops_find_them(seed: int, shape: tuple[int, int]):
    x, targets = feature(4, 3, *shape), random_boxes(seed)
    assert torch.equal(label_map(x, targets), naive_labels(x, targets))
    for ours, theirs in zip(regions(x, targets, 3), naive_boxes(x, targets, 3)):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('shape', [(5, 7), (24, 36), (1, 3)])
@pytest.mark.parametrize('size', [1, 3, 4])
def test_masks_as_loops_find_them(seed: int, shape: tuple[int, int], size: int):
    x, targets = feature(3, 2, *shape).requires_grad_(), random_map(seed)
    (ours, labels), (theirs, expected) = (
        find(x, targets, size) for find in (regions, naive_masks)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    assert torch.equal(labels, expected) and len(labels) > 2
    weights = torch.randn_like(ours)
    slopes = [torch.autograd.grad((y * weights).sum(), x)[0] for y in (ours, theirs)]
    torch.testing.assert_close(*slopes, rtol=1e-12, atol=1e-12)


class Reads(TorchFunctionMode):
    """Counts what makes the host wait for the device, were the tensors there."""

    NAMES = frozenset(
        ['item', 'tolist', 'numpy', 'cpu', '__bool__', '__int__', '__float__']
        + ['__index__', 'nonzero', 'unique', 'equal', 'masked_select', 'tensor']
        + ['new_tensor', 'repeat_interleave']
    )

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs=None):
        name = getattr(func, '__name__', '')
        masks = []
        if name in ('__getitem__', '__setitem__'):
            keys = args[1] if isinstance(args[1], tuple) else (args[1],)
            masks = [k for k in keys if isinstance(k, Tensor) and k.dtype == torch.bool]
        if name in self.NAMES or masks:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


HARD = Targets(labels=torch.arange(4))


@pytest.mark.parametrize(
    ('targets', 'reads'),
    [(HARD, []), (random_boxes(0), []), (random_map(0), ['tolist'])],
)
def test_what_is_read_from_the_device(targets: Targets, reads: list[str]):
    count = 3 if targets.seg_maps else 4
    x = feature(count, 5, 8, 12)
    with Reads() as mode:
        regions(x, targets, 2)
    assert mode.found == reads
    with Reads() as mode:
        crops([x, x[..., ::2, ::2]], targets, 2)
    assert mode.found == reads
    with Reads() as mode:
        label_map(x, targets)
        masked_mean(x[:, 0], valid(x, targets))
        if not targets.boxes:
            rows(x if targets.seg_maps else x[:, :, 0, 0], targets)
    assert mode.found == []


# -- the same regions of several levels ------------------------------------------------


def test_crops_of_levels_of_boxes_and_images():
    levels = [feature(4, 3, 20, 30), feature(4, 2, 5, 7, seed=1)]
    targets = random_boxes(0)
    found, labels = crops(levels, targets, 3)
    for x, crop in zip(levels, found):
        assert all(map(torch.equal, (crop, labels), regions(x, targets, 3)))
    for targets in (None, HARD, Targets(scores=torch.eye(4))):
        found, labels = crops(levels, targets, 3)
        for x, crop in zip(levels, found):
            assert torch.equal(crop, F.adaptive_avg_pool2d(x, 3))
        known = targets and (targets.scores if targets is not HARD else targets.labels)
        assert labels is known


def test_crops_of_several_sizes():
    levels = [feature(3, 3, 6, 9), feature(3, 2, 6, 9, seed=1)]
    mixed = Targets(scores=torch.full((3, 2), 0.5))
    corners = dataclasses.replace(random_boxes(0), boxes=random_boxes(0).boxes[:3])
    corners.box_labels = corners.box_labels[:3]
    for targets in (random_map(1, (24, 36)), corners, mixed, None):
        with Reads() as mode:
            found, labels = crops(levels, targets, (4, 1), stride=4)
        assert mode.found == (['tolist'] if targets and targets.seg_maps else [])
        assert [x.shape[1:] for x in found] == [(3, 4, 4), (2, 1, 1)]
        for i, size in enumerate((4, 1)):
            one, known = crops(levels, targets, size, stride=4)
            assert torch.equal(one[i], found[i])
            assert known is labels or torch.equal(known, labels)
    with pytest.raises(ValueError, match='2 levels, and 3 sizes of crops'):
        crops(levels, None, [1, 2, 3])


def test_crops_of_levels_have_the_same_classes():
    """All levels at the size of the label map over the stride, then each by itself."""
    levels = [feature(3, 3, 6, 9), feature(3, 2, 2, 2, seed=1)]
    targets = random_map(1, (23, 34))
    found, labels = crops(levels, targets, 2, stride=4)
    assert [crop.shape[1] for crop in found] == [3, 2]
    same = F.interpolate(levels[1], (6, 9), mode='bilinear', align_corners=False)
    for x, crop in zip((levels[0], same), found):
        expected, classes = naive_masks(x, targets, 2)
        torch.testing.assert_close(crop, expected, rtol=1e-12, atol=1e-12)
        assert torch.equal(labels, classes)
    assert len(crops(levels, targets, 2, stride=16)[1]) < len(
        labels
    )  # of 2x3 positions


# -- rows ------------------------------------------------------------------------------


def test_rows_of_images_and_regions():
    x, labels = feature(4, 3), torch.tensor([2, 0, 3, -1])
    found, known = rows(x, Targets(labels=labels))
    assert torch.equal(found, x) and known.tolist() == [2, 0, NOTHING, NOTHING]
    empty = rows(x[:0], Targets(labels=labels[:0]))
    assert [len(part) for part in empty] == [0, 0] and empty[0].shape == (0, 3)


def test_rows_of_pixels():
    x, targets = feature(3, 4, 6, 9), random_map(2)
    found, known = rows(x, targets)
    labels = label_map(x, targets)
    i = 0
    for n in range(3):
        for h in range(6):
            for w in range(9):
                assert torch.equal(found[i], x[n, :, h, w])
                label = int(labels[n, h, w])
                assert known[i] == (label if label < 4 else NOTHING)
                i += 1
    assert i == len(found) and (known == NOTHING).any() and (known == 3).any()
    assert torch.equal((labels != NOTHING), valid(x, targets))


def test_rows_of_anchors():
    """Channels go by anchor and class; labels by image, row, column and anchor."""
    maps = [feature(2, 2 * 3, 3, 2), feature(2, 2 * 3, 1, 1, seed=1)]
    labels = [torch.randint(0, 4, (2, x[0, 0].numel() * 2)) for x in maps]
    found, known = rows(maps, Targets(labels=labels))
    expected, classes = [], []
    for x, own in zip(maps, labels):
        for n in range(2):
            place = 0
            for h in range(x.shape[2]):
                for w in range(x.shape[3]):
                    for a in range(2):
                        expected.append(x[n, 3 * a : 3 * a + 3, h, w])
                        classes.append(int(own[n, place]))
                        place += 1
    assert torch.equal(found, torch.stack(expected))
    assert known.tolist() == [c if c < 3 else NOTHING for c in classes]
    flat = Targets(labels=[x.flatten() for x in labels])  # as FCOS gives them
    assert all(map(torch.equal, rows(maps, flat), (found, known)))
    assert torch.equal(rows(maps[0], Targets(labels=labels[0]))[0], found[:24])


@pytest.mark.parametrize(
    ('shape', 'labels', 'words'),
    [
        ((4, 3), None, 'class of every row.*Mixup.*get_targets'),
        (
            (4, 3, 2, 2),
            torch.arange(4),
            r'Logits \(4, 3, 2, 2\) do not go with 4 labels',
        ),
        ((4, 3, 2, 2), torch.arange(32), 'do not go with 32'),  # 3 channels, 2 anchors
        ((4, 4), torch.arange(8), 'do not go with 8'),
        ((4, 4), torch.arange(0), 'do not go with 0'),
        ((0, 4), torch.arange(8), 'do not go with 8'),
    ],
)
def test_rows_that_do_not_fit(shape: tuple[int, ...], labels: Any, words: str):
    with pytest.raises(ValueError, match=words):
        rows(feature(*shape), Targets(labels=labels))


def test_labels_for_other_levels():
    with pytest.raises(ValueError, match='2 levels, and labels for 1'):
        rows([feature(2, 3, 1, 1)] * 2, Targets(labels=[torch.arange(2)]))


def test_ignored_pixels_have_no_weight_and_no_gradient():
    x, targets = feature(3, 5, 6, 9).requires_grad_(), random_map(2)
    found, known = rows(x, targets)
    values = F.cross_entropy(found, known.clamp(min=0), reduction='none')
    mean = masked_mean(values, known != NOTHING)
    expected = F.cross_entropy(x, label_map(x, targets), ignore_index=NOTHING)
    torch.testing.assert_close(mean, expected)
    slope = torch.autograd.grad(mean, x)[0]
    torch.testing.assert_close(slope, torch.autograd.grad(expected, x)[0])
    assert not slope.movedim(1, -1)[~valid(x, targets)].any()


@pytest.mark.parametrize('ignore', [True, False])
def test_kd_reduces_as_it_did(ignore: bool):
    """Bit for bit the mean over the pixels that count."""
    x, y, targets = feature(3, 5, 6, 9), feature(3, 5, 6, 9, seed=1), random_map(2)
    loss = KD(tau=2.0, ignore=ignore)
    values = loss.values(x, y)
    expected = values.sum() / values.numel()
    if ignore:
        maps = torch.stack(targets.seg_maps)[:, None].float()
        counts = F.interpolate(maps, (6, 9), mode='nearest')[:, 0] != 255
        expected = (values * counts).sum() / counts.sum().clamp(min=1)
    assert torch.equal(loss(x, y, targets), expected)
    assert torch.equal(loss(x, y, None), values.sum() / values.numel())


def test_a_mean_of_nothing():
    x = feature(2, 3)
    assert masked_mean(x, torch.zeros(2, 3, dtype=torch.bool)) == 0
    assert masked_mean(x[:0], None) == 0
    assert masked_mean(x, None) == x.sum() / 6
    assert valid(x, random_map(0)) is None and valid(x[..., None, None], HARD) is None
    assert valid(x[..., None, None], None) is None
