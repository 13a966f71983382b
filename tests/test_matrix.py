"""Every method on every kind of model that it has a form for, as its fragment has it.

A cell is a small model of tests/zoo.py with the fragment around it. It is built once,
trains a step, and predicts. What is special of a method, ``in_cell(distiller, losses,
kind)`` of its test file asserts.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cells
import harness
import pytest
import runs
import torch
import zoo
from cells import HEADS, MODELS_OF, at, classifiers, moved
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmkd.build import build_model
from mmkd.hooks import student_checkpoint
from mmkd.mixin import describe, list_methods
from mmkd.paths import parse
from mmkd.registry import MODELS
from mmkd.side import STUDENT, as_list

METHODS = [n for n in list_methods() if harness.ONLY in (None, n)]
CELLS = [
    (method, kind)
    for method in METHODS
    for form in describe(method)['kinds']
    for kind in MODELS_OF[form]
]


# -- cells -----------------------------------------------------------------------------


class Cell:
    """A distiller in training, and its batch."""

    def __init__(self, method: str, kind: str) -> None:
        torch.manual_seed(0)
        at(99)
        self.kind, self.config = kind, cells.cell(method, kind)
        self.model = MODELS.build(copy.deepcopy(self.config)).train()
        self.negative = any(
            case.negative for case in getattr(harness.load()[method], 'CASES', [])
        )

    def batch(self) -> dict[str, Any]:
        """Four images, or two large ones."""
        return zoo.batch(self.kind, count=4 if self.kind in ('cls', 'cifar') else 2)

    def losses(self) -> dict[str, Any]:
        data = self.model.data_preprocessor(self.batch(), True)
        return self.model(**data, mode='loss')


@pytest.fixture(scope='module', params=CELLS, ids=lambda cell: '-'.join(cell))
def built(request: pytest.FixtureRequest) -> Iterator[tuple[str, Cell]]:
    method, kind = request.param
    yield method, Cell(method, kind)
    DefaultScope._instance_dict.clear()


# -- what holds in all -----------------------------------------------------------------


def untouched(module: nn.Module) -> bool:
    return all(p.grad is None for p in module.parameters())


def learned(modules: Any) -> list[nn.Module]:
    return [module for module in modules if list(module.parameters())]


def read(term: Any) -> set[str]:
    """The parts of the student that a term reads: 'backbone', 'head'."""
    return {parse(path).module.split('.')[0] for path in term.student.reads(STUDENT)}


def form(value: Any, name: str = '') -> Any:
    """Types, fields and shapes of predictions, less how many objects were found."""
    if isinstance(value, Tensor):
        found = name in ('bboxes', 'scores', 'labels', 'masks')
        return value.dtype, tuple(value.shape[1 if found else 0 :])
    if isinstance(value, (list, tuple)):
        return [form(item) for item in value]
    fields = getattr(value, 'items', None)
    if fields is None:
        return type(value)
    return type(value), {key: form(item, key) for key, item in fields()}


def text(predictions: list[Any]) -> list[str]:
    return [re.sub('0x[0-9a-f]+', '', str(sample)) for sample in predictions]


@cache
def usual(kind: str) -> tuple[nn.Module, Any]:
    """The plain student, and the form of what it predicts."""
    model = zoo.plain(kind).eval()
    count = 4 if kind in ('cls', 'cifar') else 2
    with torch.no_grad():
        return model, form(model.test_step(zoo.batch(kind, count=count)))


def test_step(built: tuple[str, Cell]) -> None:
    """A step in which every term that is on counts."""
    method, cell = built
    model = cell.model
    seen: set[str] = set()
    for step in (99, 0):  # where every ramp is up; what stops before is on at first
        at(step)
        log = model.train_step(cell.batch(), zoo.optimizer(model))
        on = {name: term for name, term in model.terms.items() if term.weight}
        assert all(value.isfinite() for value in log.values()), log
        for name, term in on.items():
            raw = log[term.raw_name]
            assert raw > 0 or cell.negative and raw != 0, f'{name}: {raw}'
        seen |= set(on)
        if seen >= {n for n, term in model.terms.items() if term.base_weight}:
            return
    raise AssertionError(f'only {seen} are ever on')


def test_gradients(built: tuple[str, Cell]) -> None:
    """Term by term they reach what they should, and nothing else."""
    method, cell = built
    model, student = cell.model, cell.model.student
    frozen = [frozen.model for frozen in model.frozen.values()]
    for step in (99, 0):
        at(step)
        values = cell.losses()
        for name, term in model.terms.items():
            if not term.weight:
                continue
            model.zero_grad()
            values[name].backward(retain_graph=True)
            reads = read(term)
            assert moved(student.backbone) or not reads, f'{name}: not the backbone'
            assert all(map(moved, learned(term.connectors))), f'{name}: connectors'
            assert all(map(moved, learned(term.losses))), f'{name}: the loss'
            heads = any(map(moved, classifiers(student)))
            assert not heads or reads & set(HEADS), f'{name}: the classifier'
            logits = model.task.roles(student, 'logits')
            if set(term.student.paths) & set(as_list(logits)):
                assert heads, f'{name}: it reads logits, and no classifier learns'
            own = model._modules.get('teacher')
            assert own is None or untouched(own), f'{name}: the self-teacher'
        model.zero_grad()
        model.parse_losses(values)[0].backward(retain_graph=True)
        assert model.own.weight == 0 or all(map(moved, classifiers(student)))
        missed = [n for n, p in model.terms.named_parameters() if p.grad is None]
        assert not missed, f'{missed} get no gradient, and DDP would wait for them'
        assert all(map(untouched, frozen)) and not any(m.training for m in frozen)
        special = getattr(harness.load()[method], 'in_cell', None)
        if special is not None and step == 99:
            special(model, values, cell.kind)
        if all(term.weight for term in model.terms.values() if term.base_weight):
            return


def test_prediction_and_export(built: tuple[str, Cell]) -> None:
    """What comes out has the form of the plain student's, and is the exported one's."""
    _, cell = built
    model = cell.model.eval()
    file = student_checkpoint(dict(state_dict=model.state_dict()), 'here')
    plain, expected = usual(cell.kind)
    if cell.config.student.type == zoo.student(cell.kind)['type']:
        alone = plain
    else:
        alone = build_model(cell.config.student, 'student').eval()
    alone.load_state_dict(file['state_dict'], strict=True)
    with torch.no_grad():
        ours, exported = (m.test_step(cell.batch()) for m in (model, alone))
    model.train()
    assert text(ours) == text(exported)
    assert form(ours) == expected


# -- runs ------------------------------------------------------------------------------

# Each method on the first kind of model that it has; and some on others.
FIRST = {method: kind for method, kind in reversed(CELLS)}
SEEDED = [*FIRST.items(), *(c for c in CELLS if c[1] in ('faster_rcnn', 'pspnet'))]


@pytest.mark.slow
@pytest.mark.parametrize(
    ('method', 'kind'),
    [pytest.param(*cell, id='-'.join(cell)) for cell in dict.fromkeys(SEEDED)],
)
def test_a_seed_gives_the_same_weights(method: str, kind: str, tmp_path: Path) -> None:
    """Bit for bit, in two runs of their own; another seed gives others."""
    ends = []
    for i, seed in enumerate((0, 0, 1)):
        config = cells.whole(method, kind)
        run = runs.runner(
            kind,
            tmp_path / str(i),
            model=config.model,
            iters=3,
            # What is random in a trial is of no data set.
            custom_hooks=[h for h in config.custom_hooks if 'Check' not in h.type],
            randomness=dict(seed=seed),
        )
        run.train()
        ends.append(run.model.state_dict())
    assert [key for key in ends[0] if not torch.equal(ends[0][key], ends[1][key])] == []
    assert any(not torch.equal(ends[0][key], ends[2][key]) for key in ends[0])
