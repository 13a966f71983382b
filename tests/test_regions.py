"""Regions: a feature and its class, on every task."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from mmkd.regions import NOTHING, label_map, regions
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
