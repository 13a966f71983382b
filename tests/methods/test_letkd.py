"""letKD: layer and losses against the authors' code, and in models."""

from __future__ import annotations

import copy
import pickle
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import zoo
from cells import cell, moved
from harness import Case, Golden, Learns, Network, wave
from mmengine.config import Config
from torch import Tensor

from mmkd.build import build_model
from mmkd.hooks.describe_student import overhead
from mmkd.loss import Site
from mmkd.losses import LetKDIntermediate, LetKDPenultimate
from mmkd.losses import letkd as losses_letkd
from mmkd.losses.letkd import CodebookLoss
from mmkd.networks import KDLayer
from mmkd.registry import MODELS
from mmkd.targets import Targets

ROOT = Path(__file__).parents[2]
K, D, SIZE = 6, 4, 4


# -- golden values -------------------------------------------------------------------
# Made by github.com/adagorgun/letKD-framework 4fb2289 (Conv2dCos, valueLayer of
# valueLayer.py and valueLayer_subclass.py, VectorQuantizerEMA) in float64, with the
# inputs and weights below.


def layer() -> KDLayer:
    made = KDLayer(D, K, alpha=0.5).double()
    made.match.weight.data = wave(K, D, 1, 1, phase=1)
    made.match.gain.data = torch.tensor([2.5]).double()
    made.value.weight.data = wave(D, K, 1, 1, phase=2)
    made.value.gain.data = torch.tensor([1.5]).double()
    made.norm.weight.data, made.norm.bias.data = wave(K, phase=3), wave(K, phase=4)
    return made


def scores() -> Tensor:
    return layer().match(wave(2, D, SIZE, SIZE))


def penultimate(tau: float = 1.0) -> LetKDPenultimate:
    loss = LetKDPenultimate('random', tau)
    loss._take({'centers': wave(K, 5, phase=6, scale=1.0)})
    return loss


def intermediate() -> LetKDIntermediate:
    """Two classes with three sub-classes each."""
    weight = wave(5, 3, phase=8, scale=1.0).T
    table = wave(K, K, phase=10).softmax(1)
    table[0] = torch.eye(K)[2]  # with zeros
    loss = LetKDIntermediate('random', subclasses=3)
    loss._take(
        dict(
            weight=weight[:2],
            bias=-(weight @ wave(5, phase=9, scale=1.0))[:2],
            centers=wave(K, 2, phase=7, scale=1.0),
            table=table,
        )
    )
    return loss


LABELS = Targets(labels=torch.tensor([1, 0]))


def teacher(size: int) -> Tensor:
    return wave(2, 5, 2 * SIZE, 2 * SIZE, phase=5, scale=1.0)[..., :size, :size]


def test_layer():
    x = wave(2, D, SIZE, SIZE)
    made, y = layer(), layer()(x)
    assert made.match(x)[0, :3, 1, 2].tolist() == pytest.approx(
        [0.057986859298034744, -0.23806447229153202, 0.4883892141094875]
    )
    assert y[1, :3, 2, 0].tolist() == pytest.approx(
        [2.483635758535971, 1.7880502792912756, -3.038638413556861], rel=1e-10
    )
    assert y.mean().item() == pytest.approx(-0.2696090612348012, rel=1e-10)


SOURCE = 'github.com/adagorgun/letKD-framework 4fb2289: '
VALUES = [
    (penultimate, SIZE, 1.2315598605866283),
    (penultimate, 2 * SIZE, 0.8933029728376389),
    (lambda: penultimate(0.2), SIZE, 0.6114056791987268),
    (lambda: penultimate(0.2), 2 * SIZE, 0.565466178011123),
    (intermediate, SIZE, 1.4683535731256525),
    (intermediate, 2 * SIZE, 1.500194582712528),
]
GOLDEN = [
    Golden(
        loss,
        scores().detach(),
        teacher(size),
        LABELS,
        value=value,
        source=SOURCE + 'Conv2dCos, valueLayer, VectorQuantizerEMA',
    )
    for loss, size, value in VALUES
]
CASES = [
    Case(lambda: LetKDPenultimate('random'), (2, 5, 4, 4), (2, 3, 8, 8), zero=False),
    Case(
        lambda: LetKDIntermediate('random', subclasses=3),
        (2, 6, 4, 4),
        (2, 3, 8, 8),
        LABELS,
        zero=False,
    ),
    Case(
        lambda: LetKDIntermediate('random', subclasses=3),
        (2, 6, 4, 4),
        (2, 3, 8, 8),
        'pixels',
        classes=2,
        zero=False,
    ),
]
NETWORKS = [Network(lambda: KDLayer(3, 4), [(2, 3, 3, 3)])]


def with_a_codebook(model: Any, teacher: dict[str, Any], checkpoint: Path) -> None:
    """Of the teacher and the images that it teaches with."""
    images = dict(
        type='CustomDataset',
        data_root=str(checkpoint.parent / 'cls'),
        data_prefix='train',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=16),
            dict(type='PackInputs'),
        ],
    )
    loader = dict(
        batch_size=100,
        num_workers=0,
        dataset=images,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'),
    )
    file, config = checkpoint.with_name('book.pth'), checkpoint.with_name('teacher.py')
    loaders = dict(train_dataloader=loader, val_dataloader=loader)
    Config(dict(default_scope='mmpretrain', model=teacher, **loaders)).dump(config)
    settings = {
        '--checkpoint': checkpoint,
        '--intermediate': 'backbone.stages.2.0',
        '--templates': 64,
        '--workers': 0,
        '--device': 'cpu',
    }
    if not file.is_file():
        tool = runpy.run_path(str(ROOT / 'tools' / 'build_codebook.py'))
        given = [config, file, *(word for pair in settings.items() for word in pair)]
        tool['main']([str(word) for word in given])
    for term in model.terms.values():
        term.loss.codebook = str(file)


LEARNS = Learns(
    {
        'student.layers.intermediate.templates': 8 * 10,
        'student.layers.penultimate.templates': 64,
    },
    prepare=with_a_codebook,
)


@pytest.mark.parametrize(('loss', 'size'), [row[:2] for row in VALUES])
def test_pieces_give_the_same(loss: Any, size: int, monkeypatch: pytest.MonkeyPatch):
    grads = []
    for largest in (losses_letkd.LARGEST, 5 * K):
        monkeypatch.setattr(losses_letkd, 'LARGEST', largest)
        own = scores().detach().requires_grad_()
        loss()(own, teacher(size), LABELS).backward()
        grads.append(own.grad)
    assert torch.allclose(*grads)


def test_pieces_are_made_again_for_gradients(monkeypatch: pytest.MonkeyPatch):
    """Only where there are several, and gradients: it saves memory."""
    made, real = [], losses_letkd.checkpoint

    def spied(*given: Any, use_reentrant: bool) -> Any:
        made.append(len(given[1]))
        assert not use_reentrant  # its way back needs inputs with gradients
        return real(*given, use_reentrant=use_reentrant)

    monkeypatch.setattr(losses_letkd, 'checkpoint', spied)
    s, t = scores().detach().requires_grad_(), teacher(SIZE)
    penultimate()(s, t)
    assert made == []
    monkeypatch.setattr(losses_letkd, 'LARGEST', 20 * K)
    with torch.no_grad():
        penultimate()(s, t)
    assert made == []
    penultimate()(s, t)
    assert made == [20, 12]  # of 2 x 4 x 4 positions
    monkeypatch.setattr(losses_letkd, 'LARGEST', 32 * K)
    penultimate()(s, t)
    assert made == [20, 12]
    monkeypatch.setattr(losses_letkd, 'LARGEST', 0)  # one by one at least
    penultimate()(s, t)
    assert made[2:] == [1] * 32


def test_the_papers_settings_are_the_defaults():
    loss = LetKDPenultimate()
    assert (loss.tau, loss.codebook) == (1.0, None)
    assert not loss.other_data and not LetKDIntermediate().other_data


@pytest.mark.parametrize('made', [penultimate(), intermediate()])
def test_a_random_codebook(made: CodebookLoss):
    """The same on every rank, and formed as a file's; rows are probabilities."""
    one, two = made.random(K, 5), made.random(K, 5)
    assert list(one) == made.names and all(torch.equal(one[n], two[n]) for n in one)
    assert all(one[name].shape == getattr(made, name).shape for name in one)
    if 'table' in one:
        assert torch.allclose(one['table'], 0.9 * torch.eye(K) + 0.1 / K)


def test_a_codebook_is_missed_before_training_begins():
    with pytest.raises(ValueError, match='needs a codebook'):
        LetKDPenultimate().build(Site([torch.zeros(1, 4, 2, 2)], [teacher(2)]))


def test_what_the_file_says_counts(tmp_path: Path):
    """Not the number of sub-classes in the config, nor another layer's name."""
    made = intermediate()
    meta = dict(subclasses=3, paths=dict(intermediate=['neck'], penultimate=['head']))
    tensors = {name: getattr(made, name) for name in made.names}
    torch.save(dict(meta=meta, intermediate=tensors), tmp_path / 'book.pth')
    loss = LetKDIntermediate(str(tmp_path / 'book.pth'), subclasses=2)
    both = scores().detach(), teacher(SIZE)
    assert loss(*both, LABELS) == made(*both, LABELS)
    site = Site([both[0]], [both[1]], teacher=torch.nn.Identity())
    with pytest.raises(ValueError, match=r"is of \['neck'\], the term of \['head'\]"):
        loss.build(replace(site, paths=(['neck'], ['head'])))
    loss.build(replace(site, teacher=None))
    assert all(getattr(loss, name).dtype == torch.float64 for name in loss.names)
    loss.build(replace(site, students=[both[0].half()], teacher=None))  # once, in fp32
    assert all(getattr(loss, name).dtype == torch.float32 for name in loss.names)


def test_one_position():
    one = scores()[:1, :, :1, :1], teacher(SIZE)[:1, :, :1, :1]
    both = [torch.cat([x, x]) for x in one]
    value = penultimate()(*one)
    assert value > 0 and penultimate()(*both).item() == pytest.approx(value.item())


def test_only_labelled_positions_count():
    seg_map = torch.full((2, 8, 8), 255)
    seg_map[:, :2] = 1
    targets = Targets(seg_maps=list(seg_map))
    s = scores().detach().requires_grad_()
    value = intermediate()(s, teacher(SIZE), targets)
    value.backward()
    assert s.grad[..., 0, :].any() and not s.grad[..., 1:, :].any()
    ones = Targets(labels=torch.tensor([1, 1]))
    rows = intermediate()(s[..., :1, :], teacher(SIZE)[..., :1, :], ones)
    assert value.item() == pytest.approx(rows.item())
    nothing = Targets(seg_maps=list(torch.full((2, 8, 8), 255)))
    s.grad = None
    zero = intermediate()(s, teacher(SIZE), nothing)
    zero.backward()  # it hangs on the scores, as DDP wants it
    assert zero == 0 and s.grad is not None and not s.grad.any()


def test_gradients():
    """The loss moves templates, gain and map; the task also the values; no teacher."""
    x, made = wave(2, D, SIZE, SIZE).requires_grad_(), layer()
    t = teacher(SIZE).requires_grad_()
    y = made(x)
    penultimate()(made.match(x), t).backward()
    assert t.grad is None and x.grad.any()
    match, value = made.match, made.value
    assert match.weight.grad.any() and match.gain.grad.any()
    assert value.weight.grad is None and made.norm.weight.grad is None
    y.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in made.parameters())


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_precision(dtype: torch.dtype):
    s, t = scores().to(dtype), 20 * teacher(SIZE).to(dtype)
    value = copy.deepcopy(penultimate()).float()(s, t)
    assert value.dtype == torch.float32 and value.isfinite()
    zero = torch.zeros(2, D, 2, 2, dtype=torch.bfloat16)
    assert layer().to(torch.bfloat16)(zero).isfinite().all()


@pytest.mark.parametrize(
    ('loss', 'word'),
    [
        (LetKDPenultimate(), 'build_codebook'),
        (LetKDIntermediate('random'), r'which build\(\) makes'),
        (LetKDIntermediate('random', subclasses=4), '4 for each of 1 classes'),
    ],
)
def test_bad_use(loss: CodebookLoss, word: str):
    if 'classes' in word:
        loss.build(Site([scores().detach()], [teacher(SIZE)]))
    with pytest.raises(ValueError, match=word):
        loss(scores(), teacher(SIZE), LABELS)
    with pytest.raises(ValueError, match='needs the ground truth'):
        intermediate()(scores(), teacher(SIZE))
    with pytest.raises(FileNotFoundError, match='tools/build_codebook.py'):
        type(loss)('nowhere.pth')
    own = penultimate()
    with pytest.raises(ValueError, match='templates=…'):
        own(scores()[:, :3], teacher(SIZE))


# -- in a model ------------------------------------------------------------------------


def in_cell(distiller: Any, values: dict[str, Any], kind: str) -> None:
    """A term moves the words of its own layer; what the task needs, the task moves."""
    layers = distiller.student.backbone.kd_layers
    for name in ('intermediate', 'penultimate'):
        distiller.zero_grad()
        values[f'loss_{name}'].backward(retain_graph=True)
        own = layers[name]
        assert moved(own.match)
        assert all(p.grad is None for p in own.value.parameters())
    distiller.zero_grad()
    distiller.parse_losses(values)[0].backward(retain_graph=True)
    assert all(p.grad.any() for p in layers.parameters())
    assert all(layer.norm.training for layer in layers.values())


def test_losses_are_not_in_checkpoints():
    keys = MODELS.build(cell('letkd', 'cls')).state_dict()
    assert not any('terms' in key for key in keys)


def test_the_model_stays_what_it_is():
    """Names of weights, interface, copies."""
    plain = zoo.plain('faster_rcnn')
    model = build_model(cell('letkd', 'faster_rcnn').student, 'student')
    keys = {key for key in model.state_dict() if '.kd_layers.' not in key}
    assert keys == set(plain.state_dict()) and type(model) is type(plain)
    assert model.backbone.out_indices == plain.backbone.out_indices
    images = torch.rand(1, 3, 64, 64)
    twins = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    for twin in twins:
        for one in twin.backbone.kd_layers.values():
            one.alpha = 0.0
    plain.load_state_dict(model.state_dict(), strict=False)
    expected = plain.eval().backbone(images)
    for twin in twins:
        assert all(map(torch.equal, twin.eval().backbone(images), expected))
    assert not torch.equal(model.eval().backbone(images)[-1], expected[-1])


def test_initialisation():
    model = build_model(cell('letkd', 'cls').student, 'student')
    weight = model.backbone.kd_layers['penultimate'].match.weight.clone()
    model.init_weights()
    made = model.backbone.kd_layers['penultimate']
    assert torch.equal(weight, made.match.weight)
    assert (made.match.gain.item(), made.value.gain.item()) == (3, 1)


@pytest.mark.parametrize(
    ('layers', 'word'),
    [
        (dict(a=dict(templates=4)), 'after'),
        (dict(a=dict(after='backbone.layer9', templates=4)), 'layer9'),
        (dict(a=dict(after='head', templates=4)), 'do not run'),
        (dict(a=dict(after='neck', templates=4)), 'no map'),
    ],
)
def test_bad_place(layers: dict[str, Any], word: str):
    with pytest.raises(ValueError, match=word):
        build_model(dict(cell('letkd', 'cls').student, layers=layers), 'student')


# Base and added parameters and added multiplications of the specification's table.
COSTS = [
    (dict(depth=20), 64, (278324, 532482 + 8192, 33554432)),
    (dict(depth=8, widths=(32, 64, 128, 256)), 256, (1233540, 2105346, 134217728)),
]


@pytest.mark.parametrize(('backbone', 'channels', 'expected'), COSTS)
def test_overhead(backbone: dict[str, Any], channels: int, expected: Any):
    student = dict(
        type='mmkd.KDLayered',
        of='mmpretrain.ImageClassifier',
        layers=dict(last=dict(after='backbone', templates=4096)),
        backbone=dict(type='mmkd.CifarResNet', **backbone),
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=dict(
            type='mmpretrain.LinearClsHead', num_classes=100, in_channels=channels
        ),
    )
    cost = overhead(build_model(student, 'student'), 32)
    more = 2 * channels * 4096 + 2 * 4096 + 2
    assert cost['plain'] == expected[0] and cost['macs'] == expected[2]
    assert cost['layered'] - cost['plain'] == more
