"""OFD: values of the authors and of FRSKD's, and by loops; margins; taps."""

from __future__ import annotations

import math
import re

import cells
import pytest
import torch
from harness import Case, Golden, wave
from torch import nn

from mmkd.loss import Site
from mmkd.losses import OFD
from mmkd.losses.ofd import margins
from mmkd.recorder import Recorder
from mmkd.registry import MODELS


def norms(*channels: int) -> nn.ModuleList:
    """BatchNorms as if they were trained, with weights and biases of both signs."""
    made = nn.ModuleList(map(nn.BatchNorm2d, channels))
    for i, (norm, count) in enumerate(zip(made, channels)):
        norm.weight.data = wave(count, phase=i + 0.5, scale=0.7)
        norm.bias.data = wave(count, phase=i + 2, scale=0.9)
    return made.requires_grad_(False)


def trained() -> OFD:
    return OFD(norms=['0', '1'])


LEVELS = [(2, 4, 8, 8), (2, 6, 4, 4)]
CASES = [
    Case(OFD, LEVELS),
    # Equal features below the margin are no longer equal.
    Case(trained, LEVELS, model=lambda: norms(4, 6), zero=False),
]
FEATURES = dict(
    student=[wave(2, 4, 4, 4), wave(2, 6, 2, 2, phase=1)],
    teacher=[wave(2, 8, 4, 4, phase=2), wave(2, 12, 2, 2, phase=3)],
    fill=True,
    rel=1e-7,
    why='their margin, and the epsilon of their norms, are in fp32',
)
FRSKD = 'github.com/MingiJi/FRSKD 98b87e5'
GOLDEN = [
    Golden(
        OFD,
        **FEATURES,
        connector=dict(type='mmkd.Align', norm=True, bias=False),
        value=399.40714767473025,
        source=f'{FRSKD}: OD, beta alone',
    ),
    Golden(
        trained,
        [(2, 8, 4, 4), (2, 6, 2, 2)],
        model=lambda: norms(8, 6),
        value=254.48822159830274,
        gradient=18.06081015438546,
        rel=1e-7,
        why='their margins are in fp32',
        source=(
            'github.com/clovaai/overhaul-distillation 76344a8: Distiller() behind its '
            'connectors, over the batch'
        ),
    ),
]
NAIVE = ['test_naive']


def test_naive():
    s, t = (
        [wave(2, 3, 2, 2), wave(2, 3, 1, 1)],
        [wave(2, 3, n, n, phase=2) for n in (2, 1)],
    )
    total = 0.0
    for share, a, b in zip((0.5, 1.0), s, t):
        for x, y in zip(a.flatten().tolist(), b.flatten().tolist()):
            y = max(y, -0.5)
            total += share * (x - y) ** 2 / 2 if x > y or y > 0 else 0.0
    assert OFD(-0.5)(s, t).item() == pytest.approx(total)


@pytest.mark.parametrize(
    ('s', 't', 'value'),
    [
        (-0.1, 0.0, 0.0),  # below zero, where the teacher is: nothing to learn
        (0.5, 0.0, 0.25),
        (0.0, 0.5, 0.25),
        (0.0, -9.0, 2 / math.pi),  # it need not go below the margin
        (-1.0, -0.5, 0.0),
    ],
)
def test_of_a_number(s: float, t: float, value: float):
    level = torch.full((1, 1, 1, 1), s), torch.full((1, 1, 1, 1), t)
    one = OFD()(*([x] for x in level))
    assert one.item() == pytest.approx(value)
    assert OFD()(*([x] * 3 for x in level)).item() == pytest.approx(1.75 * value)


def test_any_negative_value_is_as_good():
    below = [wave(2, 3, 4, 4).clamp(max=-5), wave(2, 3, 2, 2).clamp(max=-5)]
    assert OFD()(below, [torch.full_like(x, -2.0) for x in below]) == 0
    assert OFD(-9.0)(below, below) == 0


# -- margins ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('weight', 'bias', 'margin'),
    [
        (1.0, 0.0, -math.sqrt(2 / math.pi)),
        (-2.0, 0.0, -2 * math.sqrt(2 / math.pi)),
        (0.5, 2.0, -1.5),  # hardly ever negative: three deviations
        (0.0, -0.25, -0.25),  # always the same
        (0.01, -0.25, -0.25),
    ],
)
def test_margin(weight: float, bias: float, margin: float):
    norm = nn.BatchNorm2d(1).double()
    norm.weight.data.fill_(weight)
    norm.bias.data.fill_(bias)
    assert margins(norm).item() == pytest.approx(margin)


def test_margin_is_the_mean_of_what_is_negative():
    (norm,) = norms(5).double()
    x = norm.eval()(torch.randn(200000, 5, 1, 1, dtype=torch.float64)).flatten(1)
    mean = x.clamp(max=0).sum(0) / (x < 0).sum(0)
    assert torch.allclose(margins(norm), mean, atol=0.02)


def site(model: nn.Module | None, *channels: int) -> Site:
    levels = [torch.zeros(2, count, 2, 2) for count in channels]
    paths = [str(i) for i in range(len(channels))]
    return Site(levels, levels, teacher=model, paths=(paths, paths))


@pytest.mark.parametrize(
    ('paths', 'model', 'words'),
    [
        (['0'], norms(4, 6), 'each of 2 levels'),
        (['0', '1'], None, "'0'.*no teacher whose '0'"),
        (['1', '0'], norms(4, 6), "'1': it has 6 channels, and the teacher '0' has 4"),
        (['0', '1'], nn.ModuleList([nn.ReLU(), nn.ReLU()]), "'0': no BatchNorm.*ReLU"),
    ],
)
def test_norms_that_are_not_there(paths: list[str], model: nn.Module, words: str):
    with pytest.raises(ValueError, match=words):
        OFD(norms=paths).build(site(model, 4, 6))


# -- taps ------------------------------------------------------------------------------


@pytest.mark.parametrize('kind', ['cls', 'cifar', 'pspnet'])
def test_taps_are_in_front_of_the_relus_at_the_ends_of_stages(kind: str):
    """And the margins are of the BatchNorms that feed them."""
    distiller = MODELS.build(cells.cell('ofd', kind))
    paths, model = distiller.terms['loss_ofd'].student_paths, distiller.student
    own = distiller.terms['loss_ofd'].config
    for i, norm in enumerate(m for m in model.modules() if hasattr(m, 'running_var')):
        nn.init.constant_(norm.bias, 0.01 * i - 0.3)  # each its own
    blocks = [path.partition('.relu')[0] for path in paths]
    stages = [block.rpartition('.')[0] for block in blocks]
    assert all(re.fullmatch(r'backbone\.(stages\.|layer)\d', x) for x in stages)
    with Recorder(model, [*paths, *stages], paths) as seen:
        model.eval().extract_feat(torch.randn(2, 3, 32, 32))
    levels = [seen[path][0] for path in paths]
    for level, stage in zip(levels, stages):
        assert torch.equal(level.relu(), seen[stage][0]) and (level < 0).any()
    loss = OFD(norms=own['norms'])
    loss.build(Site(levels, levels, teacher=model, paths=(paths, paths)))
    for i, block in enumerate(blocks):
        named = model.get_submodule(block).named_modules()
        norms = [m for n, m in named if re.fullmatch(r'bn\d|body\.\d', n)]
        last = [m for m in norms if hasattr(m, 'running_var')][-1]
        assert torch.equal(getattr(loss, f'margin{i}').flatten(), margins(last))
