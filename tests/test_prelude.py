"""Preludes: what learns from the frozen teacher before the student starts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import runs
import torch
import torch.nn.functional as F
import zoo
from mmengine.model import ExponentialMovingAverage
from torch import Tensor, nn

from mmkd.hooks import TrainPreludes
from mmkd.hooks.train_preludes import Source
from mmkd.loss import Loss, Site
from mmkd.prelude import Prelude, Recipe, Seen, read_recipe
from mmkd.targets import Targets

CLS = dict(student='backbone.layer1')
RECIPE = dict(iters=3, lr=0.01)


class Rebuild(Prelude):
    """Learns to say again what it sees, through few channels."""

    looks = 0

    def __init__(self, channels: int, recipe: Recipe | None) -> None:
        squeeze = nn.Conv2d(channels, 2, 1)
        net = nn.Sequential(squeeze, nn.BatchNorm2d(2), nn.Conv2d(2, channels, 1))
        net.register_module('idle', nn.Linear(1, 1))
        super().__init__(net, recipe)
        self.log: list[Any] = []

    def forward(self, x: Tensor) -> Tensor:
        return self.net[2](self.net[1](self.net[0](x)))

    def prepare(self, batches: Iterable[Seen]) -> None:
        for i, (teacher, _) in enumerate(batches):
            self.log.append(('prepare', tuple(teacher.shape), self.net.training))
            if i + 1 == self.looks:
                break

    def objective(self, teacher: Tensor, targets: Targets) -> tuple[Tensor, int]:
        assert targets.labels is not None and not teacher.requires_grad
        self.log.append(('learn', tuple(teacher.shape), self.net[1].training))
        return F.mse_loss(self(teacher), teacher) * len(teacher), len(teacher)

    def review(self, batches: Iterable[Seen]) -> None:
        self.log += [
            ('validate', tuple(t.shape), self.net.training) for t, _ in batches
        ]

    def report(self) -> list[str]:
        return [f'{len(self.log)} looks']


class Idle(Rebuild):
    """Looks at nothing but what it must."""

    prepare = Prelude.prepare
    review = Prelude.review


class Toy(Loss):
    """Compares what the net says of both sides."""

    kind = Rebuild

    def __init__(self, recipe: Any = RECIPE) -> None:
        super().__init__()
        self.recipe = read_recipe(recipe, dict(momentum=0.5))

    def build(self, site: Site) -> None:
        self.prelude = self.kind(site.teachers[0].shape[1], self.recipe)

    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        self.prelude.ready()
        return F.mse_loss(self.prelude(student), self.prelude(teacher))


class IdleToy(Toy):
    kind = Idle


class Joint(Toy):
    """All levels together: they are what the config has."""

    joint, same_shape = True, False

    class kind(Idle):  # noqa: N801
        def objective(self, teacher: Any, targets: Targets) -> tuple[Tensor, int]:
            named = isinstance(teacher, dict)
            shapes = {k: tuple(v.shape) for k, v in teacher.items()} if named else None
            self.log.append(shapes or [tuple(x.shape) for x in teacher])
            return torch.zeros(()), 0  # nothing to learn in this batch

    def build(self, site: Site) -> None:
        self.prelude = self.kind(3, self.recipe)


def model(loss: Any = Toy, recipe: Any = RECIPE, **changes: Any) -> dict[str, Any]:
    """A distiller's config whose student is as wide as its teacher."""
    term = {**CLS, 'weight': 1e-3, **changes, 'loss': dict(type=loss, recipe=recipe)}
    terms = dict(loss_toy=term)
    return runs.model_config('cls', student=zoo.student('cls', width=8), terms=terms)


def run(folder: Path, config: dict[str, Any] | None = None, **settings: Any) -> Any:
    hooks = [dict(type='mmkd.TrainPreludes'), dict(type='mmkd.SeedIterations')]
    length = {} if 'iters' in settings else dict(epochs=settings.pop('epochs', 1))
    return runs.runner(
        'cls', folder, model=config or model(), custom_hooks=hooks, **length, **settings
    )


def prelude_of(runner: Any, level: int = 0) -> Any:
    distiller = getattr(runner.model, 'module', runner.model)
    return distiller.terms['loss_toy'].losses[level].prelude


def learn(runner: Any) -> Any:
    """Train the preludes of a run, and nothing else."""
    runner.train_loop  # noqa: B018  (builds it)
    next(h for h in runner.hooks if isinstance(h, TrainPreludes)).before_train(runner)
    return prelude_of(runner)


def test_order_and_modes(tmp_path: Path):
    """It looks, learns in training mode, is in eval mode again, and looks once more."""
    runner = run(tmp_path, **runs.validation('cls'))
    shape = (2, 8, 32, 32)
    found = learn(runner)
    assert found.log == [
        *[('prepare', shape, False)] * 4,
        *[('learn', shape, True)] * 3,
        *[('validate', shape, False)] * 4,
    ]
    assert found.done and not found.net.training and not found.closing
    assert found.net[1].num_batches_tracked == 3
    assert runner.model.train().training and not found.net[1].training


@pytest.mark.parametrize(('kind', 'reads'), [(IdleToy, 6), (Toy, 6 + 8)])
def test_nothing_is_read_that_is_not_asked_for(kind: type, reads: int, tmp_path: Path):
    runner = run(tmp_path, model(kind), **runs.validation('cls'))
    seen: list[int] = []
    for loader in (runner.train_dataloader, runner.val_dataloader):
        items = loader.dataset.items
        loader.dataset.items = Spy(items, seen)
    found = learn(runner)
    assert len(seen) == reads + (8 if kind is Toy else 0) and found.done


class Spy(list):
    def __init__(self, items: list[Any], seen: list[int]) -> None:
        super().__init__(items)
        self.seen = seen

    def __getitem__(self, index: Any) -> Any:
        self.seen.append(index)
        return super().__getitem__(index)


def test_it_may_stop_looking(tmp_path: Path):
    runner = run(tmp_path)
    prelude_of(runner).looks = 1
    assert [word for word, *_ in learn(runner).log] == ['prepare', *['learn'] * 3]


def test_weights_are_saved_and_in_no_optimizer():
    distiller = zoo.distiller('cls', **{k: model()[k] for k in ('student', 'terms')})
    prelude = distiller.terms['loss_toy'].loss.prelude
    names = [key for key in distiller.state_dict() if 'prelude' in key]
    assert {n.partition('prelude.')[2] for n in names} >= {'done', 'net.0.weight'}
    assert not [n for n, _ in distiller.named_parameters() if 'prelude' in n]
    assert not any(weight.requires_grad for weight in prelude.weights)
    with prelude.learning() as weights:
        assert len(weights) == 8 and all(w.requires_grad for w in weights)
        assert weights[0] is prelude.net[0].weight
    assert not any(w.requires_grad or w.grad is not None for w in prelude.weights)
    prelude.done.fill_(True)
    data = distiller.train().data_preprocessor(zoo.batch('cls'), True)
    distiller(**data, mode='loss')['loss_toy'].backward()
    assert distiller.student.backbone.layer1[0].conv1.weight.grad.any()
    assert distiller.half().terms['loss_toy'].loss.prelude.done.dtype == torch.bool


def test_weights_move_and_what_is_idle_stays(tmp_path: Path):
    runner = run(tmp_path)
    before = {k: v.clone() for k, v in prelude_of(runner).net.state_dict().items()}
    after = learn(runner).net.state_dict()
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert set(before) - moved == set()  # weight decay moves what has no gradient
    recipe = dict(RECIPE, weight_decay=0.0)
    runner = run(tmp_path, model(recipe=recipe))
    before = prelude_of(runner).net.idle.weight.clone()
    assert torch.equal(learn(runner).net.idle.weight, before)


def test_copies_of_an_average_have_it(tmp_path: Path):
    runner = run(tmp_path)
    average = ExponentialMovingAverage(runner.model)
    learn(runner)
    average.update_parameters(runner.model)
    one, two = (prelude_of(r) for r in (runner, type('R', (), dict(model=average))))
    assert two.done and torch.equal(one.net[0].weight, two.net[0].weight)


def test_recipes():
    assert read_recipe('random', {}) is None
    recipe = read_recipe(dict(lr=1.0), dict(lr=2.0, gamma=0.5))
    assert recipe == Recipe(lr=1.0, gamma=0.5)
    with pytest.raises(ValueError, match="recipe: nobody reads the key 'epoch'"):
        read_recipe(dict(epoch=1), {})
    assert Toy('random').recipe is None
    loss = Toy('random')
    loss.build(Site([torch.zeros(1, 4, 2, 2)], [torch.zeros(1, 4, 2, 2)]))
    loss(torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 2, 2))  # meant to be as it is


def test_levels_have_one_each(tmp_path: Path):
    """And a joint loss has one for all, in the form of the config."""
    paths = ['backbone.layer1', 'backbone.layer2']
    runner = run(tmp_path, model(student=paths))
    learn(runner)
    shapes = [prelude_of(runner, i).log[-1][1] for i in range(2)]
    assert shapes == [(2, 8, 32, 32), (2, 16, 16, 16)]
    found = learn(run(tmp_path, model(Joint, student=paths)))
    assert found.done and found.log[-1] == shapes
    named = dict(student=dict(a=paths[0], b=paths[1]))
    found = learn(run(tmp_path, model(Joint, **named)))
    assert found.log[-1] == dict(zip('ab', shapes))


def test_resume_knows_that_it_is_done(tmp_path: Path):
    first = run(tmp_path, epochs=1)
    first.train()
    assert prelude_of(first).log
    again = run(tmp_path, epochs=2, resume=True)
    again.train()
    assert not prelude_of(again).log
    assert torch.equal(*(prelude_of(r).net[0].weight for r in (first, again)))


def test_a_term_that_is_off_has_none_trained(tmp_path: Path):
    assert not learn(run(tmp_path, model(weight=0.0))).done


# -- what a user may do wrong ----------------------------------------------------------


def test_without_the_hook():
    with pytest.raises(
        RuntimeError, match=r'Rebuild is not trained.*mmkd.TrainPreludes'
    ):
        loss = Toy()
        loss.build(Site([], [torch.zeros(1, 4, 2, 2)]))
        loss(torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 2, 2))


def test_a_teacher_that_is_not_there(tmp_path: Path):
    distiller = run(tmp_path, model(teacher='student/backbone.layer1')).model
    with pytest.raises(ValueError, match=r"a frozen teacher.*\['student'\]"):
        Source(distiller, distiller.terms['loss_toy'])
    connector = [dict(type='mmkd.Uniformize', size=2)]
    runner = run(
        tmp_path, model(Joint, connector=connector, teacher_connector=connector)
    )
    with pytest.raises(ValueError, match='terms.loss_toy: .*teacher_connector'):
        learn(runner)


def test_a_teachers_rois_need_a_student(tmp_path: Path):
    terms = dict(loss_toy=dict(student='roi_head.bbox_head[0]', loss=dict(type=Joint)))
    distiller = zoo.distiller('faster_rcnn', terms=terms)
    source = Source(distiller, distiller.terms['loss_toy'])
    with pytest.raises(ValueError, match='RoI heads .* student, which\\s+does not run'):
        source.see(zoo.batch('faster_rcnn'), training=True)


@pytest.mark.parametrize('iters', [1, 9])
def test_a_loss_that_is_not_finite(iters: int, tmp_path: Path):
    recipe = dict(iters=iters, lr=1e38, weight_decay=1e3)
    with pytest.raises(FloatingPointError, match='terms.loss_toy: .*lower lr'):
        learn(run(tmp_path, model(recipe=recipe)))


# -- ranks -----------------------------------------------------------------------------


def prepare(rank: int, folder: Path) -> None:
    """Train it on one rank of two; saves its weights."""
    found = learn(run(folder / f'{rank}'))
    torch.save(found.state_dict(), folder / f'{rank}' / 'prelude.pth')


@pytest.mark.slow
def test_two_ranks_have_the_same(tmp_path: Path):
    """The statistics of norms as well, which each has counted for itself."""
    runs.on_two_ranks(prepare, tmp_path)
    one, two = (torch.load(tmp_path / n / 'prelude.pth') for n in '01')
    assert one.keys() == two.keys() and one['done']
    assert [key for key in one if not torch.equal(one[key], two[key])] == []
    assert one['net.1.running_mean'].any()
