"""SAKD-style: the vector match, the branch, its training, and both on each task."""

from __future__ import annotations

import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import runs
import test_parity
import torch
import torch.nn.functional as F
import zoo
from harness import Case, Connector, Learns
from mmengine.logging import MessageHub
from torch import Tensor

from mmkd.connectors import Uniformize
from mmkd.hooks import TrainPreludes, student_checkpoint
from mmkd.hooks.train_preludes import Source
from mmkd.loss import Site
from mmkd.losses import SAKDBranch, SAKDMatch, sakd_branch
from mmkd.losses.sakd_branch import Branch, Limits, Report, Tally
from mmkd.prelude import Recipe
from mmkd.registry import make
from mmkd.targets import Targets

FORMS = ('u1', 'u2', 'u3')
TERM_NAMES = ('loss_match', 'loss_branch')


# What is checked of all methods (tests/test_numbers.py).
LEVELS, WIDER = [(2, 4, 8, 8), (2, 6, 4, 4)], [(2, 5, 8, 8), (2, 7, 4, 4)]


def random_branch(**settings: Any) -> SAKDBranch:
    """For five classes."""
    return SAKDBranch(recipe='random', classes=5, **settings)


CASES = [
    *(
        Case(lambda form=form: SAKDMatch(dict(form=form)), LEVELS, WIDER)
        for form in FORMS
    ),
    Case(lambda: SAKDMatch(stride=1), LEVELS, WIDER, 'pixels'),
    Case(SAKDMatch, LEVELS, WIDER, 'boxes'),
    Case(random_branch, LEVELS, WIDER, 'labels'),
    Case(lambda: random_branch(shared=False), LEVELS, WIDER, 'boxes', zero=False),
    Case(
        lambda: random_branch(label_weight=0.5, stride=1),
        LEVELS,
        WIDER,
        'pixels',
        zero=False,
    ),
]
CONNECTORS = [
    # With the diagonal, since one pixel has no others (tests/test_uniformize.py).
    Connector(
        lambda form=form: Uniformize(form=form, diagonal=True),
        (2, 3, 8, 8),
        (2, 3, 8, 8),
    )
    for form in FORMS
]
NAIVE = ['test_match_naive', 'test_branch_naive']
LEARNS = Learns()


@pytest.fixture(autouse=True)
def run_at_its_end() -> None:
    """The terms ramp up over a run, and are whole at its end."""
    hub = MessageHub.get_current_instance()
    hub.update_info('max_iters', 100)
    hub.update_info('iter', 100)


def maps(channels: int, count: int = 3, **settings: Any) -> list[Tensor]:
    """Two levels of maps."""
    shapes = (count, channels, 8, 8), (count, 2 * channels, 4, 4)
    return [torch.randn(*shape, **settings) for shape in shapes]


def branch(student: list[Tensor], teacher: list[Tensor], **settings: Any) -> SAKDBranch:
    """A branch for 5 classes, with random weights."""
    loss = SAKDBranch(**{'recipe': 'random', **settings})
    loss.build(Site(student, teacher, classes=5))
    return loss


def naive(levels: list[Tensor], form: str, index: int) -> Tensor:
    """The vector of one image."""
    module = Uniformize(form=form)
    parts = [module(F.adaptive_avg_pool2d(x, 4), like=x)[index] for x in levels]
    return torch.tensor([float(value) for part in parts for value in part])


# -- the losses ------------------------------------------------------------------------


@pytest.mark.parametrize('form', FORMS)
def test_match_naive(form: str):
    student, teacher = maps(4), maps(6)
    total = 0.0
    for i in range(3):
        s, t = naive(student, form, i), naive(teacher, form, i)
        total += float((s / s.norm() - t / t.norm()).square().sum()) / 3
    loss = SAKDMatch(uniformize=dict(form=form))
    assert loss(student, teacher).item() == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize('shared', [False, True])
@pytest.mark.parametrize(('label_weight', 'tau'), [(0.0, 3.0), (0.5, None)])
def test_branch_naive(shared: bool, label_weight: float, tau: float | None):
    student, teacher, labels = maps(4), maps(6), torch.tensor([0, 4, 2])
    settings = dict(shared=shared, label_weight=label_weight, tau=tau)
    loss = branch(student, teacher, **settings)
    loss.prelude.scale.fill_(3.0)  # as its training would have found
    total = 0.0
    for i in range(3):
        u, v = naive(student, 'u2', i), naive(teacher, 'u2', i)
        frozen = loss.prelude.net.weight, loss.prelude.net.bias
        weight, bias = frozen if shared else (loss.own.weight, loss.own.bias)
        z, guide = weight @ u + bias, frozen[0] @ v + frozen[1]
        p, q = (guide / 3).softmax(0), (z / 3).softmax(0)
        total += 9 * float((p * (p / q).log()).sum()) / 3
        total -= label_weight * float(z.log_softmax(0)[labels[i]]) / 3
    value = loss(student, teacher, Targets(labels=labels))
    assert value.item() == pytest.approx(total, rel=1e-4)


def test_one_region_and_defaults():
    """The loss of one image, and of what a config leaves out."""
    student, teacher = maps(4, count=1), maps(6, count=1)
    twice = [[torch.cat([x, x]) for x in side] for side in (student, teacher)]
    plain = branch(student, teacher)
    same = SAKDBranch(None, True, 0.0, recipe='random', standardize=5.0, stride=8)
    same.build(Site(student, teacher, classes=5))
    same.load_state_dict(plain.state_dict())
    assert plain.prelude.net.weight.std().item() == pytest.approx(0.1, rel=0.1)
    assert not plain.prelude.net.bias.any()
    for loss in (plain, same, SAKDMatch(), SAKDMatch(stride=8)):
        value = loss(student, teacher)
        assert value > 0
        assert loss(*twice).item() == pytest.approx(value.item(), rel=1e-5)
    assert plain(student, teacher) == same(student, teacher)
    assert plain.vectors.stride == SAKDMatch().vectors.stride == 8 and plain.own is None


# winycg/HSAKD 28c8dc2, train_teacher_cifar.py with --freezed, lines 29-33, 109-111 and
# 162; the milestones are the README's, 30, 60 and 90 of 100 epochs.
OF_HSAKD = dict(
    lr=0.05,
    momentum=0.9,
    weight_decay=5e-4,
    nesterov=True,
    milestones=(0.3, 0.6, 0.9),
    gamma=0.1,
)


def test_recipe_is_of_hsakd():
    found = SAKDBranch(classes=3, recipe=dict(iters=7)).recipe
    assert found == Recipe(**OF_HSAKD, iters=7, epochs=10)
    loss = SAKDBranch(classes=3, recipe=dict(iters=7))
    loss.build(Site(maps(4), maps(6), classes=5))  # the config's number counts
    assert len(loss.prelude.net.bias) == 3 and not loss.prelude.done
    assert not any(weight.any() for weight in loss.prelude.weights)


@pytest.mark.parametrize('length', [5.0, 2.0])
def test_vectors_are_standardised(length: float):
    """Entry by entry; then they are about as long as the config says."""
    sides = [maps(6, count=4) for _ in range(3)]
    loss = branch(maps(4), sides[0], recipe=dict(iters=1), standardize=length)
    loss.prelude.prepare((levels, Targets()) for levels in sides)
    rows = torch.stack([naive(levels, 'u2', i) for levels in sides for i in range(4)])
    expected = rows.clone()
    for j in range(rows.shape[1]):
        values = rows[:, j].tolist()
        mean = sum(values) / 12
        deviation = (sum((v - mean) ** 2 for v in values) / 12) ** 0.5
        for i, value in enumerate(values):
            expected[i, j] = (value - mean) / deviation * length / 480**0.5
    found = loss.prelude.standardized(rows)
    assert torch.allclose(found, expected, atol=1e-5)
    assert found.square().sum(1).mean().sqrt().item() == pytest.approx(length, rel=1e-5)
    assert loss.prelude.mean.dtype == torch.float32


def test_an_entry_that_never_varies_is_not_made_large():
    same = [(maps(6, count=1), Targets())] * 2
    loss = branch(maps(4), maps(6), recipe=dict(iters=1))
    loss.prelude.prepare(same)
    assert loss.prelude.factor.max().item() == pytest.approx(5 / 480**0.5 / 1e-3)


@pytest.mark.parametrize(('settings', 'count'), [({}, 2), (dict(standardize=0.0), 0)])
def test_as_many_regions_as_are_enough(
    settings: dict[str, Any], count: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sakd_branch, 'ENOUGH', 5)
    read: list[int] = []

    def batches() -> Any:
        for i in range(9):
            read.append(i)
            yield maps(6), Targets()

    loss = branch(maps(4), maps(6), recipe=dict(iters=1), **settings)
    loss.prelude.prepare(batches())
    assert len(read) == count
    assert bool(loss.prelude.mean.any()) == bool(count)


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('shared', [False, True])
def test_gradients_belong_to_the_student(form: str, shared: bool):
    student, teacher = maps(4, requires_grad=True), maps(6, requires_grad=True)
    uniformize = dict(form=form)
    loss = branch(student, teacher, shared=shared, uniformize=uniformize)
    match = SAKDMatch(uniformize=uniformize)
    (loss(student, teacher) + match(student, teacher)).backward()
    assert all(x.grad is not None and x.grad.any() for x in student)
    assert all(x.grad is None for x in teacher)
    assert all(w.grad is None for w in loss.prelude.weights)
    names = [name for name, _ in loss.named_parameters()]
    assert names == ([] if shared else ['own.weight', 'own.bias'])
    assert all(p.grad is not None and p.grad.any() for p in loss.parameters())


def test_equal_sides_match_whatever_the_channels():
    student = maps(4)
    turned = [x.flip(1).repeat(1, 2, 1, 1) for x in student]
    assert SAKDMatch()(student, turned).item() < 1e-6
    assert branch(student, turned, shared=True)(student, turned).item() < 1e-5


def test_a_vector_that_is_hardly_there_has_little_direction():
    teacher = torch.tensor([[3.0, 4.0]])
    for length, part in ((1.0, 1.0), (1e-3, 1.0), (1e-4, 0.1), (0.0, 0.0)):
        value = SAKDMatch().compare(teacher * length / 5, teacher, None).item()
        assert value == pytest.approx((1 - part) ** 2, abs=1e-6)


@pytest.mark.parametrize('fill', [0.0, 1.0])
def test_constant_maps_and_one_image(fill: float):
    student = [torch.full((1, 4, 8, 8), fill, requires_grad=True)]
    teacher = [torch.randn(1, 6, 8, 8)]
    loss = SAKDMatch()(student, teacher) + branch(student, teacher)(student, teacher)
    loss.backward()
    assert loss.isfinite() and student[0].grad.isfinite().all()


def test_half_precision_is_computed_in_full():
    student, teacher = ([x.bfloat16() for x in maps(c)] for c in (4, 6))
    loss = branch(student, [x.float() for x in teacher]).float()
    full = [[x.float() for x in side] for side in (student, teacher)]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = [loss(student, teacher), SAKDMatch()(student, teacher)]
    assert half == [loss(*full), SAKDMatch()(*full)]
    assert all(value.dtype == torch.float32 for value in half)


def test_mixed_images_have_soft_labels():
    student, teacher = maps(4), maps(6)
    scores = torch.eye(5)[:3]
    loss = branch(student, teacher, label_weight=1.0)
    # Of a mixed image the hard label is one of two.
    soft = loss(student, teacher, Targets(scores=scores, labels=torch.zeros(3).long()))
    hard = loss(student, teacher, Targets(labels=torch.arange(3)))
    assert soft.item() == pytest.approx(hard.item(), rel=1e-5)
    assert SAKDMatch()(student, teacher, Targets(scores=scores)) > 0


# -- regions ---------------------------------------------------------------------------


def boxes(*per_image: list[list[float]]) -> Targets:
    """Boxes in images of 32x32."""
    return Targets(
        boxes=[torch.tensor(b).reshape(-1, 4) for b in per_image],
        box_labels=[torch.arange(len(b)) for b in per_image],
        input_size=(32, 32),
    )


def test_a_box_is_a_small_image():
    student, teacher = [torch.randn(1, 4, 16, 16)], [torch.randn(1, 6, 16, 16)]
    targets = boxes([[0, 0, 16, 16], [16, 16, 32, 32]])
    crops = [
        [torch.cat([x[..., :8, :8], x[..., 8:, 8:]]) for x in side]
        for side in (student, teacher)
    ]
    ours, alone = SAKDMatch()(student, teacher, targets), SAKDMatch()(*crops)
    assert ours.item() == pytest.approx(alone.item(), rel=1e-3)
    vectors, labels = SAKDMatch().vectors(student, targets)
    assert vectors.shape == (2, 240) and labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    'targets',
    [
        boxes([], [], []),
        Targets(seg_maps=[torch.full((32, 32), 255)] * 3),
    ],
    ids=['boxes', 'masks'],
)
def test_without_regions_all_is_zero(targets: Targets):
    student, teacher = maps(4, requires_grad=True), maps(6)
    shared = branch(student, teacher, label_weight=1.0)
    assert shared(student, teacher, targets) == 0
    loss = branch(student, teacher, label_weight=1.0, shared=False)
    total = loss(student, teacher, targets) + SAKDMatch()(student, teacher, targets)
    total.backward()
    assert total.item() == 0
    assert all(p.grad is not None and not p.grad.any() for p in loss.parameters())
    assert all(x.grad is None or not x.grad.any() for x in student)


def test_levels_and_networks_find_the_same_classes():
    """A class of one pixel, maps of many sizes."""
    seg_map = torch.zeros(32, 32, dtype=torch.long)
    seg_map[:, 16:], seg_map[0, 0], seg_map[-8:] = 3, 1, 255
    targets = Targets(seg_maps=[seg_map] * 3)
    student, teacher = maps(4), [torch.randn(3, 6, 16, 16), torch.randn(3, 6, 1, 1)]
    for levels in (student, teacher):
        for stride in (1, 4):
            vectors, labels = SAKDMatch(stride=stride).vectors(levels, targets)
            assert vectors.shape == (len(labels), 480)
            assert set(labels.tolist()) == {0, 1, 3}
    assert SAKDMatch(stride=4)(student, teacher, targets).isfinite()


def test_a_class_that_is_everywhere_is_a_small_image():
    """Of the label map's size over the stride, rounded up; others go to it first."""
    targets = Targets(seg_maps=[torch.full((5, 8), 2)])
    fits, other = torch.randn(1, 4, 3, 4), torch.randn(1, 6, 5, 7)
    small = F.interpolate(other, (3, 4), mode='bilinear', align_corners=False)
    loss = SAKDMatch(dict(size=2), stride=2)
    vectors, labels = loss.vectors([fits, other], targets)
    expected, _ = loss.vectors([fits, small], None)
    assert labels.tolist() == [2]
    assert torch.allclose(vectors, expected, atol=1e-5)


@pytest.mark.parametrize('kind', ['image', 'boxes', 'masks'])
def test_every_level_may_have_its_own_size(kind: str):
    """The joined vector has one part after another."""
    targets = dict(
        image=None,
        boxes=boxes([[0, 0, 16, 16]], [[8, 8, 32, 32]], []),
        masks=Targets(seg_maps=[torch.arange(32)[:, None].expand(32, 32) // 16] * 3),
    )[kind]
    levels = maps(4)
    whole, labels = SAKDMatch(dict(size=[4, 2])).vectors(levels, targets)
    first, _ = SAKDMatch(dict(size=4)).vectors(levels, targets)
    second, _ = SAKDMatch(dict(size=2)).vectors(levels, targets)
    assert torch.equal(whole, torch.cat([first[:, :240], second[:, 12:]], 1))
    assert labels is None or len(labels) == len(whole)


# -- what a user may do wrong ----------------------------------------------------------


def test_errors():
    student, teacher = maps(4), maps(6)
    with pytest.raises(RuntimeError, match='mmkd.TrainPreludes'):
        branch(student, teacher, recipe=dict(epochs=1))(student, teacher)
    with pytest.raises(ValueError, match='set classes'):
        SAKDBranch().build(Site(student, teacher))
    with pytest.raises(ValueError, match='uniformize.size: None is not a count'):
        SAKDMatch(uniformize=dict(size=None))
    with pytest.raises(ValueError, match=r'has 3 sizes, \[4, 4, 2\], .* 2 levels'):
        SAKDMatch(uniformize=dict(size=[4, 4, 2]))(student, teacher)
    with pytest.raises(ValueError, match="^uniformize.form: 'u4' is not"):
        SAKDMatch(uniformize=dict(form='u4'))
    with pytest.raises(ValueError, match=r'maps \(N, C, H, W\)'):
        SAKDMatch()([torch.randn(2, 5, 4)], [torch.randn(2, 5, 4)])
    with pytest.raises(ValueError, match='no labels'):
        branch(student, teacher, label_weight=1.0)(student, teacher)
    with pytest.raises(ValueError, match="recipe: 'none' is not a dict or 'random'"):
        make('loss', dict(type='mmkd.SAKDBranch', recipe='none'))
    with pytest.raises(ValueError, match="limits: nobody reads the key 'gab'"):
        SAKDBranch(limits=dict(gab=1))
    with pytest.raises(ValueError, match="recipe: nobody reads the key 'epoch'"):
        SAKDBranch(recipe=dict(epoch=1))


# -- every task ------------------------------------------------------------------------


def both(kind: str, prefix: str = 'loss_', **changes: Any) -> dict[str, Any]:
    """Match and branch on a kind of model, without a trained branch."""
    paths: Any = [f'backbone.layer{i}' for i in (2, 3, 4)]
    if kind in ('faster_rcnn', 'mask_rcnn', 'retinanet'):
        paths = 'neck[:3]'
    branch = dict(type='mmkd.SAKDBranch', **{'recipe': 'random', **changes})
    ramp = [dict(kind='linear', end=0.05)]
    return {
        f'{prefix}match': dict(
            student=paths, loss=dict(type='mmkd.SAKDMatch'), weight=10.0, schedule=ramp
        ),
        f'{prefix}branch': dict(student=paths, loss=branch, weight=0.1, schedule=ramp),
    }


def step(model: Any, kind: str) -> dict[str, Tensor]:
    losses: dict[str, Tensor]
    losses = model(**model.data_preprocessor(zoo.batch(kind), True), mode='loss')
    return losses


@pytest.mark.parametrize('kind', ['cls', 'retinanet', 'pspnet'])
@pytest.mark.parametrize('shared', [False, True])
def test_training_step(kind: str, shared: bool):
    """With labels, and with either branch; tests/test_matrix.py has the rest."""
    terms = both(kind, label_weight=0.1, shared=shared)
    distiller = zoo.distiller(kind, terms=terms).train()
    losses = step(distiller, kind)
    assert all(losses[name].isfinite() and losses[name] > 0 for name in TERM_NAMES)
    sum(losses[name] for name in TERM_NAMES).backward()
    assert all(p.grad.any() for p in distiller.terms.parameters())
    assert len(list(distiller.terms.parameters())) == (0 if shared else 2)
    loss = distiller.terms['loss_branch'].loss
    assert len(loss.prelude.net.bias) == zoo.CLASSES
    exported = student_checkpoint({'state_dict': distiller.state_dict()}, 'here')
    zoo.plain(kind).load_state_dict(exported['state_dict'], strict=True)


@pytest.mark.parametrize('kind', ['cls', 'faster_rcnn', 'pspnet'])
def test_zero_weight_is_plain_training(kind: str):
    torch.manual_seed(0)
    plain = zoo.plain(kind)
    torch.manual_seed(0)
    distiller = zoo.distiller(kind, weight=0.0, terms=both(kind, 'loss_kd_'))
    one = test_parity.train(plain, kind, '')
    two = test_parity.train(distiller, kind, 'student.')
    assert one[0] == two[0] and one[2].keys() == two[2].keys()
    assert all(torch.equal(one[2][key], two[2][key]) for key in one[2])


# -- the branch's training -------------------------------------------------------------


class Labelled(runs.Images):
    """The images of classification with labels that differ."""

    def __init__(self) -> None:
        super().__init__('cls')
        for i, item in enumerate(self.items):
            item['data_samples'].set_gt_label(i % zoo.CLASSES)


def runner(kind: str, folder: Path, recipe: dict[str, Any], **settings: Any) -> Any:
    """A run whose branch is trained first."""
    terms = both(kind, recipe=recipe)
    hooks = [dict(type='mmkd.TrainPreludes'), dict(type='mmkd.SeedIterations')]
    model = runs.model_config(kind, terms=terms)
    if kind == 'cls':
        settings['train_dataloader'] = dict(
            batch_size=settings.pop('batch_size', 2),
            num_workers=0,
            dataset=Labelled(),
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='pseudo_collate'),
        )
    return runs.runner(kind, folder, model=model, custom_hooks=hooks, **settings)


def branch_of(run: Any) -> Branch:
    return run.model.terms['loss_branch'].loss.prelude


def learn(run: Any) -> Branch:
    """Train the branch of a run, and nothing else."""
    run.train_loop  # noqa: B018  (builds it)
    next(h for h in run.hooks if isinstance(h, TrainPreludes)).before_train(run)
    return branch_of(run)


def test_branch_learns_and_is_reported(tmp_path: Path):
    reports: list[Any] = []
    for epochs in (1, 40):
        run = runner('cls', tmp_path, dict(epochs=epochs), epochs=1)
        reports.append(learn(run).found)
    assert reports[0].train < 0.6 < 0.9 < reports[1].train
    assert reports[1].chance == 2 / 8 and reports[1].val is None
    assert reports[1].scale > reports[0].scale > 0


@pytest.mark.parametrize('nesterov', [True, False])
def test_the_recipe_naive(nesterov: bool, tmp_path: Path):
    """Every step sees all images: momentum, decay and milestones by hand."""
    recipe = dict(iters=8, lr=0.2, momentum=0.5, weight_decay=0.1, nesterov=nesterov)
    recipe.update(milestones=[0.25, 0.5], gamma=0.1)
    run = runner('cls', tmp_path, recipe, epochs=1, batch_size=8)
    loader, branch = run.train_loop.dataloader, branch_of(run)
    w, b = (x.clone().requires_grad_() for x in branch.weights)
    source = Source(run.model, run.model.terms['loss_branch'])
    x, y = branch.vectors(*source.see(next(iter(loader)), training=True))
    x = (x - x.mean(0)) / x.std(0, correction=0).clamp(min=1e-3) * 5 / x.shape[1] ** 0.5
    moved = [torch.zeros_like(w), torch.zeros_like(b)]
    for step in range(8):
        lr = 0.2 * 0.1 ** ((step >= 2) + (step >= 4))
        logits = x @ w.mT + b
        gradients = torch.autograd.grad(F.cross_entropy(logits, y), [w, b])
        with torch.no_grad():
            for p, v, gradient in zip((w, b), moved, gradients):
                down = gradient + 0.1 * p
                v.mul_(0.5).add_(down)
                p.sub_(lr * (down + 0.5 * v if nesterov else v))
    learn(run)
    torch.testing.assert_close(branch.weights, [w.detach(), b.detach()])
    assert branch.found.train == (logits.argmax(1) == y).double().mean()


@pytest.mark.parametrize('soft', [True, False])
def test_what_is_counted_of_regions(soft: bool):
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.5, 0.0, 1.0]]).repeat(
        2, 1
    )
    labels = torch.tensor([0, 1, 0]).repeat(2)
    seen = Tally(3)
    for part in (slice(2), slice(2, 6)):
        hard = labels[part]
        mixed = 0.6 * F.one_hot(hard, 3) + 0.4 * F.one_hot((hard + 1) % 3, 3)
        seen.add(logits[part], mixed if soft else hard)
    right, chance, scale = seen.result(torch.device('cpu'))
    assert (right, chance) == pytest.approx((2 / 3, 2 / 3))
    assert scale == pytest.approx(logits.var(1, unbiased=False).mean().sqrt().item())


@pytest.mark.parametrize('kind', ['cls', 'pspnet', 'faster_rcnn'])
def test_whole_run(kind: str, tmp_path: Path):
    length = dict(epochs=1) if kind == 'cls' else dict(iters=3)
    settings = {**length, **(runs.validation(kind) if kind == 'cls' else {})}
    run = runner(kind, tmp_path, dict(iters=6), **settings)
    run.train()
    assert (branch_of(run).found.val is None) == (kind != 'cls')
    log = runs.logged(tmp_path)
    assert all(log[key]['raw_branch'] > 0 for key in log if log[key]['loss_branch'])


def test_student_does_not_notice(tmp_path: Path):
    """Neither the random generators nor the order of the student's images change."""

    def state() -> tuple[Any, ...]:
        return (
            random.getstate(),
            np.random.get_state()[1].tolist(),
            torch.get_rng_state().tolist(),
        )

    def first(run: Any) -> Any:
        return next(iter(run.train_loop.dataloader.sampler))

    expected = first(runner('pspnet', tmp_path, dict(iters=3), iters=3))
    run = runner('pspnet', tmp_path, dict(iters=3), iters=3)
    run.train_loop  # noqa: B018
    before = state()
    weights = {k: v.clone() for k, v in run.model.student.state_dict().items()}
    once = learn(run).net.weight.clone()
    assert state() == before
    assert first(run) == expected
    now = run.model.student.state_dict()
    assert all(torch.equal(weights[key], now[key]) for key in weights)
    again = learn(runner('pspnet', tmp_path, dict(iters=3), iters=3))
    assert torch.equal(once, again.net.weight) and once.any()


def test_resume_is_as_if_never_stopped(tmp_path: Path):
    whole = runner('cls', tmp_path / 'whole', dict(epochs=2), epochs=2)
    whole.train()
    assert branch_of(whole).found
    parts = tmp_path / 'parts'
    first = runner('cls', parts, dict(epochs=2), epochs=2)
    original = first.call_hook

    class Stop(Exception):
        pass

    def call_hook(name: str, **kwargs: Any) -> None:
        if name == 'before_train_epoch' and first.train_loop.epoch == 1:
            raise Stop
        original(name, **kwargs)

    first.call_hook = call_hook
    with pytest.raises(Stop):
        first.train()
    second = runner('cls', parts, dict(epochs=2), epochs=2, resume=True)
    second.train()
    assert not branch_of(second).found
    one, two = whole.model.state_dict(), second.model.state_dict()
    assert any(key.endswith('prelude.net.weight') for key in one)
    assert [key for key in one if not torch.equal(one[key], two[key])] == []
    assert runs.logged(parts) == runs.logged(tmp_path / 'whole')


@pytest.mark.parametrize(
    ('report', 'words'),
    [
        (Report(train=0.6, val=0.5, chance=0.1, scale=2.0), []),
        (Report(train=0.55, val=None, chance=0.45, scale=2.0), []),
        (Report(train=0.12, val=None, chance=0.1, scale=2.0), ['weak']),
        (Report(train=0.5, val=None, chance=0.48, scale=2.0), ['weak']),
        (Report(train=0.6, val=0.5, chance=0.1, scale=9.0), ['over-confident']),
        (
            Report(train=0.99, val=0.3, chance=0.1, scale=9.0),
            ['over-confident', 'over-fitted'],
        ),
    ],
)
def test_doubts(report: Report, words: list[str]):
    found = report.doubts(Limits())
    assert len(found) == len(words)
    assert all(word in text for word, text in zip(words, found))
    assert f'{report.train:.1%} of the training regions' in str(report)
    assert ('validation' in str(report)) == (report.val is not None)


def test_warning_is_logged(tmp_path: Path):
    run = runner('cls', tmp_path, dict(iters=1, lr=100.0), epochs=1)
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore
    run.logger.addHandler(handler)
    learn(run)
    run.logger.removeHandler(handler)
    assert any('loss_branch: The branch is weak' in line for line in lines)


def prepare(rank: int, folder: Path) -> None:
    """Train the branch on one rank of two; saves its weights."""
    save_branch(folder / f'{rank}', 2)


def save_branch(folder: Path, batch_size: int) -> None:
    run = runner('cls', folder, dict(epochs=3), epochs=1, batch_size=batch_size)
    branch = learn(run)
    result = dict(weight=branch.net.weight, train=branch.found.train)
    torch.save(result, folder / 'branch.pth')


@pytest.mark.slow
def test_two_ranks_train_as_one(tmp_path: Path):
    """Equal weights; the same as of one process with batches twice as large."""
    runs.on_two_ranks(prepare, tmp_path)
    save_branch(tmp_path / 'one', 4)
    zero, one, alone = (
        torch.load(tmp_path / n / 'branch.pth') for n in ('0', '1', 'one')
    )
    assert torch.equal(zero['weight'], one['weight']) and zero['weight'].any()
    assert torch.allclose(zero['weight'], alone['weight'], atol=1e-5)
    assert zero['train'] == one['train'] == pytest.approx(alone['train'])
