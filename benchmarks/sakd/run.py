#!/usr/bin/env python3
"""The ablation of SAKD-style distillation: form of the vectors x terms of the loss.

A small network learns from few images, with a teacher that has seen many more. Without
arguments the images are scikit-learn's digits, turned, moved and put under noise;
CIFAR-10 comes from files with the arrays ``jpeg`` (the bytes of all images in a row),
``offset`` (N + 1,) and ``label`` (N,).

    python benchmarks/sakd/run.py --out benchmarks/sakd/digits.json
    python benchmarks/sakd/run.py --cifar10 train.npz test.npz --out cifar10.json
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.logging import MMLogger
from torch import Tensor, nn

from mmkd.backbones.resnet import CifarResNet
from mmkd.loss import Site
from mmkd.losses import KD, SAKDBranch, SAKDMatch
from mmkd.losses.sakd_branch import Branch
from mmkd.targets import Targets

CASES: dict[str, dict[str, Any]] = {}
BATCH = 50


def digits(count: int) -> tuple[Tensor, ...]:
    """Images for the teacher, for the student (``count`` of them), and for the test."""
    from sklearn.datasets import load_digits

    data = load_digits()
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(data.target), generator=generator)
    images = torch.tensor(data.images / 16, dtype=torch.float32)[order]
    labels = torch.tensor(data.target)[order]

    def disturb(x: Tensor) -> Tensor:
        angle, shear = (torch.rand(2, len(x), generator=generator) - 0.5) * 0.9
        move = (torch.rand(len(x), 2, generator=generator) - 0.5) * 0.5
        rows = [angle.cos(), -angle.sin() + shear, move[:, 0]]
        columns = [angle.sin(), angle.cos(), move[:, 1]]
        matrix = torch.stack([torch.stack(rows, 1), torch.stack(columns, 1)], 1) * 1.3
        grid = F.affine_grid(matrix, [len(x), 1, 16, 16], align_corners=False)
        turned = F.grid_sample(x[:, None], grid, align_corners=False)
        noisy = turned + 0.25 * torch.randn(turned.shape, generator=generator)
        return ((noisy - 0.3) / 0.4).expand(-1, 3, -1, -1)

    many = disturb(images[:1000].repeat(4, 1, 1))
    few, test = disturb(images[:count]), disturb(images[1000:])
    return many, labels[:1000].repeat(4), few, labels[:count], test, labels[1000:]


def cifar10(files: list[Path], count: int) -> tuple[Tensor, ...]:
    """The same of CIFAR-10, at 16x16."""
    parts = []
    for file, limit in zip(files, (10000, 2000)):
        with np.load(file) as data:
            image, label = data['image'][:limit], data['label'][:limit]
        images = torch.tensor(image).permute(0, 3, 1, 2).float()
        parts += [F.avg_pool2d(images / 64 - 2, 2), torch.tensor(label).long()]
    many, many_labels, test, labels = parts
    return many, many_labels, many[:count], many_labels[:count], test, labels


class Net(nn.Module):
    """A CIFAR ResNet that shows its stages."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        widths = (width, width, 2 * width, 4 * width)
        self.backbone = CifarResNet(depth, widths, out_indices=(0, 1, 2))
        self.head = nn.Linear(widths[-1], 10)
        self.backbone.init_weights()

    def forward(self, x: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Stage maps and logits."""
        maps = self.backbone(x)
        return maps, self.head(maps[-1].mean((2, 3)))


def accuracy(net: Net, images: Tensor, labels: Tensor) -> float:
    """Share of right answers in percent."""
    net.eval()
    with torch.no_grad():
        right = [
            (net(x)[1].argmax(1) == y).sum() for x, y in _chunks(images, labels, 500)
        ]
    net.train()
    return 100 * float(sum(right)) / len(labels)


def _chunks(images: Tensor, labels: Tensor, size: int) -> Any:
    return zip(images.split(size), labels.split(size))


def fit(
    net: nn.Module, params: Any, steps: int, count: int, lr: float, loss: Any
) -> None:
    """SGD on a cosine; ``loss`` gets the indices of a batch."""
    optimizer = torch.optim.SGD(params, lr, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    net.train()
    for step in range(steps):
        optimizer.zero_grad()
        loss(torch.randint(count, (BATCH,)), step / steps).backward()
        optimizer.step()
        schedule.step()


def train_branch(branch: Branch, maps: list[Tensor], labels: Tensor) -> None:
    """By its recipe, on cached maps."""
    recipe = branch.recipe
    assert recipe is not None
    everything = (maps, Targets(labels=labels))
    branch.prepare([everything])
    steps = recipe.epochs * len(labels) // BATCH
    with branch.learning() as weights:
        optimizer = torch.optim.SGD(
            weights,
            recipe.lr,
            recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=recipe.nesterov,
        )
        schedule = torch.optim.lr_scheduler.MultiStepLR(
            optimizer, [round(m * steps) for m in recipe.milestones], recipe.gamma
        )
        for step in range(steps):
            branch.closing = step >= steps - len(labels) // BATCH
            index = torch.randint(len(labels), (BATCH,))
            batch = [x[index] for x in maps], Targets(labels=labels[index])
            optimizer.zero_grad()
            total, count = branch.objective(*batch)
            (total / count).backward()
            optimizer.step()
            schedule.step()
        branch.closing = False
    branch.done.fill_(True)


class Bench:
    """One data set, one teacher, many students."""

    def __init__(
        self, data: tuple[Tensor, ...], steps: int, teacher_steps: int
    ) -> None:
        torch.manual_seed(0)
        self.steps = steps
        many, many_labels, self.images, self.labels, self.test, self.test_labels = data
        self.teacher = Net(14, 16)

        def loss(index: Tensor, _: float) -> Tensor:
            logits = self.teacher(many[index])[1]
            return F.cross_entropy(logits, many_labels[index])

        fit(
            self.teacher, self.teacher.parameters(), teacher_steps, len(many), 0.1, loss
        )
        self.teacher_accuracy = accuracy(self.teacher, self.test, self.test_labels)
        self.teacher.eval()
        with torch.no_grad():
            maps, self.logits = self.teacher(self.images)
            test_maps = self.teacher(self.test)[0]
        self.maps, self.test_maps = list(maps), list(test_maps)
        self.branches: dict[str, Any] = {}  # how one is made -> its weights
        self.reports: dict[str, Any] = {}  # -> accuracies and deviation of logits

    def branch(self, phi: SAKDBranch, net: Net, case: Mapping[str, Any]) -> None:
        """Build a branch and train it, once for all students that learn from it."""
        with torch.no_grad():
            phi.build(Site(list(net(self.images[:2])[0]), self.maps, classes=10))
        how = {k: case[k] for k in ('uniformize', 'recipe', 'standardize') if k in case}
        key = json.dumps(how)
        if key not in self.branches:
            with torch.random.fork_rng():
                torch.manual_seed(0)
                train_branch(phi.prelude, self.maps, self.labels)
            targets = Targets(labels=self.test_labels)
            phi.prelude.review([(self.test_maps, targets)])
            found = phi.prelude.found
            assert found is not None
            self.reports[key] = [100 * found.train, 100 * (found.val or 0), found.scale]
            self.branches[key] = copy.deepcopy(phi.prelude.state_dict())
        phi.prelude.load_state_dict(self.branches[key])

    def student(self, seed: int, case: Mapping[str, Any]) -> float:
        """Train one student; returns its test accuracy."""
        torch.manual_seed(seed)
        net = Net(8, 8)
        weights = [case.get(name, 0) for name in ('match', 'branch', 'kd')]
        own = {k: v for k, v in case.items() if k not in ('match', 'branch', 'kd')}
        own['recipe'] = {'epochs': 100, **own.get('recipe', {})}
        match = SAKDMatch(uniformize=own.get('uniformize', {}))
        phi = SAKDBranch(**own)
        if weights[1]:
            self.branch(phi, net, own)
        kd = KD(tau=4.0)

        def loss(index: Tensor, progress: float) -> Tensor:
            maps, logits = net(self.images[index])
            targets = Targets(labels=self.labels[index])
            total = F.cross_entropy(logits, self.labels[index])
            teacher = [x[index] for x in self.maps]
            ramp = min(1.0, progress / 0.05)
            if weights[0]:
                total = total + ramp * weights[0] * match(maps, teacher, targets)
            if weights[1]:
                total = total + ramp * weights[1] * phi(maps, teacher, targets)
            if weights[2]:
                total = total + weights[2] * kd(logits, self.logits[index])
            return total

        params = [*net.parameters(), *phi.parameters()]
        fit(net, params, self.steps, len(self.labels), 0.05, loss)
        return accuracy(net, self.test, self.test_labels)


def parse_args() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--cifar10', nargs=2, type=Path, metavar=('TRAIN', 'TEST'))
    parser.add_argument('--images', type=int, help="the student's training images")
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument('--steps', type=int, default=400)
    parser.add_argument('--minutes', type=float, default=10, help='stop after these')
    parser.add_argument(
        '--out', type=Path, required=True, help='the log; goes on where it ends'
    )
    parser.add_argument('--only', default='', help='cases with this in their name')
    return parser.parse_args()


def main() -> None:
    """Run what the log lacks, seed by seed; print the table."""
    args = parse_args()
    start = time.process_time()
    MMLogger.get_current_instance().setLevel('WARNING')
    torch.set_num_threads(1)
    count = args.images or (1000 if args.cifar10 else 150)
    data = cifar10(args.cifar10, count) if args.cifar10 else digits(count)
    bench = Bench(data, args.steps, teacher_steps=1500 if args.cifar10 else 800)
    print(f'teacher {bench.teacher_accuracy:.1f}', flush=True)
    log: dict[str, Any] = dict(
        data='cifar10' if args.cifar10 else 'digits',
        images=count,
        steps=args.steps,
        torch=torch.__version__,
        teacher=bench.teacher_accuracy,
        branches_train_test_scale={},
        students={},
    )
    if args.out.is_file():
        log = json.loads(args.out.read_text())
    results: dict[str, list[float]] = log['students']
    for seed, (name, case) in itertools.product(range(args.seeds), CASES.items()):
        done = results.setdefault(name, [])
        late = time.process_time() - start > args.minutes * 60
        if late or len(done) > seed or args.only not in name:
            continue
        done.append(bench.student(seed, case))
        print(f'{seed} {name}: {done[-1]:.1f}', flush=True)
        log['branches_train_test_scale'].update(bench.reports)
        args.out.write_text(json.dumps(log, indent=1) + '\n')
    print('\n| terms | mean | sd | seeds |\n|---|---|---|---|')
    for name, values in results.items():
        if values:
            sd = statistics.stdev(values) if len(values) > 1 else 0.0
            mean = statistics.mean(values)
            print(f'| {name} | {mean:.1f} | {sd:.1f} | {len(values)} |')


if __name__ == '__main__':
    main()
