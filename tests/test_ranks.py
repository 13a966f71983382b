"""One process and two with the same batch: the same losses, gradients and weights.

BatchNorm would make ranks differ, dropout too: both are in eval mode here, so that what
is left is the order of sums. In fp64, where it is small: FRSKD's teacher makes 1e-3 of
1e-7.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import runs
import torch
import zoo
from cells import cell
from harness import wave
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmkd.checks import SHARDING, check_sharding
from mmkd.loss import Loss, Site
from mmkd.losses import KD, LetKDIntermediate, SAKDBranch, SAKDMatch
from mmkd.networks.letkd import KDLayer
from mmkd.registry import MODELS
from mmkd.targets import Targets

METHODS = ('kd', 'cwd', 'sakd', 'cwt', 'frskd', 'letkd')
STEPS, BATCH = 3, 4
# Every image has as many valid pixels, and every class: no count differs by rank.
TASKS = ('cls', 'pspnet')
# Where counts differ by nature, those terms in which none does.
DETECTION = {
    'cwd': ['raw_cwd'],
    'cwt': ['raw_cwt'],
    'sakd': ['raw_match', 'raw_branch'],
    'frskd': ['raw_fitnet', 'raw_at', 'raw_feature'],
}


def at(step: int) -> None:
    """Tell schedules so: every ramp is up."""
    hub = MessageHub.get_current_instance()
    hub.update_info('max_iters', 100)
    hub.update_info('iter', step)


def build(method: str, kind: str) -> Any:
    """A distiller of which every part is deterministic, image by image."""
    at(97)
    torch.manual_seed(0)
    distiller = MODELS.build(cell(method, kind)).train()
    revert_sync_batchnorm(distiller)  # it wants a GPU
    models = [distiller, *(frozen.model for frozen in distiller.frozen.values())]
    modules = [module for model in models for module in model.modules()]
    norms = [module for module in modules if isinstance(module, _BatchNorm)]
    for model in models if kind in TASKS else ():  # mmcv's NMS is for fp32
        model.double()
        model.data_preprocessor.register_forward_hook(in_double)
    for norm in norms:  # statistics of a batch, so that something comes through
        norm.train().momentum = 1.0
    with torch.no_grad():
        data = distiller.data_preprocessor(zoo.batch(kind, seed=9, count=BATCH), True)
        distiller(**data, mode='loss')
    for norm in norms:
        norm.eval()
    for module in modules:
        if isinstance(module, (nn.modules.dropout._DropoutNd, KDLayer)):
            module.eval()  # a KD layer trains its norm
    return distiller


def in_double(module: nn.Module, given: Any, data: dict[str, Any]) -> dict[str, Any]:
    """A preprocessor's images are always fp32."""
    return dict(data, inputs=data['inputs'].double())


def part(data: dict[str, Any], rank: int, world: int) -> dict[str, Any]:
    """A rank's share of a batch."""
    return {key: value[rank::world] for key, value in data.items()}


def steps(method: str, kind: str, rank: int = 0, world: int = 1) -> dict[str, Any]:
    """Train a few steps, alone or with others; what was logged, and the weights."""
    distiller = build(method, kind)
    model: Any = distiller
    if world > 1:
        model = MMDistributedDataParallel(
            distiller, broadcast_buffers=False, find_unused_parameters=False
        )
    sgd = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    optimizer = OptimWrapper(sgd)
    before = copy.deepcopy(distiller.state_dict())
    logs = []
    for step in range(STEPS):
        at(97 + step)
        data = part(zoo.batch(kind, seed=step, count=BATCH), rank, world)
        log = model.train_step(data, optimizer)
        logs.append({key: float(value) for key, value in log.items()})
    after = distiller.state_dict()
    moved = {key: after[key].double() - before[key].double() for key in after}
    return dict(logs=logs, state=after, moved=moved)


def first_log(method: str, rank: int = 0, world: int = 1) -> dict[str, float]:
    """Of a detector: the terms of one batch, before the student has moved."""
    distiller = build(method, 'faster_rcnn')
    data = part(zoo.batch('faster_rcnn', seed=1, count=BATCH), rank, world)
    data = distiller.data_preprocessor(data, True)
    losses = distiller(**data, mode='loss')
    return {key: float(losses[key]) for key in losses if key.startswith('raw_')}


def work(rank: int, folder: Path) -> None:
    """On one of two ranks: every method on every kind."""
    MessageHub.get_instance('ranks')
    found: dict[Any, Any] = {
        (method, kind): steps(method, kind, rank, 2)
        for method in METHODS
        for kind in TASKS
    }
    found.update({method: first_log(method, rank, 2) for method in DETECTION})
    torch.save(found, folder / f'{rank}.pth')


@pytest.fixture(scope='module')
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[Any, Any]]:
    folder = tmp_path_factory.mktemp('ranks')
    runs.on_two_ranks(work, folder)
    return [torch.load(folder / f'{rank}.pth', weights_only=True) for rank in range(2)]


def mean(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    return {key: (one[key] + other[key]) / 2 for key in one}


@pytest.mark.slow
@pytest.mark.parametrize('kind', TASKS)
@pytest.mark.parametrize('method', METHODS)
def test_two_ranks_are_as_one(two: list[dict[Any, Any]], method: str, kind: str):
    alone = steps(method, kind)
    ranks = [found[method, kind] for found in two]
    for log, *parts in zip(alone['logs'], *(rank['logs'] for rank in ranks)):
        losses = {key: value for key, value in log.items() if 'acc' not in key}
        together = mean(*parts)
        for key, value in losses.items():
            assert together[key] == pytest.approx(value, rel=1e-9, abs=1e-9), key
    raw = [value for key, value in alone['logs'][0].items() if key.startswith('raw_')]
    assert max(raw) > 1e-2
    one, other = (rank['state'] for rank in ranks)
    assert all(torch.equal(one[key], other[key]) for key in one)
    way = torch.cat([value.flatten() for value in alone['moved'].values()])
    theirs = torch.cat([value.flatten() for value in ranks[0]['moved'].values()])
    assert way.norm() > 1e-3
    assert (theirs - way).norm() < 1e-9 * way.norm()


@pytest.mark.slow
@pytest.mark.parametrize('method', DETECTION)
def test_terms_of_a_detector(two: list[dict[Any, Any]], method: str):
    alone, together = first_log(method), mean(*(found[method] for found in two))
    keys = [key for key in DETECTION[method] if key in alone]
    assert keys
    for key in keys:
        assert together[key] == pytest.approx(alone[key], rel=1e-4), key


# -- counts that differ ----------------------------------------------------------------


def of_classes(loss: Loss, maps: Tensor) -> Any:
    """A loss and how many things it counts, of images with these label maps."""
    size = maps.shape[-1]
    s = wave(4, 10, size, size).float()
    t = wave(4, 10, size, size, phase=1).float()
    loss.build(Site([s], [t], classes=5))

    def value(chosen: slice) -> float:
        targets = Targets(seg_maps=list(maps[chosen]), image_sizes=[(size, size)] * 4)
        pair = (s[chosen], t[chosen])
        if loss.joint:
            pair = tuple((x,) for x in pair)  # type: ignore
        return float(loss(*pair, targets))

    return value


@pytest.mark.parametrize(
    'loss',
    [
        KD(),
        LetKDIntermediate('random', subclasses=2),
        SAKDMatch(stride=1),
        SAKDBranch(recipe='random', stride=1),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_things_count_alike_on_a_rank(loss: Loss):
    """A loss over pixels or regions is their mean on each rank, as its docstring says.

    So where ranks have different numbers of them, the mean over ranks is not the mean
    over all; it is where they have as many.
    """
    torch.manual_seed(0)
    maps = torch.randint(0, 5, (4, 8, 8))
    whole, one, two = (slice(0, 4), slice(0, 2), slice(2, 4))
    value = of_classes(loss, maps)
    assert (value(one) + value(two)) / 2 == pytest.approx(value(whole), rel=1e-4)
    maps[2:] = 255
    maps[2:, :4, :4] = 1  # a quarter of the pixels, one class of five
    value = of_classes(loss, maps)
    counts = torch.tensor([[128.0, 32.0], [10.0, 2.0]])[int(loss.joint)]
    weighted = (torch.tensor([value(one), value(two)]) * counts).sum() / counts.sum()
    assert float(weighted) == pytest.approx(value(whole), rel=1e-4)
    assert (value(one) + value(two)) / 2 != pytest.approx(value(whole), rel=1e-2)
    assert 'each rank' in str(type(loss).__doc__)


# -- shards ----------------------------------------------------------------------------


@pytest.mark.parametrize('place', ['strategy', 'model_wrapper_cfg'])
@pytest.mark.parametrize('kind', sorted(SHARDING))
def test_shards_are_refused(kind: str, place: str):
    config = Config(dict(model=dict(type='mmkd.Distiller', student={})))
    check_sharding(config)
    config[place] = dict(type=f'mmengine.{kind}')
    with pytest.raises(ValueError, match=f"{place}.*'{kind}'.*DDP is the default"):
        check_sharding(config)
    config.model = dict(type='ImageClassifier')  # no distillation: not our business
    check_sharding(config)
