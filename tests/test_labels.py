"""``labels=``: what a detector's head assigns is what a loss takes for labels."""

from __future__ import annotations

from typing import Any

import pytest
import torch.nn.functional as F
import zoo
from torch import Tensor

from mmkd.loss import Loss, exact
from mmkd.registry import MODELS


@MODELS.register_module(force=True)
class Labelled(Loss):
    """The cross-entropy of the student's logits, whatever the teacher says."""

    same_shape = False
    seen: list[Any] = []

    @exact
    def forward(self, student: Tensor, teacher: Tensor, targets: Any = None) -> Tensor:
        self.seen.append(targets)
        if student.ndim == 2:
            return F.cross_entropy(student, targets.labels)
        return student.sum() * 0 + targets.labels.numel()


def step(kind: str, labels: str, path: str) -> tuple[Any, dict[str, Any]]:
    term = dict(student=path, loss=dict(type='mmkd.Labelled'), labels=labels)
    distiller = zoo.distiller(kind, terms=dict(loss_x=term)).train()
    Labelled.seen.clear()
    data = distiller.data_preprocessor(zoo.batch(kind), True)
    return distiller, distiller(**data, mode='loss')


@pytest.mark.parametrize('labels', ['roi_head.bbox_head', '<head>'])
def test_regions(labels: str):
    """They are those of the student's own loss; boxes and masks stay known."""
    if labels == '<head>':
        with pytest.raises(
            ValueError, match="loss_x.labels '<head>.get_targets.*plays"
        ):
            step('mask_rcnn', '<head>.get_targets()[0]', '<logits>')
        return
    _, losses = step('mask_rcnn', f'{labels}.get_targets()[0]', 'roi_head.bbox_head[0]')
    assert losses['raw_x'].item() == pytest.approx(losses['loss_cls'].item(), rel=1e-5)
    (targets,) = Labelled.seen
    assert targets.boxes is not None and targets.masks is not None
    assert targets.labels.max() == zoo.CLASSES  # background


def test_levels_of_a_dense_head():
    """A tensor of labels for each level, for the level's map."""
    distiller, losses = step('retinanet', 'bbox_head.get_targets()[0]', '<logits>')
    anchors = distiller.student.bbox_head.num_base_priors
    sizes = [(12, 8), (6, 4), (3, 2), (2, 1), (1, 1)]  # of images of 96 x 64
    found = [targets.labels.shape for targets in Labelled.seen]
    assert found == [(2, h * w * anchors) for h, w in sizes]
    assert losses['raw_x'] == sum(2 * h * w * anchors for h, w in sizes)
    assert 'get_targets' not in vars(distiller.student.bbox_head)


@pytest.mark.parametrize(
    ('labels', 'words'),
    [
        (
            'bbox_head.get_target()[0]',
            "labels 'bbox_head.get_target.*Nearest: get_targets",
        ),
        ('bbox_head.get_targets()[99]', 'loss_x.labels: .*no such part in what'),
        ('bbox_head.predict()', "loss_x.labels: 'bbox_head.predict.*did not run"),
    ],
)
def test_mistakes(labels: str, words: str):
    with pytest.raises((ValueError, RuntimeError), match=words):
        step('retinanet', labels, '<logits>')
