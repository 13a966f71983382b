#!/usr/bin/env python3
r"""What a step of distillation costs, beside one written by hand and a plain one.

    python tools/benchmark.py --pairs resnet34_resnet18 --methods kd cwd --out bench
    python tools/benchmark.py --size 64 --batch 2 --steps 10 --out bench   # every pair

Three students with the same weights take turns at the same batches in one process: one
trains alone, one in a loop written by hand (tools/by_hand.py), one in mmkd. The losses
must agree. What is reported are ratios of steps that stand side by side, so that a
machine that is now slower and now faster does little harm. Weights are random and the
images noise: nothing is downloaded.

The results are added to those that lie in the folder already; see docs/performance.md.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import logging
import os
import platform
import runpy
import shlex
import statistics
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch

ROOT = Path(__file__).resolve().parents[1]
HAND = Path(__file__).with_name('by_hand.py')
# configs/kd/kd_<pair>_<recipe>.py says which models a pair is.
PAIRS = {
    'resnet34_resnet18': '8xb32_in1k',
    'resnet50_mobilenet-v2': '8xb32_in1k',
    'faster-rcnn-r101_faster-rcnn-r50': '1x_coco',
    'mask-rcnn-r101_mask-rcnn-r50': '1x_coco',
    'pspnet-r101_pspnet-r18': '4xb2-80k_cityscapes-512x1024',
}
BY_HAND = ('kd', 'cwd', 'fitnet')
FITNET = {'cls': 'backbone[-1]', 'two_stage': 'neck', 'seg': 'backbone[-1]'}
# Size and batch, where none are given.
SMALL = {'cls': (64, 8), 'two_stage': (128, 2), 'seg': (64, 2)}
LARGE = {'cls': (224, 64), 'two_stage': (640, 2), 'seg': (512, 4)}
PARTS = ('student', 'teacher', 'terms', 'backward', 'rest')
TOLERANCE = 1e-4
WARM = 2
WAYS = ('plain', 'hand', 'mmkd')

Log = dict[str, Any]
Step = Callable[[dict[str, Any]], Log]
Row = dict[str, Any]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--pairs',
        nargs='*',
        default=list(PAIRS),
        help=f'{", ".join(PAIRS)}; or the config file of a distillation; or none, to '
        'only write the reports again (default: all five)',
    )
    parser.add_argument(
        '--methods',
        nargs='+',
        default=BY_HAND,
        help=f'{", ".join(BY_HAND)} are compared with a loop by hand; cwt and frskd '
        'with the student alone (default: the first three)',
    )
    parser.add_argument('--terms', type=int, default=1, help='the same term so often')
    parser.add_argument('--size', type=int, help='height and width of the images')
    parser.add_argument('--batch', type=int, help='number of images')
    parser.add_argument('--steps', type=int, help='default: 12, on a GPU 100')
    parser.add_argument('--device', help="'cpu' or 'cuda'; default: what there is")
    parser.add_argument('--threads', type=int, default=1, help='on a CPU')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/benchmark'))
    parser.add_argument('--docs', action='store_true', help='write docs/performance.md')
    return parser.parse_args(argv)


# -- what is compared -----------------------------------------------------------------


class Pair(NamedTuple):
    """Configs of a student and a teacher, and the kind of their task."""

    name: str
    student: dict[str, Any]
    teacher: dict[str, Any]
    kind: str


def find_pair(name: str, size: int | None, device: torch.device) -> Pair:
    """Read the distillation config that is meant, for random weights."""
    from mmkd.build import model_config, read_config
    from mmkd.mixin import kind_of, plain

    file = Path(name)
    if file.suffix != '.py':
        if name not in PAIRS:
            raise ValueError(f"No pair '{name}'. There are: {', '.join(PAIRS)}")
        file = ROOT / 'configs' / 'kd' / f'kd_{name}_{PAIRS[name]}.py'
    config = read_config(file)
    student = model_config(plain(config).model)
    student.setdefault('_scope_', config.get('default_scope'))
    teacher = model_config(config.model.teacher)
    kind = kind_of(student)
    if kind not in SMALL:
        raise ValueError(f"'{name}' is a {kind} model; kinds here: {list(SMALL)}")
    size = size or sizes(kind, device)[0]
    for model in (student, teacher):
        _prepare(model)
        if kind == 'seg':
            model['data_preprocessor']['size'] = (size, size)
    return Pair(file.stem if file.suffix == name[-3:] else name, student, teacher, kind)


def sizes(kind: str, device: torch.device) -> tuple[int, int]:
    """Size and number of the images, where none are given."""
    return (LARGE if device.type == 'cuda' else SMALL)[kind]


def _prepare(config: Any) -> None:
    """Take out, at any depth, what loads a file or needs several processes."""
    if isinstance(config, (list, tuple)):
        for item in config:
            _prepare(item)
    elif isinstance(config, dict):
        config.pop('pretrained', None)
        init = config.get('init_cfg')
        if isinstance(init, dict) and init.get('type') == 'Pretrained':
            del config['init_cfg']
        if config.get('type') == 'SyncBN':
            config['type'] = 'BN'
        for value in config.values():
            _prepare(value)


class Ways(NamedTuple):
    """One step in each way, and mmkd's distiller with its optimizer."""

    steps: dict[str, Step]
    distiller: Any
    optimizer: Any


def build(pair: Pair, method: str, times: int, device: torch.device) -> Ways:
    """The three students, equal; the two teachers, equal."""
    from mmengine.optim import OptimWrapper

    from mmkd.build import build_model

    class Optimizer(OptimWrapper):  # type: ignore[misc]
        """Keeps the whole loss: a classifier's log calls its own part 'loss'."""

        def backward(self, loss: torch.Tensor, **kwargs: Any) -> None:
            self.total = loss.detach()
            super().backward(loss, **kwargs)

    def optimizer(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=1e-4, momentum=0.9, weight_decay=1e-4)

    distiller, term = build_distiller(pair, method, times, device)
    alone = build_model(pair.student, 'student').to(device).train()
    alone.load_state_dict(distiller.student.state_dict(), strict=False)
    theirs = Optimizer(optimizer(alone.parameters()))
    ours = Optimizer(optimizer(p for p in distiller.parameters() if p.requires_grad))
    first = next(iter(distiller.terms.values()))

    def plain_step(data: dict[str, Any]) -> Log:
        alone.train_step(data, theirs)
        return {'loss': theirs.total}

    def our_step(data: dict[str, Any]) -> Log:
        log = distiller.train_step(data, ours)
        terms = [log[term.raw_name] for term in distiller.terms.values()]
        return {'loss': ours.total, 'term': sum(terms)}

    steps: dict[str, Step] = {'plain': plain_step}
    if method in BY_HAND:
        models = [build_model(m, 'model') for m in (pair.student, pair.teacher)]
        for model, like in zip(models, (distiller.student, distiller.teacher)):
            model.to(device).load_state_dict(like.state_dict())
        loop = runpy.run_path(str(HAND))['LOOPS'][pair.kind](
            *models, method, first.weight, term['loss'].get('tau'), times
        )
        loop.projections.to(device)
        weights = loop.projections.parameters()
        for weight, like in zip(weights, distiller.terms.parameters()):
            weight.data.copy_(like)
        loop.optimizer = optimizer(loop.parameters())
        steps['hand'] = loop.step
    return Ways({**steps, 'mmkd': our_step}, distiller, ours)


def build_distiller(
    pair: Pair, method: str, times: int, device: torch.device
) -> tuple[Any, dict[str, Any]]:
    """The distiller for a method with the same term so many times, and that term."""
    from mmengine.config import Config

    from mmkd.mixin import distill, read_method
    from mmkd.registry import MODELS

    known = 'kd' if method == 'fitnet' else method
    own = read_method(known, pair.student).get('distiller', {})
    taught = 'Self' not in str(own.get('type'))
    given = dict(teacher=pair.teacher, teacher_ckpt='random') if taught else {}
    config = distill(Config(dict(model=pair.student)), known, **given)
    terms = config.model.terms.to_dict()
    if method == 'fitnet':
        terms = dict(
            loss_fitnet=dict(
                student=FITNET[pair.kind],
                connector=dict(type='mmkd.Align'),
                loss=dict(type='mmkd.MSE'),
            )
        )
    name, term = next(iter(terms.items()))
    terms.update({f'{name}_{i}': copy.deepcopy(term) for i in range(1, times)})
    config.model.terms = terms
    torch.manual_seed(0)
    distiller = MODELS.build(config.model)
    distiller.init_weights()
    if taught:
        distiller.teacher.init_weights()
    return distiller.to(device).train(), term


@contextmanager
def quiet() -> Iterator[None]:
    """Without what mmengine logs of every weight that it initialises."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)


def make_batch(pair: Pair, distiller: Any, size: int, count: int) -> dict[str, Any]:
    """Noise with random ground truth, as a dataloader gives it."""
    from mmkd.term import count_classes

    classes = count_classes(distiller.student) or 2
    shape = (3, size, size)
    torch.manual_seed(0)
    if pair.kind == 'two_stage':
        from mmdet.testing import demo_mm_inputs

        return demo_mm_inputs(
            count,
            [list(shape)] * count,
            num_items=[5] * count,
            num_classes=classes,
            with_mask='mask_head' in pair.student['roi_head'],
        )
    images = list(torch.randint(0, 256, (count, *shape), dtype=torch.uint8))
    samples: list[Any] = []
    for _ in range(count):
        if pair.kind == 'cls':
            from mmpretrain.structures import DataSample

            label = int(torch.randint(classes, ()))
            samples.append(DataSample().set_gt_label(label))
        else:
            from mmengine.structures import PixelData
            from mmseg.structures import SegDataSample

            labels = torch.randint(classes, (1, size, size))
            labels[:, : size // 8] = 255
            samples.append(SegDataSample(metainfo=dict(img_shape=shape[1:])))
            samples[-1].gt_sem_seg = PixelData(data=labels)
    return {'inputs': images, 'data_samples': samples}


# -- measuring ------------------------------------------------------------------------


class Clock:
    """Marks in the course of a step, and the milliseconds between them.

    CUDA events on a GPU. On a CPU with one thread the processor's time for this
    process, which other programs disturb less than the time of day.
    """

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == 'cuda'
        alone = torch.get_num_threads() == 1
        self.read = time.process_time if alone else time.perf_counter
        self.name = 'processor time' if alone else 'time of day'
        if self.cuda:
            self.name = 'CUDA events'
        self.marks: list[tuple[str, Any]] = []

    def mark(self, label: str) -> None:
        """From here on, time belongs to ``label``."""
        if self.cuda:
            now: Any = torch.cuda.Event(enable_timing=True)
            now.record()
        else:
            now = self.read()
        self.marks.append((label, now))

    def timed(self, label: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function; the time that it takes belongs to ``label``."""

        def run(*args: Any, **kwargs: Any) -> Any:
            outer = self.marks[-1][0] if self.marks else 'rest'
            self.mark(label)
            try:
                return function(*args, **kwargs)
            finally:
                self.mark(outer)

        return run

    def time(self, step: Step, data: dict[str, Any]) -> tuple[Log, dict[str, float]]:
        """Run a step; return its log and the milliseconds of each label."""
        self.marks = []
        if self.cuda:
            torch.cuda.synchronize()
        self.mark('rest')
        log = step(data)
        self.mark('')
        if self.cuda:
            torch.cuda.synchronize()
        spent: dict[str, float] = {}
        for (label, start), (_, end) in zip(self.marks, self.marks[1:]):
            passed = start.elapsed_time(end) if self.cuda else (end - start) * 1e3
            spent[label] = spent.get(label, 0.0) + passed
        return log, spent


def watch(clock: Clock, ways: Ways) -> None:
    """Say which part of mmkd's step is whose."""
    distiller = ways.distiller
    distiller.student.forward = clock.timed('student', distiller.student.forward)
    distiller.teach = clock.timed('teacher', distiller.teach)
    for term in distiller.terms.values():
        term.forward = clock.timed('terms', term.forward)
    ways.optimizer.backward = clock.timed('backward', ways.optimizer.backward)


def disagreement(logs: dict[str, Log]) -> float:
    """How far the losses by hand are from mmkd's; raises beyond the tolerance."""
    worst = 0.0
    for key in ('loss', 'term'):
        hand, ours = float(logs['hand'][key]), float(logs['mmkd'][key])
        apart = abs(hand - ours) / max(abs(ours), 1e-12)
        if not apart <= TOLERANCE:
            raise RuntimeError(
                f'The two loops do not compute the same: by hand the {key} is {hand}, '
                f'in mmkd {ours}. One of tools/by_hand.py and the method has changed.'
            )
        worst = max(worst, apart)
    return worst


def peak_memory(step: Step, data: dict[str, Any], device: torch.device) -> float | None:
    """The most MiB of tensors that a step holds beyond what is there before it."""
    if device.type == 'cuda':
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(data)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step(data)
    results = profiler.profiler.kineto_results
    held = peak = 0
    found = [event for event in results.events() if event.name() == '[memory]']
    starts = 'start_ns' if found and hasattr(found[0], 'start_ns') else 'start_us'
    for event in sorted(found, key=lambda event: getattr(event, starts)()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak / 2**20 if found else None


def measure(pair: Pair, method: str, args: argparse.Namespace, command: str) -> Row:
    """Let the ways take turns; return what the table shows."""
    device = torch.device(args.device)
    size, count = (given or usual for given, usual in zip(
        (args.size, args.batch), sizes(pair.kind, device)
    ))  # fmt: skip
    with quiet():
        ways = build(pair, method, args.terms, device)
    data = make_batch(pair, ways.distiller, size, count)
    clock = Clock(device)
    watch(clock, ways)
    orders, times = list(itertools.permutations(ways.steps)), []
    apart = None
    for number in range(WARM + args.steps):
        turn: dict[str, dict[str, float]] = {}
        logs: dict[str, Log] = {}
        for name in orders[number % len(orders)]:
            torch.manual_seed(number)  # dropout and the sampling of regions
            logs[name], turn[name] = clock.time(ways.steps[name], copy.deepcopy(data))
        if number == 0 and 'hand' in logs:
            apart = disagreement(logs)
        for name, log in logs.items():
            if not torch.isfinite(log['loss']):
                raise RuntimeError(f'{pair.name}, {method}: the loss of {name} is gone')
        if number >= WARM:
            times.append(turn)
    totals = {name: [sum(turn[name].values()) for turn in times] for name in ways.steps}
    memory = {
        n: peak_memory(s, copy.deepcopy(data), device) for n, s in ways.steps.items()
    }
    return dict(
        pair=pair.name,
        method=method,
        terms=args.terms,
        size=size,
        batch=count,
        steps=args.steps,
        ms={name: statistics.median(values) for name, values in totals.items()},
        ratios={
            f'{one}/{other}': quartiles(totals[one], totals[other])
            for one, other in (('hand', 'plain'), ('mmkd', 'plain'), ('mmkd', 'hand'))
            if one in totals and other in totals
        },
        parts={
            part: statistics.median(turn['mmkd'].get(part, 0.0) for turn in times)
            for part in PARTS
        },
        memory=memory,
        disagreement=apart,
        clock=clock.name,
        **machine(device),
        command=command,
    )


def quartiles(ones: Sequence[float], others: Sequence[float]) -> list[float]:
    """First quartile, median and third of the ratios of pairs."""
    ratios = [one / other for one, other in zip(ones, others)]
    if len(ratios) == 1:
        return ratios * 3
    return statistics.quantiles(ratios, n=4, method='inclusive')


def machine(device: torch.device) -> Row:
    """On what was measured, and how busy it was with other things."""
    from mmkd.report.measure import machine as words

    on_cpu = device.type == 'cpu'
    name = 'CPU' if on_cpu and torch.cuda.is_available() else words()
    return dict(
        device=name.replace('one thread of ', ''),
        cores=os.cpu_count(),
        threads=torch.get_num_threads(),
        load=round(os.getloadavg()[0], 1) if hasattr(os, 'getloadavg') else None,
        torch=torch.__version__,
        python=platform.python_version(),
    )


# -- reporting ------------------------------------------------------------------------


def add(rows: list[Row], row: Row) -> list[Row]:
    """The rows with a new one, in the place of an older one of the same."""
    keys = ('pair', 'method', 'terms', 'size', 'batch', 'device')
    same = [all(old[key] == row[key] for key in keys) for old in rows]
    rows = [row if again else old for old, again in zip(rows, same)]
    return rows if any(same) else [*rows, row]


def _spread(values: list[float] | None) -> str:
    if values is None:
        return '–'
    low, middle, high = values
    return f'{middle:.3f} ({low:.3f}–{high:.3f})'


def label(row: Row) -> str:
    """The method, and how often its term is there."""
    many = f' × {row["terms"]}' if row['terms'] > 1 else ''
    return f'{row["method"]}{many}'


def table(rows: list[Row]) -> str:
    """Ratios with their quartiles, a line for each pair and method."""
    lines = [
        '| teacher_student | term | images | student alone, ms | by hand / alone '
        '| mmkd / alone | mmkd / by hand |',
        '|---|---|---|---:|---:|---:|---:|',
    ]
    for row in rows:
        ratios = row['ratios']
        lines.append(
            f'| {row["pair"]} | {label(row)} | {row["batch"]} of {row["size"]}² '
            f'| {row["ms"]["plain"]:.0f} | {_spread(ratios.get("hand/plain"))} '
            f'| {_spread(ratios["mmkd/plain"])} | {_spread(ratios.get("mmkd/hand"))} |'
        )
    return '\n'.join(lines)


def parts_table(rows: list[Row]) -> str:
    """Where the time of mmkd's step goes, and the memory of a step in each way."""
    lines = [
        '| teacher_student | term | student | teacher | terms | backward | rest '
        '| MiB alone | by hand | mmkd |',
        '|---|---|' + '---:|' * 8,
    ]
    for row in rows:
        whole = sum(row['parts'].values())
        shares = ' | '.join(f'{row["parts"][p] / whole:.1%}' for p in PARTS)
        memory = [row['memory'].get(name) for name in WAYS]
        lines.append(
            f'| {row["pair"]} | {label(row)} | {shares} | '
            + ' | '.join('–' if mib is None else f'{mib:.1f}' for mib in memory)
            + ' |'
        )
    return '\n'.join(lines)


def draw(rows: list[Row], file: Path) -> None:
    """Ratios of the steps with their quartiles, and the parts of mmkd's step."""
    import matplotlib

    matplotlib.use('svg')
    import matplotlib.pyplot as plt

    plt.rcParams.update({'svg.hashsalt': 'mmkd', 'font.size': 9})
    figure, (left, right) = plt.subplots(
        1, 2, sharey=True, figsize=(9, 0.34 * len(rows) + 1.3), constrained_layout=True
    )
    colours = ('#0072b2', '#d55e00', '#009e73', '#56b4e9', '#bbbbbb')
    places = range(len(rows))[::-1]
    for place, row in zip(places, rows):
        start = 0.0
        for part, colour in zip(PARTS, colours):
            width = row['parts'][part] / row['ms']['plain']
            words = part if place == places[0] else None
            left.barh(place, width, left=start, color=colour, height=0.7, label=words)
            start += width
        spread = row['ratios'].get('mmkd/hand')
        if spread is not None:
            low, middle, high = spread
            right.plot([low, high], [place, place], color='#0072b2', lw=2)
            right.plot(middle, place, 'o', color='#0072b2', ms=5)
    left.axvline(1, color='#333333', lw=1, ls=':')
    left.set_xlabel('mmkd / student alone')
    left.set_yticks(places, [f'{row["pair"]}  {label(row)}' for row in rows])
    left.set_ylim(-0.6, len(rows) - 0.4)
    right.axvline(1, color='#333333', lw=1, ls=':')
    right.set_xlabel('mmkd / by hand: median and quartiles')
    figure.legend(loc='outside upper left', ncols=len(PARTS), frameon=False)
    for axis in (left, right):
        axis.spines[['top', 'right', 'left']].set_visible(False)
        axis.tick_params(axis='y', length=0)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={'Date': None}, facecolor='white')
    plt.close(figure)


def page(rows: list[Row]) -> str:
    """docs/performance.md."""
    machines = {
        f'{row["device"]}, {row["cores"]} cores, {row["threads"]} '
        f'thread{"s" * (row["threads"] > 1)}, torch {row["torch"]}, '
        f'Python {row["python"]}: {row["clock"]}'
        for row in rows
    }
    steps = sorted({row['steps'] for row in rows})
    loads = [row['load'] for row in rows if row['load'] is not None]
    apart = max((row['disagreement'] or 0.0 for row in rows), default=0.0)
    commands = '\n'.join(dict.fromkeys(row['command'] for row in rows))
    missing = [name for name in PAIRS if name not in {row['pair'] for row in rows}]
    words = ['Other methods, sizes and distillation packages than these.']
    if missing:
        words.append(f'These pairs of the tool: {", ".join(missing)}.')
    if not any(row['clock'] == 'CUDA events' for row in rows):
        words.append(
            'A GPU, where a step is shorter and what Python does between the operators '
            'weighs more. Several processes. Mixed precision.'
        )
    busy = ''
    if loads and max(loads) > 1:
        busy = (
            'The machine was busy with other programs meanwhile (load average\n'
            f'{min(loads):g} to {max(loads):g}), so milliseconds mean little. A ratio\n'
            'whose quartiles lie on both sides of 1 shows no difference.\n\n'
        )
    return PAGE.format(
        table=table(rows),
        parts=parts_table(rows),
        machines='\n'.join(f'- {name}' for name in sorted(machines)),
        steps=' or '.join(map(str, steps)),
        warm=WARM,
        busy=busy,
        apart=f'{apart:.0e}' if apart else '0, bit for bit',
        commands=commands,
        missing=textwrap.fill(' '.join(words), 86, break_on_hyphens=False),
    )


PAGE = """# What a step costs

Three students with the same weights take turns, step by step, at the same batch in
one process: **alone**, in a distillation loop written **by hand** with the mm
packages and plain torch ([tools/by_hand.py](../tools/by_hand.py)), and in **mmkd**.
In the first step the losses by hand and in mmkd must agree to 1e-4, or nothing is
measured. The largest relative difference in this table was {apart}.

Below are medians of the ratios of neighbouring steps, with the quartiles in brackets.
`mmkd / by hand` is what mmkd itself costs. `mmkd / alone` is what distillation costs.

{table}

![Parts of a step, and mmkd beside a loop by hand](images/performance.svg)

{busy}Each kind ran {steps} steps, after {warm} to warm up, on

{machines}

## Where the time and the memory go

Shares of a step of mmkd, and the most MiB of tensors that a step holds beyond what is
there before it (weights and optimizer are not in it). *Rest* is the preprocessing,
the optimizer and what mmkd does between its parts.

{parts}

On a CPU the memory is the sum of what torch's allocator gave and took back in one
step, as `torch.profiler` lists it; buffers of libraries are not in it. On a GPU it is
`max_memory_allocated`. The loops by hand run the teacher as deep as mmkd does, no
deeper, and before the student.

## What is missing

{missing}

Weights are random and images noise, so a detector may find more or fewer
regions than in a real training.

## Again

```bash
{commands}
```

`--pairs` also takes the config file of a distillation, `--methods` also cwt and frskd,
which are compared with the student alone (SAKD and letKD want a hook and a codebook,
which lone steps lack), and `--terms 8` adds the same term eight times. Without `--size`
and `--batch` they are small on a CPU and usual on a GPU. `--docs` writes this page from
the results in `--out`.
"""


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    typed = sys.argv[1:] if argv is None else argv
    args.device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    args.steps = args.steps or (12 if args.device == 'cpu' else 100)
    torch.set_num_threads(args.threads)
    from mmkd.launch import short_errors

    out = args.out / 'results.json'
    rows: list[Row] = json.loads(out.read_text()) if out.is_file() else []
    args.out.mkdir(parents=True, exist_ok=True)
    command = f'python tools/benchmark.py {shlex.join(typed)}'.strip()
    with short_errors(RuntimeError):
        for name in args.pairs:
            pair = find_pair(name, args.size, torch.device(args.device))
            for method in args.methods:
                row = measure(pair, method, args, command)
                rows = add(rows, row)
                out.write_text(json.dumps(rows, indent=1) + '\n')
                print(table([row]).rpartition('\n')[2], flush=True)
        if not rows:
            raise ValueError(f'{out} has no results yet: name a pair.')
    text = f'{table(rows)}\n\n{parts_table(rows)}\n'
    (args.out / 'table.md').write_text(text)
    draw(rows, args.out / 'steps.svg')
    if args.docs:
        draw(rows, ROOT / 'docs/images/performance.svg')
        (ROOT / 'docs/performance.md').write_text(page(rows))
    print(f'\n{text}\n{args.out}: results.json, table.md, steps.svg')


if __name__ == '__main__':
    main()
