"""Whole training steps of configs that ship, against the authors' training loops.

The values were made by MingiJi/FRSKD 98b87e5 (train() of classification/utils.py, with
cifarresnet18, BiFPNc and att) and adagorgun/letKD-framework 4fb2289
(object_classification_with_subclass_quest, with RN56_RN20/letKD-2.py) in float64: their
networks, losses and loops, with the images and weights below under their own names.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from mmengine.registry import DefaultScope
from mmpretrain.structures import DataSample
from shipped import CONFIGS, read
from test_networks import image, value
from torch import Tensor, nn

from mmkd.registry import MODELS

LABELS = (1, 42)


def wave(*shape: int, step: float) -> Tensor:
    count = torch.Size(shape).numel()
    return torch.arange(count).double().square().mul(step).sin().view(shape)


def images(size: int) -> Tensor:
    return torch.cat([image(size), image(size).flip(3).roll(5, 2)])


def fill(model: nn.Module, name: str = '') -> None:
    """In float64, with weights that their names tell."""
    state = model.double().state_dict()
    model.load_state_dict({key: value(name + key, x) for key, x in state.items()})


def codebook(part: str) -> dict[str, Tensor]:
    """Words near the teacher's last map; and an LDA, its centres and a score table."""
    if part == 'penultimate':
        return dict(centers=wave(4096, 64, step=0.013) / 50)
    weight = wave(64, 60, step=0.017).T / 8
    return dict(
        weight=weight,
        bias=-(weight @ wave(64, step=0.3)),
        centers=wave(800, 60, step=0.019),
        table=(3 * wave(800, 800, step=0.023)).softmax(1),
    )


def build(leaf: str) -> Any:
    """The distiller of a leaf."""
    config = read(CONFIGS / leaf)
    model = copy.deepcopy(config.model)
    model.setdefault(
        'data_preprocessor', config.data_preprocessor
    )  # as the Runner does
    if 'teacher_ckpt' in model:
        model.update(teacher_ckpt='random')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        for term in model.terms.values():
            if 'codebook' in term.loss:
                term.loss = dict(term.loss, codebook='random')
        distiller = MODELS.build(model)
    for part in (distiller.student, distiller.teacher):
        fill(part)
    for name, term in distiller.terms.items():
        for i, chain in enumerate(term.connectors):
            fill(chain, f'{i}.')
        if hasattr(term.loss, 'codebook'):
            term.loss._take(codebook(name.partition('_')[2]))
    return distiller.train()


def step(distiller: Any, size: int) -> dict[str, float]:
    """The log of a step with gradients."""
    samples = [DataSample().set_gt_label(label) for label in LABELS]
    total, log = distiller.parse_losses(distiller(images(size), samples, mode='loss'))
    total.backward()
    return {key: log[key].item() for key in log}


def norms(model: nn.Module, *names: str) -> list[float]:
    return [model.get_parameter(name).grad.norm().item() for name in names]


FRSKD = 'frskd/frskd_{}resnet18_1xb128_cifar100.py'
BACKBONE = 'conv1.weight', 'layer1.0.bn1.weight', 'layer4.1.conv2.weight'
PYRAMID = 'lateral.0.0.weight', 'top_down.0.weight', 'bottom_up.1.weight'
# Leaf; KL (unweighted), feature loss (unweighted), weight; gradients of the student.
STEPS = [
    (
        FRSKD.format(''),
        (0.5604977442006343, 0.0075452162168384174, 100.0),
        (32.84181260992077, 5.850396302414412, 38.62050722655867),
        1e-10,
    ),
    (  # od; its margin is in single precision there
        FRSKD.format('overhaul_'),
        (0.5604977442006343, 17885.57078729683, 1e-3),
        (32.54223406969776, 5.821177584595623, 38.5561199246014),
        1e-7,
    ),
]


@pytest.mark.parametrize(('leaf', 'losses', 'gradients', 'digits'), STEPS)
def test_frskd(leaf: str, losses: Any, gradients: Any, digits: float) -> None:
    kl, feature, weight = losses
    distiller = build(leaf)
    log = step(distiller, 16)
    assert log == {
        'loss': pytest.approx(6.258803828313904, rel=1e-10),
        'teacher_loss': pytest.approx(4.515780660378748, rel=1e-10),
        'raw_kd': pytest.approx(kl, rel=1e-10),
        'loss_kd': pytest.approx(2 * kl, rel=1e-10),
        'raw_at': pytest.approx(feature, rel=digits),
        'loss_at': pytest.approx(weight * feature, rel=digits),
    }
    found = norms(distiller.student, *(f'backbone.{name}' for name in BACKBONE))
    assert found == pytest.approx(gradients, rel=digits)
    # Neither term trains the self-teacher.
    found = norms(distiller.teacher, *(f'pyramid.0.{name}' for name in PYRAMID))
    wanted = [1.629813380888901, 0.29070086414683666, 0.20886949473358768]
    assert found == pytest.approx(wanted, rel=1e-10)


def test_letkd() -> None:
    distiller = build('letkd/letkd_resnet56_resnet20_1xb64_cifar100.py')
    log = step(distiller, 32)
    for names, wanted in (
        (['loss'], 4.520217565145375),
        (['loss_intermediate', 'raw_intermediate'], 0.929050671654802),
        (['loss_penultimate', 'raw_penultimate'], 3.791337904347786),
    ):
        for name in names:
            assert log.pop(name) == pytest.approx(wanted, rel=1e-10), name
    assert not log
    student = distiller.student
    found = norms(
        student, 'backbone.stem.0.weight', 'backbone.stages.2.0.body.1.weight'
    )
    wanted = [2.813265739831962, 0.12568823134574125]
    assert found == pytest.approx(wanted, rel=1e-10)
    for place, wanted in (
        (
            'intermediate',
            [0.04885177708258175, 0.04943427452549514, 0.2620463773179765],
        ),
        (
            'penultimate',
            [0.15878653636924936, 0.056188637579639183, 0.44216238472323055],
        ),
    ):
        layer = student.get_submodule(f'backbone.kd_layers.{place}')
        found = norms(layer, 'match.weight', 'match.gain', 'value.weight')
        assert found == pytest.approx(wanted, rel=1e-9)
