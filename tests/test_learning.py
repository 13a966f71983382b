"""Every method that says LEARNS teaches a small network to read digits.

The same run is made twice: as it is, and with the student's features detached, so that
nothing of the method but its own connectors learns. A term that teaches ends clearly
lower than one that only watches.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cells
import cv2
import harness
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from harness import Learns
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from torch import Tensor

import mmkd
from mmkd.build import build_model
from mmkd.mixin import describe, read_method
from mmkd.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
LEARNING = {
    method: module.LEARNS
    for method, module in harness.load().items()
    if hasattr(module, 'LEARNS')
}
SIZE, SHIFT, STEPS, BATCH, RATE = 16, 1, 150, 32, 0.02
Data = tuple[Tensor, Tensor]  # images (N, 3, SIZE, SIZE), digits (N,)


def network(width: int, depth: int = 8) -> dict[str, Any]:
    """A small ResNet in three stages."""
    return dict(
        type='ImageClassifier',
        _scope_='mmpretrain',
        data_preprocessor=dict(num_classes=10, mean=[76.5] * 3, std=[63.75] * 3),
        backbone=dict(
            type='mmkd.CifarResNet',
            depth=depth,
            widths=(width, width, 2 * width, 4 * width),
        ),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='LinearClsHead',
            num_classes=10,
            in_channels=4 * width,
            loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
        ),
    )


STUDENT, TEACHER = network(8), network(16, depth=14)


class Digits:
    """The demo's digits at half their size, and a teacher that read more of them."""

    def __init__(self, folder: Path) -> None:
        spec = importlib.util.spec_from_file_location('data', ROOT / 'demo' / 'data.py')
        assert spec is not None and spec.loader is not None
        demo = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(demo)
        demo.write_images(folder / 'cls', demo.split_digits())
        self.train, val, self.test = (
            _read(folder / 'cls' / split) for split in ('train', 'val', 'test')
        )
        teacher = made(TEACHER)
        more = tuple(torch.cat(pair) for pair in zip(self.train, val))
        train(teacher, more, steps=300, batch=50, rate=0.01)
        assert self.read(teacher) > 0.9
        self.checkpoint = folder / 'teacher.pth'
        torch.save(teacher.state_dict(), self.checkpoint)
        student = made(STUDENT)
        train(student, self.train)
        self.plain = self.read(student)
        assert 0.7 < self.plain < 0.85  # there is something to learn from the teacher

    @torch.no_grad()
    def read(self, model: Any) -> float:
        """The share of the test digits that a model reads."""
        images, labels = self.test
        data = model.eval().data_preprocessor(dict(inputs=list(images)), False)
        model = getattr(model, 'student', model)
        scores = model.head.fc(model.extract_feat(data['inputs'])[-1])
        return float((scores.argmax(1) == labels).float().mean())


def _read(folder: Path) -> Data:
    images, labels = [], []
    for file in sorted(folder.glob('*/*.png')):
        large = torch.from_numpy(cv2.imread(str(file)).astype(np.float32))
        images.append(F.avg_pool2d(large.permute(2, 0, 1), 2).round().byte())
        labels.append(int(file.parent.name))
    return torch.stack(images), torch.tensor(labels)


def made(config: dict[str, Any]) -> Any:
    """A network as it begins."""
    torch.manual_seed(0)
    model = build_model(config, 'student')
    model.init_weights()
    return model


def train(
    model: Any, data: Data, steps: int = STEPS, batch: int = BATCH, rate: float = RATE
) -> list[dict[str, float]]:
    """Train; return what each step logged."""
    from mmpretrain.structures import DataSample

    images, labels = data
    random = torch.Generator().manual_seed(0)
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=rate, weight_decay=0.01)
    wrapper = OptimWrapper(optimizer)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps, pct_start=0.2
    )
    hub, logs = MessageHub.get_current_instance(), []
    model.train()
    for step in range(steps):
        for unit, now, end in (
            ('iter', step, steps),
            ('epoch', step // 10, steps // 10),
        ):
            hub.update_info(unit, now)
            hub.update_info(f'max_{unit}s', end)
        chosen = torch.randperm(len(images), generator=random)[:batch]
        padded = F.pad(images[chosen].float(), (SHIFT,) * 4, mode='replicate').byte()
        x, y = torch.randint(0, 2 * SHIFT + 1, (2,), generator=random).tolist()
        inputs = list(padded[..., y : y + SIZE, x : x + SIZE])
        samples = [
            DataSample(metainfo=dict(sample_idx=int(i))).set_gt_label(int(labels[i]))
            for i in chosen
        ]
        log = model.train_step(dict(inputs=inputs, data_samples=samples), wrapper)
        scheduler.step()
        logs.append({key: float(value) for key, value in log.items()})
    return logs


class Watched:
    """What a network did, without a way back to it."""

    def __init__(self, record: Any) -> None:
        self.record = record

    def __getitem__(self, path: str) -> list[Tensor]:
        return [level.detach() for level in self.record[path]]


def watch(term: Any) -> None:
    """Let a term's loss reach its own connectors, and nobody else."""
    forward = term.forward

    def apart(records: Any, targets: Any = None) -> Tensor:
        watched = {name: Watched(record) for name, record in records.items()}
        value: Tensor = forward(watched, targets)
        return value

    term.forward = apart


def distiller(method: str, learns: Learns, checkpoint: Path) -> Any:
    """A student with the method, as it begins."""
    kinds = describe(method)['kinds']
    kind = 'cifar' if 'cifar' in kinds else 'cls'
    part = read_method(method, [kind])
    wanted = 'teacher' not in part and cells.asks_a_teacher(part['terms'])
    given = (TEACHER, str(checkpoint)) if wanted else ()
    config = mmkd.distill(Config(dict(model=STUDENT)), method, *given, kind=kind).model
    cells.tried(config, describe(method).get('trial') or {})
    cells.tried(config, learns.changes)
    if learns.prepare is not None:
        learns.prepare(config, TEACHER, checkpoint)
    torch.manual_seed(0)
    model = MODELS.build(config)
    model.init_weights()
    return model


@pytest.fixture(scope='module')
def digits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Digits]:
    torch.set_num_threads(1)
    yield Digits(tmp_path_factory.mktemp('learning'))


@pytest.mark.slow
@pytest.mark.parametrize('method', LEARNING)
def test_learning(method: str, digits: Digits) -> None:
    """Taught, every term falls clearly further than watched; and it does no harm."""
    learns, ends = LEARNING[method], []
    for taught in (True, False):
        model = distiller(method, learns, digits.checkpoint)
        if not taught:
            for term in model.terms.values():
                watch(term)
        logs = train(model, digits.train)
        names = [t.raw_name for t in model.terms.values() if t.base_weight]
        ends.append({n: sum(log[n] for log in logs[-20:]) / 20 for n in names})
        if taught and learns.gain:
            assert digits.read(model) >= digits.plain
    for name, value in ends[0].items():
        assert value < learns.share * ends[1][name], f'{name}: {ends}'
