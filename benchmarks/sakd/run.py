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
import itertools
import json
import statistics
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmengine.logging import MMLogger
from torch import Tensor, nn

from mmkd.backbones.resnet import CifarResNet
from mmkd.losses import KD, SAKDBranch, SAKDMatch
from mmkd.targets import Targets

FORMS = ('u1', 'u2', 'u3')
# name -> weights of match, branch and KD
TERMS = {
    'match': (10, 0, 0),
    'branch': (0, 1, 0),
    'match + branch': (10, 1, 0),
    'match + KD': (10, 0, 1),
    'match + branch + KD': (10, 1, 1),
}
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
            jpeg, offset, label = data['jpeg'], data['offset'], data['label'][:limit]
        pairs = zip(offset[:limit], offset[1 : limit + 1])
        decoded = [cv2.imdecode(jpeg[a:b], cv2.IMREAD_COLOR) for a, b in pairs]
        images = torch.tensor(np.stack(decoded)).permute(0, 3, 1, 2).float()
        labels = torch.tensor(label).long()
        parts += [F.avg_pool2d(images / 64 - 2, 2), labels]
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


def train_branch(branch: SAKDBranch, maps: list[Tensor], labels: Tensor) -> float:
    """By its recipe, on cached maps; returns the accuracy on these images."""
    recipe = branch.recipe
    assert recipe is not None
    vectors, _ = branch.vectors(maps, None)
    weights = [branch.frozen_weight, branch.frozen_bias]
    for weight in weights:
        weight.requires_grad_(True)
    optimizer = torch.optim.SGD(
        weights, recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay
    )
    steps = recipe.epochs * len(labels) // BATCH
    schedule = torch.optim.lr_scheduler.MultiStepLR(
        optimizer, [round(m * steps) for m in recipe.milestones], recipe.gamma
    )
    for _ in range(steps):
        index = torch.randint(len(labels), (BATCH,))
        optimizer.zero_grad()
        F.cross_entropy(branch.judge(vectors[index]), labels[index]).backward()
        optimizer.step()
        schedule.step()
    for weight in weights:
        weight.requires_grad_(False)
    right = (branch.judge(vectors).argmax(1) == labels).float().mean()
    return 100 * float(right)


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
            self.test_maps = self.teacher(self.test)[0]
        self.maps = list(maps)
        self.branches: dict[Any, Any] = {}

    def student(self, seed: int, form: str, weights: Any, **branch: Any) -> float:
        """Train one student; returns its test accuracy."""
        torch.manual_seed(seed)
        net = Net(8, 8)
        uniformize = dict(form=form)
        match = SAKDMatch(uniformize=uniformize)
        settings = {'recipe': dict(epochs=100), 'shared': True, **branch}
        phi = SAKDBranch(uniformize=uniformize, **settings)
        with torch.no_grad():
            phi.build(net(self.images[:2])[0], self.maps, classes=10)
        key = form
        if weights[1] and key not in self.branches:
            report = [train_branch(phi, self.maps, self.labels)]
            vectors, _ = phi.vectors(self.test_maps, None)
            logits = phi.judge(vectors)
            right = (logits.argmax(1) == self.test_labels).float().mean()
            spread = (logits - logits.mean(1, keepdim=True)).square().mean().sqrt()
            report += [100 * float(right), float(spread)]
            state = phi.frozen_weight.clone(), phi.frozen_bias.clone(), report
            self.branches[key] = state
        if weights[1]:
            phi.frozen_weight.copy_(self.branches[key][0])
            phi.frozen_bias.copy_(self.branches[key][1])
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
    parser.add_argument('--seeds', type=int, default=4)
    parser.add_argument('--steps', type=int, default=400)
    parser.add_argument('--minutes', type=float, default=10, help='stop after these')
    parser.add_argument(
        '--out', type=Path, required=True, help='the log; goes on where it ends'
    )
    parser.add_argument('--only', default='', help='cases with this in their name')
    parser.add_argument('--sweep', action='store_true', help='of the weights, for u2')
    return parser.parse_args()


def cases(sweep: bool) -> dict[str, Any]:
    """Name -> form, weights, settings of the branch."""
    found: dict[str, Any] = {'none': ('u2', (0, 0, 0), {}), 'KD': ('u2', (0, 0, 1), {})}
    if not sweep:
        for form, (name, weights) in itertools.product(FORMS, TERMS.items()):
            found[f'{form}: {name}'] = (form, weights, {})
            if weights[1]:
                found[f'{form}: {name}, own'] = (form, weights, dict(shared=False))
        return found
    for weight in (3, 30, 100):
        found[f'u2: match {weight}'] = ('u2', (weight, 0, 0), {})
    for weight in (0.1, 0.3):
        own = dict(shared=False)
        found[f'u2: match + branch {weight}, own'] = ('u2', (10, weight, 0), own)
    labels = dict(shared=False, label_weight=0.1)
    found['u2: match + branch, own, labels 0.1'] = ('u2', (10, 1, 0), labels)
    return found


def main() -> None:
    """Run what the log lacks, seed by seed; print the table."""
    args = parse_args()
    start = time.monotonic()
    MMLogger.get_current_instance().setLevel('WARNING')
    torch.set_num_threads(1)
    count = args.images or (1000 if args.cifar10 else 150)
    data = cifar10(args.cifar10, count) if args.cifar10 else digits(count)
    bench = Bench(data, args.steps, teacher_steps=1500 if args.cifar10 else 800)
    print(f'teacher {bench.teacher_accuracy:.1f}', flush=True)
    table = cases(args.sweep)
    results: dict[str, list[float]] = {name: [] for name in table}
    reports: dict[str, Any] = {}
    if args.out.is_file():
        log = json.loads(args.out.read_text())
        results.update(log['students'])
        reports = log['branches_train_test_scale']
    for seed, (name, case) in itertools.product(range(args.seeds), table.items()):
        late = time.monotonic() - start > args.minutes * 60
        if late or len(results[name]) > seed or args.only not in name:
            continue
        form, weights, branch = case
        results[name].append(bench.student(seed, form, weights, **branch))
        print(f'{seed} {name}: {results[name][-1]:.1f}', flush=True)
    reports.update({form: value[2] for form, value in bench.branches.items()})
    log = dict(
        data='cifar10' if args.cifar10 else 'digits',
        images=count,
        steps=args.steps,
        torch=torch.__version__,
        teacher=bench.teacher_accuracy,
        branches_train_test_scale=reports,
        students=results,
    )
    args.out.write_text(json.dumps(log, indent=1) + '\n')
    print('\n| terms | mean | sd | seeds |\n|---|---|---|---|')
    for name, values in results.items():
        if not values:
            continue
        sd = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f'| {name} | {statistics.mean(values):.1f} | {sd:.1f} | {len(values)} |')


if __name__ == '__main__':
    main()
