"""The networks behind the runs, built and loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import DefaultScope
from mmengine.utils import import_modules_from_strings
from torch import nn

from mmkd.build import build_model, find_task
from mmkd.checkpoints.load import load_weights
from mmkd.randomness import seed_all
from mmkd.rehearsal import image_size
from mmkd.report.compare import Comparison, Group
from mmkd.report.images import Images
from mmkd.report.networks import network, teacher_file, teacher_network
from mmkd.report.runs import Run

BEFORE = 'student before training'
ORDER = ('before', 'baseline', 'distilled', 'other', 'teacher')
# Whatever a foreign model or data set may raise: it ends up as a note on the page.
ANY = Exception


@dataclass
class Subject:
    """A network and what it is called.

    Args:
        label: The group's name.
        role: The group's role, or 'before'.
        model: In eval mode.
        trained: Whether its weights are those that training ended with.
    """

    label: str
    role: str
    model: nn.Module
    trained: bool = False

    def prepare(self, item: Any) -> dict[str, Any]:
        """A batch as its data preprocessor makes it."""
        found: dict[str, Any] = self.model.data_preprocessor(item, False)  # type: ignore[operator]
        return found


def enter(config: Config) -> None:
    """Take over a run's default scope, and import what it imports."""
    name = config.get('default_scope') or 'mmengine'
    DefaultScope.get_instance(f'report_{name}_{id(config)}', scope_name=name)
    imports = config.get('custom_imports')
    if imports:
        import_modules_from_strings(**imports)


def reference(comparison: Comparison) -> Run:
    """The run whose data and taps the others are compared on."""
    group = comparison.one('distilled') or comparison.groups[0]
    return group.runs[0]


def networks(comparison: Comparison) -> dict[str, tuple[str, dict[str, Any]]]:
    """Label -> (role, config) of all networks; of a teacher without a run, too."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    first = comparison.one('distilled')
    teacher = teacher_network(first.runs[0]) if first else None
    if first and teacher and comparison.one('teacher') is None:
        own = network(first.runs[0]).get('data_preprocessor')
        if own is not None:
            teacher.setdefault('data_preprocessor', own)
        found['teacher'] = 'teacher', teacher
    for group in comparison.groups:
        found[group.label] = group.role, group.model()
    return found


def load_subjects(comparison: Comparison, notes: list[str]) -> list[Subject]:
    """The trained networks, as far as their checkpoints are there; and the student
    before training. What is missing goes to ``notes``.
    """
    first = comparison.one('distilled')
    subjects: list[Subject] = []
    for label, (role, config) in networks(comparison).items():
        group = next((g for g in comparison.groups if g.label == label), None)
        file = _weights(group, first)
        if file is None:
            notes.append(f'{label}: no checkpoint is left in its work dir.')
            continue
        try:
            model = build_model(config, label)
            load_weights(model, file, label)
        except ANY as error:
            notes.append(f'{label}: its weights cannot be used ({line(error)})')
            continue
        subjects.append(Subject(label, role, ready(model), True))
    start = first or comparison.one('baseline')
    if start is not None:
        try:
            subjects.insert(0, Subject(BEFORE, 'before', ready(fresh(start.runs[0]))))
        except ANY as error:
            notes.append(f'{BEFORE}: cannot be rebuilt ({line(error)})')
    return sorted(subjects, key=lambda subject: ORDER.index(subject.role))


def fresh(run: Run) -> nn.Module:
    """The student as it began: of the run's seed, or of the file it started from."""
    seed_all(run.seed or 0)
    model = build_model(network(run), 'student')
    file = run.config.model.get('student_ckpt') if run.distils else None
    if not run.config.get('resume'):
        file = run.config.get('load_from') or file
    if file:
        load_weights(model, file, 'student', 0.5, of_file=True)
    else:
        model.init_weights()  # type: ignore[operator]
    return model


def example(model: nn.Module, images: Images | None) -> dict[str, Any]:
    """One preprocessed image: of the validation data, else a black one of 224x224."""
    if images is not None and images.items:
        return Subject('', '', model).prepare(images.batch(0, 1))
    device = next(model.parameters()).device
    inputs, samples = find_task(model).example(image_size(model, otherwise=224), device)
    return dict(inputs=inputs[:1], data_samples=samples[:1])


def _weights(group: Group | None, first: Group | None) -> Any:
    if group is not None:
        return next((f for f in (r.checkpoint() for r in group.runs) if f), None)
    return teacher_file(first.runs[0]) if first else None


def ready(model: nn.Module) -> nn.Module:
    """For use, where the networks are run."""
    return model.eval().requires_grad_(False).to(torch.device(get_device()))


def line(error: BaseException) -> str:
    """The beginning of an error's message."""
    text = str(error).strip().splitlines() or ['']
    return f'{type(error).__name__}: {text[0][:200]}'
