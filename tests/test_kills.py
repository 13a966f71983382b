"""Killed runs and full disks: nothing is lost, and nothing half is taken for whole."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import runs
import torch
from mmengine.fileio import get_file_backend

from mmkd.checkpoints.whole import WholeFiles, is_whole, save, whole
from mmkd.codebook.work import Work
from mmkd.hooks import CheckpointHook, SeedIterations
from mmkd.hooks.checkpoints import Waiting
from mmkd.hooks.order import Order
from mmkd.registry import HOOKS

HERE = Path(__file__).parent


@pytest.mark.slow
def test_kills():
    """The short form of tests/kills.py; in a process of its own, which forks."""
    done = subprocess.run(
        [sys.executable, str(HERE / 'kills.py'), '--kills', '12', '--only']
        + [
            'kd',
            'kd_workers',
            'kd_iterations',
            'kd_two_ranks',
            'codebook',
            'recording',
        ],
        capture_output=True,
        text=True,
        env=dict(os.environ, OMP_NUM_THREADS='1'),
    )
    assert 'ended as the undisturbed ones, bit for bit' in done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize('how', ['raise', 'hang'])
def test_a_rank_that_fails_ends_the_others(how: str):
    done = subprocess.run(
        [sys.executable, str(HERE / 'kills.py'), '--rank', how],
        capture_output=True,
        text=True,
        env=dict(os.environ, OMP_NUM_THREADS='1'),
    )
    assert f'{how}: the other rank ended' in done.stdout, done.stdout + done.stderr


# -- files -----------------------------------------------------------------------------


@pytest.mark.parametrize('written', [True, False])
def test_a_write_that_fails_leaves_the_old_file(written: bool, tmp_path: Path):
    file = tmp_path / 'a.pth'
    save({'a': torch.ones(3)}, file)
    with pytest.raises(RuntimeError, match='stop'), whole(file) as part:
        if written:
            part.write_bytes(b'half')
        raise RuntimeError('stop')
    assert is_whole(file) and [f.name for f in tmp_path.iterdir()] == ['a.pth']


@pytest.mark.parametrize(
    ('before', 'words'),
    [(True, '. What was there before is as it was.'), (False, '.')],
)
def test_what_is_said_of_a_full_disk(before: bool, words: str, tmp_path: Path):
    file = tmp_path / 'a.pth'
    if before:
        file.touch()
    with pytest.raises(OSError) as error, whole(file):
        raise OSError(28, 'No space left on device')
    said = f"'{file}' could not be written: No space left on device{words}"
    assert (error.value.errno, error.value.strerror) == (28, said)


@pytest.mark.parametrize(('rank', 'name'), [(0, 'a.pth.part'), (1, 'a.pth.1.part')])
def test_it_is_on_the_disk_before_it_has_the_name(
    rank: int, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Ranks that write the same file do so under names of their own."""
    file, seen = tmp_path / 'a.pth', []
    monkeypatch.setattr('mmkd.checkpoints.whole.get_rank', lambda: rank)
    monkeypatch.setattr(os, 'fsync', lambda _: seen.append(os.listdir(tmp_path)))
    save({'a': torch.ones(3)}, file)
    assert seen == [[name]] and os.listdir(tmp_path) == ['a.pth']


def test_is_whole(tmp_path: Path):
    """Any missing end, and any changed byte of the content, is seen."""
    file = tmp_path / 'a.pth'
    assert is_whole(file) is False
    torch.save({'a': torch.arange(1000)}, file)
    content = file.read_bytes()
    assert is_whole(file)
    for end in (0, 1, 100, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:end])
        assert not is_whole(file), end
    place = content.index(torch.arange(400, 420).numpy().tobytes())
    file.write_bytes(content[:place] + b'\x07' + content[place + 1 :])
    assert not is_whole(file)


def test_mmengine_writes_whole_files(tmp_path: Path):
    backend = get_file_backend(str(tmp_path / 'a.pth'))
    assert isinstance(backend, WholeFiles)
    backend.put(b'x', tmp_path / 'new' / 'a.bin')
    backend.put_text('é', tmp_path / 'other' / 'a.txt', encoding='latin-1')
    assert backend.get(tmp_path / 'new' / 'a.bin') == b'x'
    assert backend.get(tmp_path / 'other' / 'a.txt') == b'\xe9'


def test_what_waits_is_deleted_in_the_end(tmp_path: Path):
    """Files and folders; what somebody else has deleted is no matter."""
    file, folder = tmp_path / 'a.pth', tmp_path / 'b'
    file.touch()
    folder.mkdir()
    waiting = Waiting(get_file_backend(str(tmp_path)))
    waiting.remove(str(file))
    waiting.rmtree(str(folder))
    waiting.remove(str(tmp_path / 'gone'))
    assert waiting.isfile(file) and folder.is_dir()
    waiting.delete()
    assert os.listdir(tmp_path) == []


# -- checkpoints -----------------------------------------------------------------------


class Full:
    """A disk on which the n-th checkpoint has no room: half of it is written."""

    def __init__(self, good: int) -> None:
        self.left = good

    def __call__(self, file: Path, data: Any) -> int:
        self.left -= 1
        if self.left < 0:
            with file.open('wb') as opened:
                opened.write(bytes(data)[: len(data) // 2])
            raise OSError(28, 'No space left on device')
        with file.open('wb') as opened:
            return opened.write(data)


BEST = dict(
    checkpoint=dict(
        type='CheckpointHook', interval=1, max_keep_ckpts=1, save_best='auto'
    )
)


def run(folder: Path, epochs: int, **settings: Any) -> Any:
    hooks = [dict(type='mmkd.SeedIterations'), dict(type='mmkd.ExportStudent')]
    made = runs.runner(
        'cls',
        folder,
        epochs=epochs,
        default_hooks=BEST,
        custom_hooks=hooks,
        **{**runs.validation('cls'), **settings},
    )
    made.train()
    return made


def whole_files(folder: Path) -> list[str]:
    """All that have the name of a checkpoint; each of them is whole."""
    files = sorted(folder.glob('*.pth'))
    assert all(map(is_whole, files))
    return [file.name for file in files]


@pytest.fixture(scope='module')
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    torch.set_num_threads(1)
    weights: dict[str, torch.Tensor]
    weights = run(tmp_path_factory.mktemp('undisturbed'), 2).model.state_dict()
    return weights


@pytest.mark.parametrize('good', range(1, 8))
def test_full_disk(
    good: int, expected: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Each write fails once: what was there stays, and the run goes on from it."""
    folder = tmp_path / 'run'
    with monkeypatch.context() as patch:
        full = Full(good)
        patch.setattr(Path, 'write_bytes', lambda file, data: full(file, data))
        try:
            run(folder, 2)
        except OSError as error:
            assert 'could not be written: No space left on device' in str(error)
    assert any(name.startswith('epoch_') for name in whole_files(folder))
    assert not list(folder.glob('*.part'))
    got = run(folder, 2, resume=True).model.state_dict()
    assert all(torch.equal(expected[key], got[key]) for key in expected)
    assert 'epoch_2.pth' in whole_files(folder)


def test_older_ones_go(tmp_path: Path):
    """Of two runs ``max_keep_ckpts`` and one best one are there."""
    run(tmp_path, 2)
    run(tmp_path, 3, resume=True)
    names = [name for name in whole_files(tmp_path) if 'student' not in name]
    assert len(names) == 2 and names[0].startswith('best_')
    assert names[1] == 'epoch_3.pth'


def test_a_disk_that_is_really_full(small_disk: Path, tmp_path: Path):
    with pytest.raises(OSError, match='No space left on device'):
        run(small_disk / 'run', 60, log_level='ERROR')
    folder = small_disk / 'run'
    assert any(name.startswith('epoch_') for name in whole_files(folder))


def broken(folder: Path, name: str) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:-1000])


def note(folder: Path, name: str) -> None:
    (folder / 'last_checkpoint').write_text(name and str(folder / name))


@pytest.mark.parametrize(
    ('harm', 'expected'),
    [
        (lambda folder: None, 'epoch_3.pth'),
        (lambda folder: broken(folder, 'epoch_3.pth'), 'epoch_2.pth'),
        (lambda folder: note(folder, ''), 'epoch_3.pth'),  # killed while writing it
        (lambda folder: (folder / 'last_checkpoint').unlink(), 'epoch_3.pth'),
        (lambda folder: note(folder, 'epoch_9.pth'), 'epoch_3.pth'),
        (lambda folder: note(folder, 'epoch_1.pth'), 'epoch_1.pth'),  # as it says
    ],
    ids=['whole', 'broken', 'empty', 'gone', 'deleted', 'older'],
)
def test_resume_takes_the_last_whole_one(harm: Any, expected: str, tmp_path: Path):
    hook = CheckpointHook(interval=1)
    for i in (1, 2, 3):
        save({'a': torch.ones(1000)}, tmp_path / f'epoch_{i}.pth')
        os.utime(tmp_path / f'epoch_{i}.pth', (i, i))
    save({'a': torch.ones(1000)}, tmp_path / 'best_x_epoch_4.pth')
    note(tmp_path, 'epoch_3.pth')
    harm(tmp_path)
    said: list[str] = []
    runner: Any = SimpleNamespace(
        work_dir=str(tmp_path),
        logger=SimpleNamespace(warning=said.append),
        _resume=True,
        _load_from=None,
        _has_loaded=False,
    )
    hook.before_run(runner)
    assert Path(runner._load_from).name == expected
    if expected == 'epoch_2.pth':
        assert 'epoch_3.pth' in said[0] and 'passed over' in said[0]
    for file in tmp_path.glob('epoch_*'):
        broken(tmp_path, file.name)
    runner._load_from = None
    with pytest.raises(RuntimeError, match='None of the checkpoints'):
        hook.before_run(runner)


def test_it_is_the_hook_of_every_config(tmp_path: Path):
    hooks = runs.runner('cls', tmp_path, epochs=1).hooks
    assert any(type(hook) is CheckpointHook for hook in hooks)
    assert type(HOOKS.build(dict(type='mmkd.CheckpointHook'))) is CheckpointHook


def test_checkpoints_elsewhere(tmp_path: Path):
    """Of ``out_dir`` each run has a folder; it goes on from there without the note."""
    own = copy.deepcopy(BEST)
    own['checkpoint']['out_dir'] = str(tmp_path / 'big disk')
    for epochs in (1, 2):
        settings = dict(default_hooks=own, **runs.validation('cls'))
        made = runs.runner(
            'cls', tmp_path / 'run', epochs=epochs, resume=epochs > 1, **settings
        )
        made.train()
        assert made._has_loaded == (epochs > 1)
        (tmp_path / 'run' / 'last_checkpoint').unlink()
    assert 'epoch_2.pth' in whole_files(tmp_path / 'big disk' / 'run')


def test_a_missed_validation_is_made_up_for(tmp_path: Path):
    """Stopped between the last save and its validation, it has its best one after."""

    class Stop(Exception):
        pass

    def stop(*_: Any) -> None:
        raise Stop

    first = runs.runner(
        'cls', tmp_path, epochs=1, default_hooks=BEST, **runs.validation('cls')
    )
    first.val_loop.run = stop
    with pytest.raises(Stop):
        first.train()
    assert not list(tmp_path.glob('best_*'))
    run(tmp_path, 1, resume=True)
    assert list(tmp_path.glob('best_*'))


@pytest.mark.parametrize(
    ('step', 'begin', 'interval', 'validates'),
    [
        (0, 1, 1, False),  # nothing is trained yet
        (2, 1, 1, True),
        (1, 2, 1, False),
        (2, 2, 1, True),
        (3, 1, 2, False),
        (4, 1, 2, True),
        (5, 1, 2, True),  # the last
        (4, 9, 2, False),
    ],
)
@pytest.mark.parametrize('by', ['epoch', 'iter'])
def test_which_validations_are_made_up_for(  # noqa: PLR0913
    by: str, step: int, begin: int, interval: int, validates: bool, tmp_path: Path
):
    times: Any = dict(val_begin=begin, val_interval=interval)
    times.update({'by_epoch': by == 'epoch', f'max_{by}s': 5})
    made = runs.runner('cls', tmp_path, train_cfg=times, **runs.validation('cls'))
    made._train_loop = loop = made.build_train_loop(made._train_loop)
    made._val_loop = made.build_val_loop(made._val_loop)
    setattr(loop, f'_{by}', step)
    asked: list[int] = []
    made.val_loop.run = lambda: asked.append(1)
    hook = next(hook for hook in made.hooks if isinstance(hook, CheckpointHook))
    hook.before_train(made)
    assert asked == []  # it is not resumed
    made._resume = True
    hook.before_train(made)
    assert len(asked) == validates


def test_within_an_epoch_there_is_a_warning(tmp_path: Path):
    by_iter = dict(checkpoint=dict(type='CheckpointHook', interval=3, by_epoch=False))
    said: list[str] = []
    first = runs.runner('cls', tmp_path, epochs=2, default_hooks=by_iter)
    first.logger.warning = lambda text, *_: said.append(text)
    first.train()  # epochs of 4 iterations: saved at 3, 6 and 8
    assert not any('made twice' in text for text in said)
    again = runs.runner('cls', tmp_path, epochs=2, default_hooks=by_iter, resume=True)
    again._load_from = str(tmp_path / 'iter_6.pth')
    again.logger.warning = lambda text, *_: said.append(text)
    again.train()
    assert any('2 iterations are made twice' in text for text in said)


# -- random numbers --------------------------------------------------------------------


class Noise(runs.Images):
    """Images with a pipeline that draws numbers."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = copy.deepcopy(super().__getitem__(index))
        item['inputs'] = torch.randint(0, 256, item['inputs'].shape)
        return item


@pytest.mark.parametrize('by', ['epoch', 'iter'])
@pytest.mark.parametrize('workers', [0, 2])
def test_augmentation_goes_on_as_it_was(by: str, workers: int, tmp_path: Path):
    """The images of a resumed run, and of one with other workers, are the same."""
    seen: list[list[float]] = []

    def train(name: str, workers: int, **settings: Any) -> None:
        loader = dict(
            batch_size=2,
            num_workers=workers,
            persistent_workers=workers > 0,
            dataset=Noise('cls'),
            collate_fn=dict(type='pseudo_collate'),
            sampler=dict(
                type='DefaultSampler' if by == 'epoch' else 'InfiniteSampler',
                shuffle=True,
            ),
        )
        amount = dict(epochs=3) if by == 'epoch' else dict(iters=12)
        made = runs.runner(
            'cls',
            tmp_path / name,
            train_dataloader=loader,
            custom_hooks=[dict(type='mmkd.SeedIterations')],
            **amount,
            **settings,
        )
        step, own = made.model.train_step, []
        seen.append(own)

        def noted(data: Any, optim_wrapper: Any) -> Any:
            own.append(float(sum(image.double().sum() for image in data['inputs'])))
            return step(data, optim_wrapper)

        made.model.train_step = noted
        made.train()

    train('whole', workers)
    assert len(set(seen[0])) == 12  # no image looks the same in another epoch
    for file in (tmp_path / 'whole').glob('*_[2-9]*.pth'):
        file.unlink()
    note(tmp_path / 'whole', f'{by}_1.pth')
    train('whole', 2 - workers, resume=True)
    done = 4 if by == 'epoch' else 1
    assert seen[1] == seen[0][done:]


def test_a_data_set_with_seeded_items_is_itself(tmp_path: Path):
    """For others it reads as before; the sampler too."""
    made = runs.runner('cls', tmp_path, epochs=1, custom_hooks=[])
    made._train_loop = made.build_train_loop(made._train_loop)
    dataset, sampler = made.train_dataloader.dataset, made.train_dataloader.sampler
    SeedIterations().before_run(made)
    assert made.train_dataloader.dataset is dataset and type(dataset) is runs.Images
    order = made.train_dataloader.batch_sampler.sampler
    assert isinstance(order, Order) and order.shuffle == sampler.shuffle
    assert list(order) == list(sampler) and len(order) == len(sampler)
    assert dataset.__getitems__([3])[0] is dataset[3]


def test_codebook_state_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    work = Work(tmp_path / 'w', {'a': 1})
    work.save('lda', [torch.ones(3)])
    full = Full(0)
    monkeypatch.setattr(Path, 'write_bytes', lambda file, data: full(file, data))
    with pytest.raises(OSError, match='No space left'):
        work.save('lda', [torch.zeros(3)])
    assert torch.equal(work.load('lda')[0], torch.ones(3))
