"""Numbers: gradients, precisions and extreme values of all that has gradients.

A loss or a connector that is registered has an entry here, or a test fails by its name.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import runs
import test_matrix
import torch
from test_losses import wave
from torch import Tensor, nn
from torch.func import functional_call

import mmkd.connectors
import mmkd.losses
from mmkd.connectors import CWT, Align, Uniformize
from mmkd.losses import (
    AT,
    CWD,
    KD,
    MSE,
    BinaryKD,
    LetKDIntermediate,
    LetKDPenultimate,
    OFD,
    SAKDBranch,
    SAKDMatch,
)
from mmkd.mixin import OUR_HOOKS
from mmkd.networks import (
    FRSKDNeck,
    FRSKDNeckTeacher,
    FRSKDSLATeacher,
    FRSKDTeacher,
    KDLayer,
)
from mmkd.registry import MODELS
from mmkd.targets import Targets

Shape = tuple[int, ...]
LOGITS, MAP = (3, 5), (2, 5, 4, 4)
LEVELS = [(2, 4, 8, 8), (2, 6, 4, 4)]
WIDER = [(2, 5, 8, 8), (2, 7, 4, 4)]
PIXELS = Targets(seg_maps=[torch.arange(64).view(8, 8) % 6 % 5 for _ in range(2)])
PIXELS.seg_maps[0][:4] = 255
LABELS = Targets(labels=torch.tensor([1, 0]))
BOXES = Targets(
    boxes=[torch.tensor([[1.0, 2.0, 30.0, 20.0]]), torch.zeros(0, 4)],
    box_labels=[torch.tensor([3]), torch.zeros(0, dtype=torch.long)],
    input_size=(32, 32),
)


class Case(NamedTuple):
    """A loss with the shapes of what it compares.

    Args:
        loss: Makes it.
        student: A shape, or those of all levels.
        teacher: None: the same.
        targets: The ground truth.
        zero: Whether it is zero for equal features.
    """

    loss: Callable[[], nn.Module]
    student: Any
    teacher: Any = None
    targets: Targets | None = None
    zero: bool = True


def branch(**settings: Any) -> SAKDBranch:
    """For five classes."""
    loss = SAKDBranch(recipe='random', **settings)
    loss.build(*([torch.zeros(shape) for shape in s] for s in (LEVELS, WIDER)), 5)
    return loss


LOSSES: dict[str, list[Case]] = {
    'KD': [
        Case(KD, LOGITS),
        Case(lambda: KD(tau=1.0), MAP),
        Case(KD, MAP, targets=PIXELS),
        Case(lambda: BinaryKD(), MAP),
    ],
    'CWD': [Case(CWD, MAP), Case(lambda: CWD(tau=1.0), MAP)],
    'MSE': [Case(MSE, MAP), Case(lambda: MSE('batch'), (2, 7, 5))],
    'AT': [
        Case(AT, MAP, (2, 3, 4, 4)),
        Case(lambda: AT('batch'), MAP),
    ],
    'LetKDPenultimate': [
        Case(lambda: LetKDPenultimate('random'), MAP, (2, 3, 8, 8), zero=False)
    ],
    'LetKDIntermediate': [
        Case(
            lambda: LetKDIntermediate('random', subclasses=3),
            (2, 6, 4, 4),
            (2, 3, 8, 8),
            LABELS,
            zero=False,
        )
    ],
    'OFD': [Case(OFD, LEVELS)],
    'SAKDMatch': [
        *(
            Case(lambda form=form: SAKDMatch(dict(form=form)), LEVELS, WIDER)
            for form in ('u1', 'u2', 'u3')
        ),
        Case(lambda: SAKDMatch(stride=1), LEVELS, WIDER, PIXELS),
        Case(SAKDMatch, LEVELS, WIDER, BOXES),
    ],
    'SAKDBranch': [
        Case(branch, LEVELS, WIDER, LABELS),
        Case(lambda: branch(shared=False), LEVELS, WIDER, BOXES, zero=False),
        Case(
            lambda: branch(label_weight=0.5, stride=1),
            LEVELS,
            WIDER,
            PIXELS,
            zero=False,
        ),
    ],
}
CONNECTORS: dict[str, list[tuple[Callable[[], nn.Module], Shape, Shape]]] = {
    'Align': [
        (lambda: Align((4, 4, 4), (6, 2, 2)), (2, 4, 4, 4), (2, 6, 2, 2)),
        (lambda: Align((4, 3, 3), (6, 5, 4)), (2, 4, 3, 3), (2, 6, 5, 4)),
        (
            lambda: Align((4, 4, 4), (6, 4, 4), norm=True, relu=True),
            (2, 4, 4, 4),
            (2, 6, 4, 4),
        ),
        (lambda: Align((5, 4), (6, 2, 2)), (2, 5, 4), (2, 6, 2, 2)),  # class token
    ],
    'CWT': [
        (lambda: CWT((4, 4, 4), (6, 4, 4)), (2, 4, 4, 4), (2, 6, 4, 4)),
        (lambda: CWT((5, 4), (5, 6), depth=2), (2, 5, 4), (2, 5, 6)),
    ],
    'Uniformize': [
        (lambda form=form: Uniformize(form=form), (2, 3, 8, 8), (2, 3, 8, 8))
        for form in ('u1', 'u2', 'u3')
    ],
}


def rotated() -> nn.Module:
    """FRSKD's losses on rotated images, as a function of the student's features."""
    teacher = FRSKDSLATeacher([(2, 4, 4), (3, 2, 2)], (2,), width=1.0, depth=1)

    class Losses(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.teacher = teacher

        def forward(self, shallow: Tensor, deep: Tensor) -> Tensor:
            logits = deep.mean((2, 3))[::4, :2]
            losses = self.teacher.extra_losses(
                shallow.new_zeros(2, 3, 4, 4),
                logits,
                logits.cos(),
                lambda _: [shallow, deep],
                LABELS,
            )
            # The others hold one side fixed, as a loss does its teacher.
            return losses['loss_joint_student'] + losses['loss_joint']

    return Losses()


class Together(nn.Module):
    """Calls a network that wants its levels as one argument."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *levels: Tensor) -> Any:
        return self.network(levels)


PYRAMID = [(3, 4, 4), (4, 2, 2)]
NETWORKS: dict[str, tuple[Callable[[], nn.Module], list[Shape]]] = {
    'KDLayer': (lambda: KDLayer(3, 4), [(2, 3, 3, 3)]),
    'FRSKDTeacher': (
        lambda: Together(FRSKDTeacher(PYRAMID, (5,), width=1.0, depth=1)),
        [(2, *shape) for shape in PYRAMID],
    ),
    'FRSKDTeacher dense': (
        lambda: Together(FRSKDTeacher(PYRAMID, (5, 4, 4), width=1.0, hidden=3)),
        [(2, *shape) for shape in PYRAMID],
    ),
    'FRSKDSLATeacher': (rotated, [(8, 2, 4, 4), (8, 3, 2, 2)]),
    'FRSKDNeck': (
        lambda: Together(FRSKDNeck([3, 4], 3, layers=1)),
        [(2, 3, 16, 16), (2, 4, 8, 8)],
    ),
    'FRSKDNeckTeacher': (
        lambda: Together(FRSKDNeckTeacher([(3, 4, 4), (3, 2, 2)], (2, 4, 4), hidden=3)),
        [(2, 3, 4, 4), (2, 3, 2, 2)],
    ),
}

each_loss = pytest.mark.parametrize(
    'case',
    [
        pytest.param(case, id=f'{name}-{i}')
        for name, cases in LOSSES.items()
        for i, case in enumerate(cases)
    ],
)
each_connector = pytest.mark.parametrize(
    ('make', 'source', 'target'),
    [
        pytest.param(*case, id=f'{name}-{i}')
        for name, cases in CONNECTORS.items()
        for i, case in enumerate(cases)
    ],
)


def registered(package: Any) -> list[str]:
    return [
        name
        for name, found in MODELS.module_dict.items()
        if found.__module__.startswith(f'{package.__name__}.')
    ]


@pytest.mark.parametrize(
    ('name', 'table'),
    [(name, LOSSES) for name in registered(mmkd.losses)]
    + [(name, CONNECTORS) for name in registered(mmkd.connectors)],
)
def test_all_are_here(name: str, table: dict[str, Any]):
    assert table.get(name), f'{name} has no entry in {__file__}'


def features(shapes: Any, phase: float = 0.0, **settings: Any) -> list[Tensor]:
    """Waves in float64, one for each level."""
    several = shapes if isinstance(shapes, list) else [shapes]
    return [
        wave(*shape, phase=phase + i, **settings) for i, shape in enumerate(several)
    ]


def sides(case: Case) -> tuple[list[Tensor], list[Tensor]]:
    """What both sides of a loss see, in float64."""
    return features(case.student), features(case.teacher or case.student, phase=2.0)


def value(
    case: Case, loss: nn.Module, student: list[Tensor], teacher: list[Tensor]
) -> Tensor:
    if getattr(loss, 'joint', False):
        return loss(student, teacher, case.targets)
    return loss(student[0], teacher[0], case.targets)


def gradients(
    case: Case, loss: nn.Module, student: list[Tensor], teacher: list[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """The value, and its gradient in what the student says."""
    leaves = [x.clone().requires_grad_() for x in student]
    result = value(case, loss, leaves, teacher)
    result.backward()
    return result.detach(), [x.grad for x in leaves]


def check(module: nn.Module, run: Callable[..., Any], inputs: list[Tensor]) -> None:
    """Gradients in the inputs and all parameters, against finite differences."""
    names = [name for name, _ in module.named_parameters()]
    leaves = [p.detach().clone().requires_grad_() for p in module.parameters()]
    count = len(inputs)

    def call(*args: Tensor) -> Any:
        own = dict(zip(names, args[count:]))
        # In training mode a BatchNorm writes its statistics, which must not matter.
        held = {key: b.clone() for key, b in module.named_buffers()}
        return run({**own, **held}, args[:count])

    given = [x.clone().requires_grad_() for x in inputs]
    many = sum(x.numel() for x in (*given, *leaves)) > 100
    assert torch.autograd.gradcheck(call, (*given, *leaves), fast_mode=many)


# -- gradients -------------------------------------------------------------------------


@each_loss
def test_gradient_of_loss(case: Case):
    """It is right, and reaches the student only."""
    loss = case.loss().double()
    student, teacher = sides(case)

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.loss = loss

        def forward(self, *levels: Tensor) -> Tensor:
            return value(case, self.loss, list(levels), teacher)

    both = Both()
    both(*student)  # a codebook comes with the first call
    check(both, lambda own, args: functional_call(both, own, args), student)
    leaves = [x.requires_grad_() for x in (*student, *teacher)]
    value(case, loss, student, teacher).backward()
    assert all(x.grad is not None for x in leaves[: len(student)])
    assert all(x.grad is None for x in leaves[len(student) :])


@each_connector
def test_gradient_of_connector(make: Any, source: Shape, target: Shape):
    module, like = make().double(), torch.zeros(target)
    run = lambda own, args: functional_call(module, own, args, dict(like=like))  # noqa: E731
    check(module, run, features(source))


@pytest.mark.parametrize('name', NETWORKS)
def test_gradient_of_network(name: str):
    make, shapes = NETWORKS[name]
    module = make().double()
    check(module, lambda own, x: functional_call(module, own, x), features(shapes))


# -- precision -------------------------------------------------------------------------

# How far a loss may be from float64: its value and its gradient, relative to their
# length. What comes in is rounded to this precision, on both sides.
BOUNDS = {
    torch.float32: (1e-5, 1e-5),
    torch.bfloat16: (1e-5, 2**-8),  # computed in fp32; only the gradient is rounded
    torch.float16: (1e-5, 2**-10),
}
# And if on the side of float64 it is not rounded.
ROUNDED = {torch.bfloat16: 0.1, torch.float16: 0.02}


def off(found: list[Tensor], truth: list[Tensor]) -> float:
    """The length of the difference, over that of the truth."""
    a, b = (torch.cat([x.double().flatten() for x in side]) for side in (found, truth))
    return float((a - b).norm() / b.norm())


@each_loss
@pytest.mark.parametrize('dtype', BOUNDS, ids=str)
def test_precision_of_loss(case: Case, dtype: torch.dtype):
    torch.manual_seed(0)
    loss = case.loss()
    exact = [[x.to(dtype) for x in side] for side in sides(case)]
    found, gradient = gradients(case, loss, *exact)
    assert found.dtype == torch.float32
    assert all(x.dtype == dtype for x in gradient)
    loss.double()
    for given, bounds in (
        ([[x.double() for x in side] for side in exact], BOUNDS[dtype]),
        (sides(case), [ROUNDED.get(dtype, 1e-5)] * 2),
    ):
        truth, right = gradients(case, loss, *given)
        assert truth.dtype == torch.float64
        assert found.item() == pytest.approx(truth.item(), rel=bounds[0])
        assert off(gradient, right) < bounds[1]


@each_connector
@pytest.mark.parametrize('dtype', BOUNDS, ids=str)
def test_precision_of_connector(
    make: Any, source: Shape, target: Shape, dtype: torch.dtype
):
    """In fp32, and under autocast in half precision."""
    torch.manual_seed(0)
    module, like = make(), torch.zeros(target)
    half = dtype != torch.float32
    if dtype == torch.float16 and list(module.parameters()):
        pytest.skip('a CPU has no convolutions in float16')

    def run(x: Tensor, autocast: bool) -> list[Tensor]:
        leaf = x.clone().requires_grad_()
        with torch.autocast('cpu', dtype=torch.bfloat16, enabled=autocast):
            y = module(leaf, like=like)
        weights = wave(*y.shape, phase=3.0, scale=1.0)
        (y.double() * weights).sum().backward()
        return [y.detach(), leaf.grad]

    x = wave(*source)
    found = run(x.to(dtype), autocast=half)
    module.double()
    truth = run(x, autocast=False)
    bound = ROUNDED.get(dtype, 1e-5)
    assert all(off([a], [b]) < bound for a, b in zip(found, truth))


# -- extreme values --------------------------------------------------------------------


def sign(x: Tensor) -> Tensor:
    return x.sign() + (x == 0)


# Name -> the student and the teacher, from waves.
EXTREMES: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    'large': lambda s, t: (1e4 * sign(s), 1e4 * sign(t)),
    'largest half': lambda s, t: (65504 * sign(s), 65504 * sign(t)),
    'tiny': lambda s, t: (1e-30 * s, 1e-30 * t),
    'smallest half': lambda s, t: (2.0**-24 * sign(s), 2.0**-24 * sign(t)),
    'zero': lambda s, t: (0 * s, 0 * t),
    'zero student': lambda s, t: (0 * s, t),
    'zero teacher': lambda s, t: (s, 0 * t),
    'constant': lambda s, t: (0 * s + 3, 0 * t - 2),
    'one spike': lambda s, t: (1e4 * (s == s.max()), 1e4 * (t == t.max())),
    'far apart': lambda s, t: (1e4 * sign(s), 1e-4 * t),
    'one image': lambda s, t: (s[:1], t[:1]),
    'one pixel': lambda s, t: tuple(
        x[..., :1, :1] if x.ndim == 4 else x for x in (s, t)
    ),
    'one pixel of one image': lambda s, t: tuple(
        x[:1, ..., :1, :1] if x.ndim == 4 else x[:1] for x in (s, t)
    ),
}


@each_loss
@pytest.mark.parametrize('name', EXTREMES)
def test_extremes_of_loss(case: Case, name: str):
    """A finite value, not below zero, and a finite gradient, in every precision.

    In float16 that may be more than fits, which a gradient scaler is for.
    """
    pairs = [EXTREMES[name](s, t) for s, t in zip(*sides(case))]
    case = one_image(case, len(pairs[0][0]))
    loss = case.loss()
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        rounded = [[x.to(dtype) for x in side] for side in zip(*pairs)]
        found, gradient = gradients(case, loss, *rounded)
        assert found.isfinite() and found >= -1e-6
        whole = [[x.float() for x in side] for side in rounded]
        _, exact = gradients(case, loss, *whole)
        for half, x in zip(gradient, exact):
            assert x.isfinite().all() and not half.isnan().any()
            assert half[x.abs() < torch.finfo(dtype).max].isfinite().all()


def one_image(case: Case, count: int) -> Case:
    """With the ground truth of so many images."""
    if case.targets is None or count > 1:
        return case
    kept = {
        key: value[:count] if isinstance(value, (list, Tensor)) else value
        for key, value in vars(case.targets).items()
    }
    return case._replace(targets=Targets(**kept))


@each_loss
def test_equal_features(case: Case):
    """Zero where the loss must be, and a finite gradient; of waves zero as well."""
    if not case.zero:
        return
    for name in ('waves', *EXTREMES):
        x = features(case.student)
        if name != 'waves':
            x = [EXTREMES[name](level, level)[0] for level in x]
        x = [level.float() for level in x]
        own = one_image(case, len(x[0]))
        found, gradient = gradients(own, own.loss(), x, [level.clone() for level in x])
        assert abs(found) < 1e-6, name
        assert all(level.isfinite().all() for level in gradient), name
        assert name != 'waves' or all(level.abs().max() < 1e-6 for level in gradient)


@each_connector
@pytest.mark.parametrize('name', EXTREMES)
def test_extremes_of_connector(make: Any, source: Shape, target: Shape, name: str):
    module = make()
    x, like = EXTREMES[name](wave(*source), wave(*target))
    x = x.float().requires_grad_()
    if 'pixel of one' in name and any(
        isinstance(part, nn.BatchNorm2d) for part in module.modules()
    ):
        with pytest.raises(ValueError, match='more than 1 value per channel'):
            module(x, like=like)
        return
    y = module(x, like=like)
    y.sum().backward()
    assert y.isfinite().all() and x.grad.isfinite().all()


# -- runs ------------------------------------------------------------------------------


@pytest.mark.parametrize('method', test_matrix.METHODS)
@pytest.mark.parametrize(
    'kind',
    [
        'cls',
        *(pytest.param(k, marks=pytest.mark.slow) for k in ('faster_rcnn', 'pspnet')),
    ],
)
def test_a_seed_gives_the_same_weights(method: str, kind: str, tmp_path: Path):
    """Bit for bit, in two runs of their own; another seed gives others."""
    ends = []
    for i, seed in enumerate((0, 0, 1)):
        model = test_matrix.cell(method, kind)
        if method == 'sakd':
            model.terms.loss_branch.loss.recipe = dict(epochs=1)
        if method == 'letkd':
            # A random codebook is of no data set.
            hooks = [dict(type=h) for h in OUR_HOOKS if 'Codebook' not in h]
        else:
            hooks = [dict(type=hook) for hook in OUR_HOOKS]
        runner = runs.runner(
            kind,
            tmp_path / str(i),
            model=model,
            iters=3,
            custom_hooks=hooks,
            randomness=dict(seed=seed),
        )
        runner.train()
        ends.append(runner.model.state_dict())
    assert [key for key in ends[0] if not torch.equal(ends[0][key], ends[1][key])] == []
    assert any(not torch.equal(ends[0][key], ends[2][key]) for key in ends[0])
