"""Numbers: gradients, precisions and extreme values of all that has gradients.

What is asked here is asked of every case in tests/methods (see tests/harness.py). A
loss or a connector that no case reaches makes a test fail by its name.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import harness
import pytest
import torch
from harness import Case, Golden, Made, changed, leaves, mapped, sides, wave
from torch import Tensor, nn
from torch.func import functional_call

import mmkd.connectors
import mmkd.losses
from mmkd.registry import MODELS
from mmkd.targets import Targets

METHODS = harness.load()
SOURCE = re.compile(r'github\.com/[\w.\-]+/[\w.\-]+ ([0-9a-f]{7,40}|v\d+(\.\d+)+): .+')
FORM = "sources are 'github.com/owner/repo commit: Class(args)'"


def each(name: str) -> Any:
    """Every row of a table that the methods' files have, and the method."""
    rows = [pytest.param(row, id=key) for key, row in harness.table(METHODS, name)]
    return pytest.mark.parametrize('case', rows)


each_case, each_golden = each('CASES'), each('GOLDEN')
each_connector, each_network = each('CONNECTORS'), each('NETWORKS')


def registered(package: Any) -> list[str]:
    return [
        name
        for name, found in MODELS.module_dict.items()
        if found.__module__.startswith(f'{package.__name__}.')
    ]


@pytest.mark.parametrize('method', [*METHODS, *harness.BROKEN])
def test_file(method: str):
    """It can be read, and says what proves the method's numbers."""
    if method in harness.BROKEN:
        raise harness.BROKEN[method]
    module = METHODS[method]
    authors = getattr(module, 'AUTHORS', {})
    known = [*authors, *getattr(module, 'NAIVE', [])]
    assert getattr(module, 'GOLDEN', []) or known, (
        f'{method}: no GOLDEN. AUTHORS or NAIVE may name tests that prove its numbers'
    )
    held = any(case.held for case in getattr(module, 'CASES', []))
    told = any(row.gradient is not None for row in getattr(module, 'GOLDEN', []))
    assert told or not held, f'{method}: held, and no gradient in GOLDEN'
    gone = [name for name in known if not callable(getattr(module, name, None))]
    assert not gone, f'{method}: there is no {gone}'
    assert all(map(SOURCE.fullmatch, authors.values())), f'{method}: {FORM}'


@pytest.mark.parametrize('name', registered(mmkd.losses))
def test_every_loss_has_a_case(name: str):
    """And configs find it, and who imports it."""
    assert getattr(mmkd.losses, name) is MODELS.get(f'mmkd.{name}')
    cases = [case for _, case in harness.table(METHODS, 'CASES')]
    reached = {type(part).__name__ for c in cases for part in c.loss().modules()}
    assert name in reached, f'no CASES in tests/methods reach {name}'


@pytest.mark.parametrize('name', registered(mmkd.connectors))
def test_every_connector_has_a_case(name: str):
    reached = {type(c.make()).__name__ for _, c in harness.table(METHODS, 'CONNECTORS')}
    assert name in reached, f'no CONNECTORS in tests/methods reach {name}'


def value(
    case: Case, made: Made, both: Any, dtype: torch.dtype, of: Any = harness.targets_of
) -> Tensor:
    """The value; a loss with a memory forgets the call afterwards."""
    targets = harness.cast(of(case), _whole(dtype))
    return (copy.deepcopy(made) if case.stateful else made)(*both, targets)


def _whole(dtype: torch.dtype) -> torch.dtype:
    """What ground truth comes in: half precision is for features."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def gradients(
    case: Case,
    made: Made,
    both: Any,
    times: float = 1.0,
    of: Any = harness.targets_of,
    autocast: bool = False,
) -> tuple[Tensor, list[Tensor]]:
    """The value, and the gradient of so many times it in what the student says."""
    student = mapped(lambda x: x.clone().requires_grad_(), both[0])
    own = leaves(student)
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=autocast):
        result = value(case, made, (student, both[1]), own[0].dtype, of)
    assert result.shape == (), f'a loss is one number, not {tuple(result.shape)}'
    (result * times).backward()
    grads = [torch.zeros_like(x) if x.grad is None else x.grad for x in own]
    return result.detach(), grads


def to(dtype: torch.dtype, both: Any) -> tuple[Any, Any]:
    """Both sides in a precision."""
    student, teacher = (mapped(lambda x: x.to(dtype), side) for side in both)
    return student, teacher


STEP = 1e-6


def check(module: nn.Module, run: Callable[..., Any], inputs: list[Tensor]) -> None:
    """Gradients in the inputs and all parameters, against differences in float64.

    Args:
        module: What has the parameters.
        run: Gives a value, of the module's tensors by name and of the inputs.
        inputs: They are moved along three lines, and the parameters with them.
    """
    named = dict(module.named_parameters())
    given = [x.detach().clone().requires_grad_() for x in (*inputs, *named.values())]

    def call(*args: Tensor) -> Tensor:
        own = dict(zip(named, args[len(inputs) :]))
        # In training mode a BatchNorm writes its statistics, which must not matter.
        held = {key: b.clone() for key, b in module.named_buffers()}
        result = run({**own, **held}, args[: len(inputs)])
        found = list(result) if isinstance(result, (list, tuple)) else [result]
        if len(found) == 1 and found[0].ndim == 0:
            return found[0]
        return sum((x * wave(*x.shape, phase=3.0)).sum() for x in found)

    value = call(*given)
    grads = torch.autograd.grad(value, given, allow_unused=True)
    grads = [torch.zeros_like(x) if g is None else g for x, g in zip(given, grads)]
    length = float(torch.cat([g.flatten() for g in grads]).norm())
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        ways = [torch.randn(x.shape, generator=generator).double() for x in given]
        far = float(torch.cat([w.flatten() for w in ways]).norm())
        with torch.no_grad():
            ends = [
                float(call(*(x + sign * STEP * w for x, w in zip(given, ways))))
                for sign in (1, -1)
            ]
        slope = (ends[0] - ends[1]) / (2 * STEP)
        told = float(sum((g * w).sum() for g, w in zip(grads, ways)))
        bound = 1e-6 * length * far + 1e-15 * abs(ends[0]) / STEP
        assert abs(slope - told) < bound, (
            f'along a line the value changes by {slope:.9g}, the gradient says '
            f'{told:.9g}, and may be off by {bound:.1g}'
        )


# -- values of the authors' code -------------------------------------------------------


@each_golden
def test_authors_value(case: Golden):
    assert SOURCE.fullmatch(case.source), f"'{case.source}': {FORM}"
    assert case.why or case.rel <= 1e-12, 'why is so much between the two?'
    made = Made(case, torch.float64).double()
    learned = [name for name, _ in made.named_parameters()]
    assert case.fill or not learned, f'{learned} are random: fill=True, or a function'
    if case.fill:
        (harness.filled if case.fill is True else case.fill)(made)
    student, teacher = sides(case)
    own = [x.requires_grad_() for x in leaves(student)]
    targets = harness.cast(harness.targets_of(case), torch.float64)
    found = made(student, teacher, targets)
    assert found.item() == pytest.approx(case.value, rel=case.rel, abs=0)
    if case.gradient is not None:
        found.backward()
        length = torch.cat([x.grad.flatten() for x in own]).norm().item()
        assert length == pytest.approx(case.gradient, rel=max(case.rel, 1e-10), abs=0)


# -- gradients -------------------------------------------------------------------------


@each_case
def test_gradient(case: Case):
    """It is right, and reaches the student and the loss's parameters, no teacher."""
    made = Made(case).double()
    student, teacher = sides(case)
    own = [x.requires_grad_() for x in leaves(student)]
    other = [x.requires_grad_() for x in leaves(teacher)]
    targets = harness.cast(harness.targets_of(case), torch.float64)
    made(student, teacher, targets)  # a codebook comes with the first call
    fresh = copy.deepcopy(made) if case.stateful else made
    fresh(student, teacher, targets).backward()
    assert all(x.grad is not None for x in own), 'a level gets no gradient'
    assert all(x.grad is None for x in other), 'the teacher gets a gradient'
    missed = [name for name, p in fresh.named_parameters() if p.grad is None]
    assert not missed, f'{missed} get no gradient, and DDP would wait for them'
    idle = [n for n, p in fresh.named_parameters() if p.ndim > 1 and not p.grad.any()]
    assert not idle, f'{idle} learn nothing: their gradient is zero'
    largest = max(x.grad.abs().max().item() for x in own)
    assert largest > 0, 'the student learns nothing: its gradient is zero'
    if case.held:
        return
    made.zero_grad()

    def run(held: dict[str, Tensor], args: Any) -> Tensor:
        rest = iter(args)
        levels = mapped(lambda _: next(rest), case.student)
        called = copy.deepcopy(made) if case.stateful else made
        return functional_call(called, held, (levels, teacher, targets))

    inputs = [x.detach() for x in own]
    check(made, run, inputs)


@each_connector
def test_gradient_of_connector(case: harness.Connector):
    module, like = case.make().double(), torch.zeros(case.target)

    def run(own: dict[str, Tensor], args: Any) -> Tensor:
        torch.manual_seed(0)
        return functional_call(module, own, args, dict(like=like))

    check(module, run, [wave(*case.source)])


@each_network
def test_gradient_of_network(case: harness.Network):
    module = case.make().double()
    inputs = [wave(*shape, phase=i) for i, shape in enumerate(case.shapes)]
    check(module, lambda own, x: functional_call(module, own, x), inputs)


# -- precision -------------------------------------------------------------------------

# How far the gradient may be from that of the same loss in float64, relative to its
# length: in fp32, and where it is rounded to this precision.
BOUNDS = {torch.float32: 1e-4, torch.bfloat16: 2**-8, torch.float16: 2**-10}
# And a connector's, which under autocast computes in half precision.
ROUNDED = {torch.float32: 1e-5, torch.bfloat16: 0.1, torch.float16: 0.02}


def off(found: list[Tensor], truth: list[Tensor]) -> float:
    """The length of the difference, over that of the truth."""
    a, b = (torch.cat([x.double().flatten() for x in side]) for side in (found, truth))
    return float((a - b).norm() / b.norm())


@each_case
def test_precision(case: Case):
    """Whatever comes in, and under autocast: computed in fp32, and well."""
    single, double = Made(case), Made(case).double()
    for dtype, bound in BOUNDS.items():
        if case.connector is not None and dtype != torch.float32:
            continue  # it computes in half precision, and has tests of its own
        given = to(dtype, sides(case))
        truth, right = gradients(case, double, to(torch.float64, given))
        # Small gradients are a gradient scaler's to care for.
        times = 2.0 ** -round(math.log2(max(x.abs().max().item() for x in right)))
        auto = case.connector is None
        found, gradient = gradients(case, single, given, times, autocast=auto)
        assert found.dtype == torch.float32, f'of {dtype} it makes {found.dtype}'
        assert all(x.dtype == dtype for x in gradient)
        whole = value(case, single, to(torch.float32, given), torch.float32)
        assert torch.equal(found, whole), (
            f'{dtype} gives {found}, the same numbers in fp32 {whole}: is it @exact?'
        )
        apart = abs(found.item() - truth.item())
        assert apart <= 1e-5 * abs(truth.item()) + 1e-7 * case.scale, (
            f'{dtype}: {found.item():.9g}, in float64 {truth.item():.9g}. If that is '
            'right, since much cancels: features less alike (more images, other '
            'shapes), or scale=, the size of what is summed. Random numbers must be '
            'drawn in one precision: torch.rand(shape), not rand_like.'
        )
        far = off([x / times for x in gradient], right)
        assert far < bound, (
            f'{dtype}: the gradient is off by {far:.1e} of its length (bound '
            f'{bound:.1e}). If that is right, since much cancels: features less alike.'
        )


@each_connector
def test_precision_of_connector(case: harness.Connector):
    """In fp32, and under autocast in half precision."""
    single, like = case.make(), torch.zeros(case.target)
    double = copy.deepcopy(single).double()

    def run(module: nn.Module, x: Tensor, autocast: bool) -> list[Tensor]:
        leaf = x.clone().requires_grad_()
        torch.manual_seed(0)
        with torch.autocast('cpu', dtype=torch.bfloat16, enabled=autocast):
            y = module(leaf, like=like)
        weights = wave(*y.shape, phase=3.0, scale=1.0)
        (y.double() * weights).sum().backward()
        return [y.detach(), leaf.grad]

    x = wave(*case.source)
    truth = run(double, x, autocast=False)
    for dtype, bound in ROUNDED.items():
        if dtype == torch.float16 and list(single.parameters()):
            continue  # a CPU has no convolutions in float16
        found = run(single, x.to(dtype), autocast=dtype != torch.float32)
        assert all(off([a], [b]) < bound for a, b in zip(found, truth)), dtype


# -- extreme values --------------------------------------------------------------------


def sign(x: Tensor) -> Tensor:
    return x.sign() + (x == 0)


def spike(x: Tensor) -> Tensor:
    return 1e4 * (x == x.max())


def pixel(x: Tensor) -> Tensor:
    return x[..., :1, :1] if x.ndim == 4 else x


Change = Callable[[Tensor], Tensor]
# Name -> what becomes of the student's waves, and of the teacher's.
EXTREMES: dict[str, tuple[Change, Change]] = {
    'large': (lambda s: 1e4 * sign(s), lambda t: 1e4 * sign(t)),
    'largest half': (lambda s: 65504 * sign(s), lambda t: 65504 * sign(t)),
    'tiny': (lambda s: 1e-30 * s, lambda t: 1e-30 * t),
    'smallest half': (lambda s: 2.0**-24 * sign(s), lambda t: 2.0**-24 * sign(t)),
    'zero': (lambda s: 0 * s, lambda t: 0 * t),
    'zero student': (lambda s: 0 * s, lambda t: t),
    'zero teacher': (lambda s: s, lambda t: 0 * t),
    'constant': (lambda s: 0 * s + 3, lambda t: 0 * t - 2),
    'one spike': (spike, spike),
    'far apart': (lambda s: 1e4 * sign(s), lambda t: 1e-4 * t),
    'one image': (lambda s: s[:1], lambda t: t[:1]),
    'one pixel': (pixel, pixel),
    'one pixel of one image': (lambda s: pixel(s[:1]), lambda t: pixel(t[:1])),
}


def extreme(name: str, both: Any) -> tuple[Any, Any, Any]:
    """Both sides made extreme, and the ground truth that belongs to them."""
    student, teacher = (mapped(f, side) for f, side in zip(EXTREMES[name], both))
    one = (lambda v: v[:1]) if 'one image' in name else (lambda v: v)
    return student, teacher, lambda case: changed(harness.targets_of(case), one)


@each_case
def test_extremes(case: Case):
    """A finite value, not below zero, and a finite gradient; of halves as well.

    In float16 a gradient may be more than fits, which a gradient scaler is for.
    """
    made, both = Made(case), sides(case)
    for name in EXTREMES:
        if case.excused(name):
            continue
        *wide, of = extreme(name, both)
        found, gradient = gradients(case, made, to(torch.float32, wide), of=of)
        values, fits = [found], []
        assert all(x.isfinite().all() for x in gradient), f'{name}: gradient'
        if case.connector is None:  # a CPU has no convolutions in float16
            found, halves = gradients(case, made, to(torch.float16, wide), of=of)
            values.append(found)
            fits = [x.abs() < torch.finfo(torch.float16).max / 2 for x in gradient]
        for found in values:
            assert found.isfinite(), f'{name}: {found}'
            assert case.negative or found >= -1e-6, f'{name}: {found}'
        for half, fit in zip(halves if fits else [], fits):
            assert half[fit].isfinite().all(), f'{name}: gradient in float16'
            assert not half.isnan().any(), f'{name}: gradient in float16'


@each_case
def test_equal_features(case: Case):
    """Zero where the loss must be, and a finite gradient; of waves zero as well."""
    if not case.zero:
        return
    made, (waves, _) = Made(case, equal=True), sides(case)
    for name in ('waves', *(EXTREMES if case.zero is True else ())):
        if case.excused(name):
            continue
        x, of = waves, harness.targets_of
        if name != 'waves':
            x, _, of = extreme(name, (waves, waves))
        x = mapped(lambda level: level.float(), x)
        other = mapped(lambda level: level.clone(), x)
        found, gradient = gradients(case, made, (x, other), of=of)
        assert abs(found) < 1e-6, f'{name}: {found}'
        assert all(level.isfinite().all() for level in gradient), name
        if name == 'waves':
            assert all(level.abs().max() < 1e-6 for level in gradient), 'gradient'


@each_connector
def test_extremes_of_connector(case: harness.Connector):
    module = case.make()
    normed = any(isinstance(part, nn.BatchNorm2d) for part in module.modules())
    for name in EXTREMES:
        both = wave(*case.source), wave(*case.target)
        x, like, _ = extreme(name, both)
        x = x.float().requires_grad_()
        if 'pixel of one' in name and normed:
            with pytest.raises(ValueError, match='more than 1 value per channel'):
                module(x, like=like)
            continue
        y = module(x, like=like)
        y.sum().backward()
        assert y.isfinite().all() and x.grad.isfinite().all(), name


# -- batches ---------------------------------------------------------------------------


@each_case
def test_images_count_alike(case: Case):
    """A batch twice has its value, and halves have it as their mean: so have ranks.

    Where pixels or boxes are counted, halves may differ, since each counts its own.
    """
    made, both = Made(case).double(), sides(case)
    targets = harness.cast(harness.targets_of(case), torch.float64)

    def of(change: Callable[[Any], Any]) -> float:
        student, teacher = (mapped(change, side) for side in both)
        own = copy.deepcopy(made) if case.stateful else made
        return own(student, teacher, changed(targets, change)).item()

    whole, count = of(lambda x: x), len(leaves(both[0])[0])
    each_alone = (
        [of(lambda x, i=i: x[i : i + 1]) for i in range(count)]
        if (not case.excused('one image'))
        else []
    )
    mean = sum(each_alone) / max(1, len(each_alone))
    counted = targets is not None and (targets.seg_maps or targets.boxes)
    alike = not each_alone or mean == pytest.approx(whole, rel=1e-10, abs=1e-13)
    if case.batch_coupled:
        assert not each_alone or counted or not alike, (
            'every image counts for itself: leave batch_coupled out'
        )
        return
    twofold = of(harness.twice)
    assert twofold == pytest.approx(whole, rel=1e-10, abs=1e-13), (
        f'{whole:.9g}, and {twofold:.9g} if every image comes twice. If images are '
        'compared with each other, say batch_coupled=True.'
    )
    assert counted or alike, (
        f'{whole:.9g}, and {mean:.9g} as the mean of its images. If images are '
        'compared with each other, say batch_coupled=True.'
    )


@each_case
def test_batch_of_nothing(case: Case):
    """No rows; all pixels ignored; no boxes: finite, and something to call backward."""
    made, both = Made(case), to(torch.float32, sides(case))
    targets, empty = harness.targets_of(case), lambda x: x[:0]
    batches: list[tuple[Any, Any, Targets | None, float | None]] = []
    if case.rows:
        none = [mapped(empty, side) for side in both]
        own = replace(targets, seg_maps=None) if targets else None
        batches.append((*none, changed(own, empty), 0.0))
    if targets is not None and (bare := harness.without_things(targets)) is not None:
        batches.append((*both, bare, case.nothing))
    for student, teacher, own, expected in batches:
        found, gradient = gradients(
            case, made, (student, teacher), of=lambda _, own=own: own
        )
        assert found.isfinite() and expected in (None, found.item())
        assert all(x.isfinite().all() for x in gradient)
        assert expected is None or not any(x.any() for x in gradient)


@each_case
def test_memory(case: Case):
    """A call changes nothing; or what it changes is saved, and a resumed run has it."""
    made, both = Made(case), to(torch.float32, sides(case))
    targets = harness.targets_of(case)
    first, saved = made(*both, targets), copy.deepcopy(made.state_dict())
    second = made(*both, targets)
    if not case.stateful:
        assert torch.equal(first, second), 'the second call differs: stateful=True?'
        return
    resumed, fresh = Made(case), Made(case)
    resumed.load_state_dict(saved)
    assert torch.equal(resumed(*both, targets), second), (
        'what it remembers is not saved'
    )
    assert not torch.equal(fresh(*both, targets), second), 'it remembers nothing'
