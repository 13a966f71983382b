r"""Kill real runs at random moments, start them again, compare what they end with.

    python tests/kills.py --kills 200

Each run is what a command starts: tools/train.py (by epoch with EMA, by iteration with
workers, each method, two ranks), tools/build_codebook.py, tools/record_teacher.py. It
is killed (SIGKILL) up to six times, at moments drawn over the time that an undisturbed
run takes, or when it enters a certain phase; then the same command is let through. What
it leaves must be what the undisturbed run left, bit for bit.

Everything is imported once: a run is a fork. Prints how many kills hit what.
"""

from __future__ import annotations

import argparse
import mmap
import os
import random
import runpy
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mmpretrain  # noqa: F401  (before the fork)
import numpy as np
import runs
import test_ddp
import test_recording
import torch
import zoo
from cells import cell
from mmengine.config import Config
from mmengine.config import config as configs
from mmengine.hooks import CheckpointHook
from mmengine.runner import (
    EpochBasedTrainLoop,
    IterBasedTrainLoop,
    Runner,
    ValLoop,
    runner,
)
from yapf.yapflib import yapf_api

from mmkd.codebook import features, stages
from mmkd.distillers import BaseDistiller, offline
from mmkd.hooks import ExportStudent, TrainPreludes
from mmkd.recording.recorder import Recital

TOOLS = Path(__file__).resolve().parents[1] / 'tools'
# Phase -> what is running then. One byte of shared memory tells which it is.
PHASES: dict[str, list[tuple[Any, str]]] = {
    'start': [],
    'teacher load': [(offline, 'load_weights')],
    'resume': [(Runner, 'load_or_resume')],
    'prelude': [(TrainPreludes, 'before_train')],
    'step': [(EpochBasedTrainLoop, 'run_iter'), (IterBasedTrainLoop, 'run_iter')],
    'validation': [(ValLoop, 'run')],
    'save': [(CheckpointHook, '_save_checkpoint_with_step')],
    'write': [(Path, 'write_bytes')],
    'export': [(ExportStudent, '_export')],
    'features': [(features, 'collect')],
    'clusters': [(stages, 'clusters'), (stages, 'lda')],
    'recording': [(Recital, '_ask')],
}
NAMES = list(PHASES)
LIMIT = 120.0  # seconds that a run may take


class Phase:
    """What a run is doing, and how often it has begun each phase; shared with it."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, 1 + len(NAMES))

    def clear(self) -> None:
        self.memory[:] = bytes(len(self.memory))

    @property
    def now(self) -> str:
        return NAMES[self.memory[0]]

    def begun(self, name: str) -> int:
        return self.memory[1 + NAMES.index(name)]

    def watch(self) -> None:
        """In the run: note every phase that begins and ends."""
        for number, places in enumerate(PHASES.values()):
            for owner, name in places:
                setattr(owner, name, self._noted(getattr(owner, name), number))

    def _noted(self, call: Callable[..., Any], number: int) -> Callable[..., Any]:
        def noted(*args: Any, **kwargs: Any) -> Any:
            before = self.memory[0]
            self.memory[0] = number
            self.memory[1 + number] = min(255, self.memory[1 + number] + 1)
            try:
                return call(*args, **kwargs)
            finally:
                self.memory[0] = before

        return noted


def write_slowly(self: Path, data: Any) -> int:
    """In the run: as ``Path.write_bytes``, in pieces, so that a kill finds half."""
    view = memoryview(data)
    size = max(1, len(view) // 16)
    with self.open('wb', buffering=0) as file:
        for start in range(0, len(view), size):
            file.write(view[start : start + size])
            time.sleep(5e-4)
    return len(view)


def hurry() -> None:
    """Leave out what mmengine does for its logs: most of the time of a short run."""
    runner.collect_env = dict
    runner.get_git_hash = str
    for place in (configs, yapf_api):  # the fork imports it where it is used
        place.FormatCode = lambda text, **_: (text, True)


def raising(*_: Any, **__: Any) -> None:
    """In the run of a rank that fails: in the place of its model's ``forward``."""
    raise ValueError('this rank fails')


@dataclass
class Case:
    """A command that is killed.

    Args:
        name: For the table.
        tool: Name of the tool.
        arguments: Of the command; '{out}' is a folder that is new for each run.
        result: What the folder holds in the end.
        ranks: How many processes it has.
        phases: Those in which it is killed on purpose, beside random moments.
        seconds: How long the undisturbed run took.
    """

    name: str
    tool: str
    arguments: list[str]
    result: Callable[[Path], dict[str, Any]]
    ranks: int = 1
    phases: tuple[str, ...] = ('step', 'validation', 'save', 'write', 'teacher load')
    seconds: float = 0.0
    expected: dict[str, Any] = field(default_factory=dict)


class Life:
    """One start of a case's command: a process for each rank."""

    def __init__(
        self, case: Case, out: Path, phase: Phase, failing: int | None = None
    ) -> None:
        self.failing = failing
        self.out = out
        self.log = out.with_name(f'{out.name}.log')
        phase.clear()
        port = runs.free_port()
        self.ids = [self._fork(case, rank, port, phase) for rank in range(case.ranks)]
        self.codes: dict[int, int] = {}
        self.start = time.monotonic()

    def _fork(self, case: Case, rank: int, port: int, phase: Phase) -> int:
        child = os.fork()
        if child:
            return child
        try:  # in the run
            os.setsid()
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            hurry()
            Path.write_bytes = write_slowly  # type: ignore
            if rank == 0:
                phase.watch()
            if rank == self.failing:
                BaseDistiller.forward = raising  # type: ignore
            arguments = [a.format(out=self.out) for a in case.arguments]
            if case.ranks > 1:
                os.environ.update(
                    MASTER_ADDR='127.0.0.1',
                    MASTER_PORT=str(port),
                    RANK=str(rank),
                    LOCAL_RANK=str(rank),
                    WORLD_SIZE=str(case.ranks),
                )
                arguments += ['--launcher', 'pytorch']
            MAINS[case.tool](arguments)
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        os._exit(code)

    def poll(self) -> bool:
        """Whether all processes have ended."""
        for child in self.ids:
            if child not in self.codes:
                found, status = os.waitpid(child, os.WNOHANG)
                if found:
                    self.codes[child] = os.waitstatus_to_exitcode(status)
        return len(self.codes) == len(self.ids)

    def wait(self, limit: float = LIMIT) -> list[int]:
        """Exit codes of all, which have to end by themselves."""
        end = time.monotonic() + limit
        while not self.poll():
            if time.monotonic() > end:
                self.kill(self.ids)
                raise AssertionError(f'No end after {limit} s:\n{self.tail()}')
            time.sleep(2e-3)
        return [self.codes[child] for child in self.ids]

    def kill(self, ids: list[int]) -> None:
        """At once, with the workers that read images."""
        for child in ids:
            if child not in self.codes:
                os.killpg(child, signal.SIGKILL)

    def tail(self) -> str:
        return self.log.read_text(errors='replace')[-3000:]


class Killer:
    """Kills cases and keeps count."""

    def __init__(self, work: Path, seed: int = 0) -> None:
        self.work = work
        self.draw = random.Random(seed)
        self.phase = Phase()
        self.hits: Counter[tuple[str, str]] = Counter()
        self.starts = self.finished = self.alone = 0
        self.slowest = 0.0

    @property
    def kills(self) -> int:
        return sum(self.hits.values())

    def undisturbed(self, case: Case) -> None:
        """What the case ends with, and how long it takes."""
        out = self.work / f'{case.name}_whole'
        life = Life(case, out, self.phase)
        codes = life.wait()
        assert codes == [0] * case.ranks, life.tail()
        case.seconds = time.monotonic() - life.start
        case.expected = case.result(out)

    def disturb(self, case: Case) -> None:
        """Start it until it is through; at most six times it is killed."""
        out = self.work / f'{case.name}_{self.finished}'
        for _ in range(self.draw.randint(1, 6)):
            if self._start_and_kill(case, out):
                break
        life = Life(case, out, self.phase)
        codes = life.wait()
        done = out.exists() and case.tool == 'build_codebook'
        assert codes == [0] * case.ranks or done, life.tail()
        self.starts += 1
        self.finished += 1
        compare(case, case.result(out), life)
        for path in (out, life.log):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def _start_and_kill(self, case: Case, out: Path) -> bool:
        """Whether it was through before it was killed."""
        life = Life(case, out, self.phase)
        self.starts += 1
        if self.draw.random() < 0.5:
            moment, wanted = self.draw.uniform(0, case.seconds), ''
        else:
            moment, wanted = LIMIT, self.draw.choice(case.phases)
        count = self.draw.randint(1, 6)
        pause = self.draw.uniform(0, 0.01)
        while not life.poll() and time.monotonic() - life.start < moment:
            if wanted and self.phase.begun(wanted) >= count:
                if self.phase.now == wanted:
                    time.sleep(pause)
                    break
                count = self.phase.begun(wanted) + 1
            time.sleep(2e-4)
        if life.poll():
            assert not any(life.codes.values()) or case.tool == 'build_codebook', (
                life.tail()
            )
            return True
        some = self.draw.random() < 0.5 if case.ranks > 1 else False
        self.hits[case.name, self.phase.now] += 1
        if not some:
            life.kill(life.ids)
            life.wait()
            return False
        self.alone += 1
        victim = self.draw.choice(life.ids)
        killed = time.monotonic()
        life.kill([victim])
        codes = dict(zip(life.ids, life.wait(60)))
        self.slowest = max(self.slowest, time.monotonic() - killed)
        del codes[victim]
        return not any(codes.values())  # it may have been through already

    def table(self) -> str:
        """Kills by case and phase."""
        names = [name for name in NAMES if any(key[1] == name for key in self.hits)]
        lines = [f'{"":24}' + ''.join(f'{name:>14}' for name in [*names, 'all'])]
        for case in dict.fromkeys(key[0] for key in self.hits):
            row = [self.hits[case, name] for name in names]
            cells = ''.join(f'{n or "":>14}' for n in [*row, sum(row)])
            lines.append(f'{case:24}{cells}')
        row = [sum(n for k, n in self.hits.items() if k[1] == name) for name in names]
        lines.append(f'{"all":24}' + ''.join(f'{n:>14}' for n in [*row, sum(row)]))
        lines.append(
            f'{self.kills} kills in {self.starts} starts; {self.finished} runs ended '
            'as the undisturbed ones, bit for bit.'
        )
        if self.alone:
            lines.append(
                f'{self.alone} times one of two ranks was killed; the other ended by '
                f'itself after {self.slowest:.1f} s at most.'
            )
        return '\n'.join(lines)


def compare(case: Case, found: dict[str, Any], life: Life) -> None:
    assert found.keys() == case.expected.keys(), (found.keys(), case.expected.keys())
    odd = [name for name in found if not same(found[name], case.expected[name])]
    assert not odd, f'{case.name}, {life.out}: {odd} differ\n{life.tail()}'


def same(one: Any, two: Any) -> bool:
    """Equal, bit for bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == two.dtype and torch.equal(one, two)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[k], two[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(map(same, one, two))
    return bool(one == two)


# -- what is killed --------------------------------------------------------------------


def trained(folder: Path) -> dict[str, Any]:
    """All that a run's last checkpoint has, the best one, and the exported students."""
    last = torch.load((folder / 'last_checkpoint').read_text(), weights_only=False)
    found = {key: last[key] for key in last if key not in ('meta', 'message_hub')}
    found['place'] = last['meta']['epoch'], last['meta']['iter']
    hub = last['message_hub']['runtime_info']
    best = [Path(hub[key]) for key in hub if key.startswith('best_ckpt')]
    for file in [*best, *sorted(folder.glob('student_*.pth'))]:
        found[file.name] = torch.load(file, weights_only=False)['state_dict']
    return found


def codebook(folder: Path) -> dict[str, Any]:
    return dict(torch.load(folder / 'book.pth', weights_only=True))


def recording(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = dict(test_recording.content(folder))
    found['config'] = (folder / 'kd_recorded.py').read_text().replace(str(folder), '')
    return found


def cases(folder: Path) -> list[Case]:
    """Write what they need; random crops, so that a wrong random number is seen."""
    torch.manual_seed(1)
    config = Config.fromfile(test_recording.write(folder))
    loader = config.train_dataloader.to_dict()
    loader['sampler'] = dict(type='DefaultSampler', shuffle=False)
    steps = loader['dataset']['pipeline']
    loader['dataset']['pipeline'] = [steps[0], steps[-1]]  # nothing at random
    config.merge_from_dict(
        dict(
            val_dataloader=loader,
            val_cfg=dict(),
            val_evaluator=dict(type='Accuracy'),
            default_hooks=dict(
                checkpoint=dict(
                    type='CheckpointHook',
                    interval=1,
                    max_keep_ckpts=1,
                    save_best='auto',
                    rule='greater',
                )
            ),
            param_scheduler=[dict(type='CosineAnnealingLR', T_max=3)],
        )
    )
    by_epoch = dict(train_cfg=dict(by_epoch=True, max_epochs=3, val_interval=1))
    by_iter = dict(
        train_cfg=dict(_delete_=True, by_epoch=False, max_iters=8, val_interval=4),
        train_dataloader=dict(
            num_workers=2,
            persistent_workers=True,
            sampler=dict(type='InfiniteSampler', shuffle=True),
        ),
        default_hooks=dict(checkpoint=dict(by_epoch=False, interval=2)),
        log_processor=dict(by_epoch=False),
    )
    workers = dict(train_dataloader=dict(num_workers=2, persistent_workers=True))
    ema = [dict(type='EMAHook', momentum=0.1)]
    made = [
        _train(folder, config, 'kd', by_epoch, custom_hooks=ema),
        _train(folder, config, 'kd_workers', by_epoch, **workers),
        _train(folder, config, 'kd_iterations', by_iter),
        _train(folder, config, 'kd_two_ranks', by_epoch, custom_hooks=ema),
    ]
    made[-1].ranks = 2
    test_ddp.make_codebook(folder)
    for method in ('sakd', 'frskd', 'letkd'):
        model = cell(method, 'cls')
        if method == 'sakd':
            model.terms.loss_branch.loss.recipe = dict(epochs=2)
        case = _train(folder, config, method, by_epoch, model=model.to_dict())
        if method == 'sakd':
            case.phases += ('prelude',)
        made.append(case)
    teacher = Config(config.to_dict())
    teacher.model = zoo.student('cls', width=8)
    teacher.dump(folder / 'teacher.py')
    book = f'{folder}/teacher.py {{out}}/book.pth --checkpoint {folder}/t.pth --device '
    book += 'cpu --penultimate backbone.layer1 --intermediate backbone.layer2 '
    book += '--templates 8 --subclasses 2 --iterations 6 --batch-size 2 --workers 0'
    made.append(
        Case(
            'codebook',
            'build_codebook',
            book.split(),
            codebook,
            phases=('features', 'clusters', 'write'),
        )
    )
    record = f'{folder}/kd.py {{out}} --views 3 --device cpu'
    made.append(
        Case(
            'recording',
            'record_teacher',
            record.split(),
            recording,
            phases=('recording', 'write', 'teacher load'),
        )
    )
    return made


def _train(
    folder: Path, config: Config, name: str, *changes: dict[str, Any], **more: Any
) -> Case:
    own = Config(config.to_dict())
    if 'model' in more:
        own.model = more.pop('model')
    for change in (*changes, more):
        own.merge_from_dict(change)
    own.dump(folder / f'train_{name}.py')
    arguments = [str(folder / f'train_{name}.py'), '--work-dir', '{out}', '--resume']
    return Case(name, 'train', arguments, trained)


MAINS = {
    name: runpy.run_path(str(TOOLS / f'{name}.py'))['main']
    for name in ('train', 'build_codebook', 'record_teacher')
}


def rank_fails(case: Case, how: str, out: Path, timeout: int = 5) -> None:
    """One of two ranks raises, or hangs; the other has to end, with a message."""
    case.arguments += ['--cfg-options', f'env_cfg.dist_cfg.timeout={timeout}']
    phase = Phase()
    life = Life(case, out, phase, failing=1 if how == 'raise' else None)
    if how == 'hang':
        while phase.begun('step') < 2 and not life.poll():
            time.sleep(1e-3)
        os.kill(life.ids[1], signal.SIGSTOP)
    start = time.monotonic()
    while life.ids[0] not in life.codes and time.monotonic() - start < LIMIT:
        life.poll()
        time.sleep(0.01)
    seconds = time.monotonic() - start
    life.kill(life.ids)
    text = life.log.read_text()
    words = 'Timed out' if how == 'hang' else 'this rank fails'
    assert life.codes.get(life.ids[0]) == 1 and words in text, life.tail()
    last = [line for line in text.splitlines() if 'Error' in line][-1]
    print(f'{how}: the other rank ended with code 1 after {seconds:.1f} s: {last}')


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--kills', type=int, default=200, help='how many: --kills 20')
    parser.add_argument('--seed', type=int, default=0, help='of the moments')
    parser.add_argument('--only', nargs='*', help='cases: --only kd codebook')
    parser.add_argument(
        '--rank', choices=('raise', 'hang'), help='instead: one of two ranks does so'
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp(prefix='mmkd_kills_'))
    (folder / 'data').mkdir()
    killer = Killer(folder, args.seed)
    # What needs torch is made in a fork as well: forks of idle processes are safe.
    chosen = [c for c in cases(folder / 'data') if not args.only or c.name in args.only]
    if args.rank:
        two = next(case for case in chosen if case.ranks == 2)
        rank_fails(two, args.rank, folder / 'fails')
        chosen.clear()
        args.kills = 0
    for case in chosen:
        killer.undisturbed(case)
        print(f'{case.name}: {case.seconds:.1f} s undisturbed', flush=True)
    while killer.kills < args.kills:
        for case in chosen:
            killer.disturb(case)
        print(f'{killer.kills} kills', flush=True)
    if chosen:
        print(killer.table())
    shutil.rmtree(folder)


if __name__ == '__main__':
    main()
