"""Recorded teachers: the same losses as with the teacher, and no others' recordings."""

from __future__ import annotations

import copy
import json
import os
import random
import runpy
import shutil
import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import runs
import torch
import zoo
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from mmengine.runner import Runner, save_checkpoint

from mmkd.build import build_model, read_config
from mmkd.datasets.views import CHECKED
from mmkd.losses import KD
from mmkd.mixin import OUR_HOOKS
from mmkd.recording.folder import make_files
from mmkd.recording.levels import TopK, Whole
from mmkd.recording.plan import check_level, temperatures
from mmkd.recording.reader import Recording
from mmkd.recording.recorder import Recital
from mmkd.registry import MODELS
from mmkd.terms import build_terms

ROOT = Path(__file__).resolve().parents[1]
IMAGES, VIEWS, BATCH = 12, 2, 4
TERMS = dict(
    loss_kd=dict(student='head.fc', loss=dict(type='mmkd.KD')),
    loss_pool=dict(
        student='neck',
        connector=dict(type='mmkd.Align'),
        loss=dict(type='mmkd.MSE'),
    ),
)
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]


def write(folder: Path) -> Path:
    """Images, a teacher and the config of a distillation."""
    made = np.random.default_rng(0)
    for i in range(IMAGES):
        file = folder / 'data' / 'train' / str(i % 2) / f'{i}.png'
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), made.integers(0, 256, (32, 32, 3), 'uint8'))
    torch.manual_seed(1)
    teacher = build_model(zoo.student('cls', width=8), 'teacher')
    save_checkpoint(dict(state_dict=teacher.state_dict()), str(folder / 't.pth'))
    config = Config(
        dict(
            default_scope='mmpretrain',
            model=dict(
                type='mmkd.Distiller',
                student=zoo.student('cls'),
                teacher=zoo.student('cls', width=8),
                teacher_ckpt=str(folder / 't.pth'),
                terms=TERMS,
            ),
            train_dataloader=dict(
                batch_size=BATCH,
                num_workers=0,
                persistent_workers=False,
                sampler=dict(type='DefaultSampler', shuffle=True),
                collate_fn=dict(type='default_collate'),
                dataset=dict(
                    type='CustomDataset',
                    data_root=str(folder / 'data'),
                    data_prefix='train',
                    pipeline=PIPELINE,
                ),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=3),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.02, momentum=0.9)),
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=1),
                checkpoint=dict(type='CheckpointHook', interval=1),
            ),
            log_processor=dict(window_size=1),
            log_level='WARNING',
            randomness=dict(seed=0),
        )
    )
    config.dump(folder / 'kd.py')
    return folder / 'kd.py'


def tool(*arguments: object) -> None:
    """tools/record_teacher.py, in this process."""
    run = runpy.run_path(str(ROOT / 'tools' / 'record_teacher.py'))['main']
    run([*map(str, arguments), '--device', 'cpu'])


@pytest.fixture(scope='module')
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recording of two views, ``rec``."""
    folder = tmp_path_factory.mktemp('recording')
    torch.set_num_threads(1)
    tool(write(folder), folder / 'rec', '--views', VIEWS)
    return folder


def recorded(made: Path) -> Config:
    return read_config(made / 'rec' / 'kd_recorded.py')


def train(config: Config, folder: Path, **settings: Any) -> Runner:
    config.merge_from_dict(settings)
    config.work_dir = str(folder)
    config.experiment_name = f'{folder.name}_{id(config)}'
    runner = Runner.from_cfg(config)
    runner.train()
    return runner


@pytest.fixture(scope='module')
def online(made: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, dict]:
    """What a run on the same views with the teacher itself logs, and ends with."""
    config = recorded(made)
    del config.model['teacher_options']
    folder = tmp_path_factory.mktemp('online')
    state = train(config, folder).model.state_dict()
    return runs.logged(folder), state


# -- views -----------------------------------------------------------------------------


def views(made: Path, epochs: range = range(4), **settings: Any) -> list[list]:
    """(index, view, checksum) of all that epochs show."""
    init_default_scope('mmpretrain')
    loader = dict(recorded(made).train_dataloader, **settings)
    batches = Runner.build_dataloader(loader, seed=0)
    found = []
    for epoch in epochs:
        batches.sampler.set_epoch(epoch)
        seen = [s.metainfo['view'] for b in batches for s in b['data_samples']]
        found.append(seen)
    return found


def test_views_come_again(made: Path):
    """Other views in the next epoch, the first ones again after two; other orders."""
    seen = views(made)
    assert [{view for _, view, _ in epoch} for epoch in seen] == [{0}, {1}, {0}, {1}]
    zero, one, two, _ = map(sorted, seen)
    assert zero == two and len(set(zero)) == IMAGES
    assert sum(check > 0 for *_, check in zero) == -(-IMAGES // CHECKED)
    assert {check for *_, check in zero}.isdisjoint({c for *_, c in one if c})
    assert seen[0] != seen[2]


@pytest.mark.parametrize('persistent', [False, True])
def test_views_in_workers(made: Path, persistent: bool):
    expected = views(made)
    more = dict(num_workers=2, persistent_workers=persistent)
    assert views(made, **more) == expected
    assert views(made, range(3, 4), **more) == expected[3:]  # as after a resume


def test_views_leave_random_numbers_alone(made: Path):
    init_default_scope('mmpretrain')
    dataset = DATASETS.build(recorded(made).train_dataloader.dataset)

    def draw() -> list[float]:
        return [random.random(), np.random.rand(), torch.rand(1).item()]

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    expected = draw()
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])
    first = dataset[IMAGES + 3]['inputs']
    assert draw() == expected
    assert torch.equal(dataset[IMAGES + 3]['inputs'], first)
    assert not torch.equal(dataset[3]['inputs'], first)
    with pytest.raises(IndexError):
        dataset[IMAGES * VIEWS]


@pytest.mark.parametrize('world', [1, 2])
def test_views_of_an_endless_sampler(
    made: Path, world: int, monkeypatch: pytest.MonkeyPatch
):
    """Each time round shows the next view, also where the ranks go round together."""
    from mmengine.dataset import sampler as upstream

    from mmkd.datasets import view_sampler as ours

    init_default_scope('mmpretrain')
    loader = recorded(made).train_dataloader
    loader.sampler.sampler = dict(type='InfiniteSampler', shuffle=True)
    items: list[int] = []
    ranks = []
    for rank in range(world):
        for module in upstream, ours:
            monkeypatch.setattr(module, 'get_dist_info', lambda r=rank: (r, world))
        sampler = Runner.build_dataloader(copy.deepcopy(loader), seed=0).sampler
        ranks.append([item for item, _ in zip(sampler, range(36 // world))])
    items = [item for step in zip(*ranks) for item in step]
    for lap in range(3):
        shown = items[lap * IMAGES : (lap + 1) * IMAGES]
        assert sorted(shown) == [lap % 2 * IMAGES + i for i in range(IMAGES)]


# -- training --------------------------------------------------------------------------


@pytest.mark.parametrize(
    'settings',
    [
        {},
        {'train_dataloader.num_workers': 2},
        {
            'train_dataloader.num_workers': 2,
            'train_dataloader.persistent_workers': True,
        },
    ],
    ids=['0', '2', 'persistent'],
)
def test_losses_are_those_of_the_teacher(
    settings: dict, made: Path, online: tuple, tmp_path: Path
):
    """Bit for bit, and so are the student's weights in the end."""
    runner = train(recorded(made), tmp_path, **settings)
    assert not runner.model.frozen
    log, state = online
    assert runs.logged(tmp_path) == log and len(log) == 9
    assert all(entry['raw_kd'] > 0 and entry['raw_pool'] > 0 for entry in log.values())
    ours = runner.model.state_dict()
    assert ours.keys() == state.keys()
    assert all(torch.equal(ours[key], state[key]) for key in ours)


def test_resume(made: Path, online: tuple, tmp_path: Path):
    stopped = recorded(made)
    stopped.train_cfg.max_epochs = 2
    train(stopped, tmp_path)
    train(recorded(made), tmp_path, resume=True)
    assert runs.logged(tmp_path) == online[0]


def test_copies_share_the_files(made: Path):
    """An EMA copy must not read the recording into memory."""
    distiller = MODELS.build(recorded(made).model)
    recording = distiller.recordings['teacher']
    assert copy.deepcopy(distiller).recordings['teacher'] is recording
    with pytest.raises(RuntimeError, match='a recording, and no model'):
        _ = distiller.teacher


def rank_run(rank: int, folder: Path) -> None:
    """One rank: with the teacher, and from the recording."""
    wrapper = dict(type='MMDistributedDataParallel', device_ids=None)
    for name in ('online', 'recorded'):
        config = recorded(folder)
        config.update(launcher='pytorch', model_wrapper_cfg=wrapper)
        config.train_dataloader.batch_size = BATCH // 2
        if name == 'online':
            del config.model['teacher_options']
        model = train(config, folder / name).model.module
        torch.save(model.state_dict(), folder / f'{name}_{rank}.pth')


@pytest.mark.slow
def test_two_ranks(tmp_path: Path):
    tool(write(tmp_path), tmp_path / 'rec', '--views', 2, '--batch-size', BATCH // 2)
    runs.on_two_ranks(rank_run, tmp_path)
    assert runs.logged(tmp_path / 'online') == runs.logged(tmp_path / 'recorded')
    for rank in range(2):
        one, two = (
            torch.load(tmp_path / f'{name}_{rank}.pth', weights_only=True)
            for name in ('online', 'recorded')
        )
        assert all(torch.equal(one[key], two[key]) for key in one)


# -- making it -------------------------------------------------------------------------


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.glob('*.npy')}


def test_a_killed_recording_goes_on(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    """Killed in the middle of a block; nothing is recorded twice."""
    folder = tmp_path / 'rec'
    command = made / 'kd.py', folder, '--views', VIEWS
    child = os.fork()
    if not child:
        original, calls = Recital._ask, []

        def ask(self: Recital, batch: Any) -> Any:
            calls.append(1)
            if len(calls) == 4:  # the first is the trial
                os.kill(os.getpid(), signal.SIGKILL)
            return original(self, batch)

        Recital._ask = ask
        tool(*command)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert np.load(folder / 'done.npy').tolist() == [True] * 2 + [False] * 4
    with pytest.raises(
        ValueError, match=r'2 of 6 blocks. The same command .*--views 2'
    ):
        Recording(folder)
    with pytest.MonkeyPatch.context() as patch:
        asked = []
        original = Recital._ask
        patch.setattr(Recital, '_ask', lambda *args: asked.append(1) or original(*args))
        tool(*command)
    assert len(asked) == 1 + 4
    assert content(folder) == content(made / 'rec')
    # The same folder for something else.
    with pytest.raises(SystemExit):
        tool(made / 'kd.py', folder, '--views', 3)
    assert 'views: 2, now 3' in capsys.readouterr().err


def test_a_full_disk(made: Path, small_disk: Path, capsys: pytest.CaptureFixture):
    """Room is taken before the teacher runs; when there is some it goes on."""
    folder, filler = small_disk / 'rec', small_disk / 'filler'
    command = made / 'kd.py', folder, '--views', VIEWS
    free = shutil.disk_usage(small_disk).free
    filler.write_bytes(bytes(free - 4 * 4096))  # enough for the first of its files
    with pytest.raises(SystemExit):
        tool(*command)
    assert f"'{folder}': there is no room for" in capsys.readouterr().err
    assert not content(folder)
    filler.unlink()
    tool(*command)
    assert content(folder) == content(made / 'rec')


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (['--max-gb', '1e-9'], 'more than --max-gb 1e-09'),
        (['--top-k', '64'], 'no term compares softmax probabilities of more'),
        (['--which', 'other'], r"--which other: the config has \['teacher'\]"),
        (
            [
                '--cfg-options',
                'model.student.data_preprocessor.batch_augments.augments.type=Mixup',
                'model.student.data_preprocessor.batch_augments.augments.alpha=0.8',
            ],
            'mixes the images of a batch',
        ),
    ],
)
def test_what_is_not_recorded(
    options: list[str],
    words: str,
    made: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
):
    import re

    with pytest.raises(SystemExit):
        tool(made / 'kd.py', tmp_path / 'rec', *options)
    assert re.search(words, capsys.readouterr().err)
    assert not (tmp_path / 'rec').exists()


class Own(torch.utils.data.Dataset):
    """Draws from a generator that nobody seeds."""

    generator = np.random.default_rng(0)

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict:
        item = {key: value[0] for key, value in zoo.batch('cls', count=1).items()}
        item['inputs'] = item['inputs'] + int(self.generator.integers(100))
        return item


def recital(distiller: Any, dataset: Any) -> Recital:
    from mmkd.datasets import ReplayedViews

    return Recital(
        distiller, 'teacher', ReplayedViews(dataset, 1), Path('x'), 'make', 'x.py'
    )


def test_a_pipeline_that_cannot_be_replayed():
    with pytest.raises(ValueError, match='a generator of its own'):
        recital(zoo.distiller('cls'), Own())


def test_dense_teachers_are_refused():
    with pytest.raises(ValueError, match='Teachers of mmdet are not recorded'):
        recital(zoo.distiller('retinanet'), runs.Images('retinanet'))


# -- stale -----------------------------------------------------------------------------


def other_teacher(folder: Path, config: Config) -> None:
    content = torch.load(folder / 't.pth', weights_only=True)
    content['state_dict']['head.fc.bias'][0] += 1e-3
    torch.save(content, folder / 't2.pth')
    config.model.teacher_ckpt = str(folder / 't2.pth')


def other_colours(folder: Path, config: Config) -> None:
    config.model.teacher.data_preprocessor.mean = [100.0] * 3


def other_pipeline(folder: Path, config: Config) -> None:
    config.train_dataloader.dataset.dataset.pipeline[1].padding = 3


def other_list(folder: Path, config: Config) -> None:
    data = folder / 'data2' / 'train'
    shutil.copytree(folder / 'data' / 'train', data, dirs_exist_ok=True)
    if (data / '0' / '0.png').exists():
        (data / '0' / '0.png').rename(data / '0' / 'new.png')
    config.train_dataloader.dataset.dataset.data_root = str(folder / 'data2')


def other_seed(folder: Path, config: Config) -> None:
    config.train_dataloader.dataset.seed = 1


def other_images(folder: Path, config: Config) -> None:
    """Files with the same names: only the views themselves can tell."""
    data = folder / 'data3' / 'train'
    shutil.copytree(folder / 'data' / 'train', data, dirs_exist_ok=True)
    for file in data.glob('*/*.png'):
        cv2.imwrite(str(file), np.full((32, 32, 3), 7, 'uint8'))
    config.train_dataloader.dataset.dataset.data_root = str(folder / 'data3')


def no_views(folder: Path, config: Config) -> None:
    no_sampler(folder, config)
    config.train_dataloader.dataset = config.train_dataloader.dataset.dataset


def no_sampler(folder: Path, config: Config) -> None:
    config.train_dataloader.sampler = config.train_dataloader.sampler.sampler


def other_path(folder: Path, config: Config) -> None:
    config.model.terms.loss_x = dict(
        student='backbone[-1]',
        connector=dict(type='mmkd.Align'),
        loss=dict(type='mmkd.MSE'),
    )


def nowhere(folder: Path, config: Config) -> None:
    config.model.teacher_options.recording = 'nowhere'


def inherits(folder: Path, config: Config) -> None:
    config.model.teacher = config.model.student
    config.model.teacher_ckpt = 'random'
    config.model.inherit = 'head'


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (
            other_teacher,
            r'(?s)teacher weights: \w{8}, now \w{8}.*another folder: .*rec',
        ),
        (other_colours, 'normalisation: .*100.0'),
        (other_pipeline, r'pipeline: - .*"padding": 4.*\+ .*"padding": 3'),
        (other_list, r'data: 12 images of 2 classes \(fingerprint \w+\), now 12'),
        (other_seed, 'view seed: 0, now 1'),
        (other_images, 'is not the image that the teacher saw'),
        (no_views, r"mmkd.ReplayedViews', views=2, seed=0"),
        (no_sampler, 'a DefaultSampler only shows the first'),
        (other_path, r"no 'backbone\[-1\]', only \['head.fc', 'neck'\]"),
        (nowhere, "no recording 'nowhere'. Make it"),
        (inherits, 'not with fold_bn or a recording'),
    ],
)
def test_a_stale_recording_is_refused(
    change: Any, words: str, made: Path, tmp_path: Path
):
    config = recorded(made)
    change(made, config)
    config.custom_hooks = [dict(type=hook) for hook in OUR_HOOKS]
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        train(config, tmp_path)


@pytest.mark.parametrize(
    'name', ['0.npy', '0.sums.npy', 'checks.npy', 'done.npy', 'meta.json']
)
@pytest.mark.parametrize('harm', ['gone', 'empty', 'half', 'other'])
def test_a_damaged_recording_is_named(harm: str, name: str, made: Path, tmp_path: Path):
    """As a copy that was stopped leaves it, or a file of another recording."""
    shutil.copytree(made / 'rec', tmp_path / 'rec')
    file = tmp_path / 'rec' / name
    content = file.read_bytes()
    if harm == 'gone':
        file.unlink()
    elif harm != 'other':
        file.write_bytes(content[: len(content) // 2 if harm == 'half' else 0])
    elif name == 'meta.json':
        file.write_text('{"images": 3}')
    else:
        np.save(file, np.zeros(5))
    words = f"{name}' of a recording is missing or damaged"
    if (harm, name) == ('gone', 'meta.json'):
        words = 'There is no recording'
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        Recording(tmp_path / 'rec')


@pytest.mark.parametrize('dtype', ['float16', 'float32'])
@pytest.mark.parametrize(
    'kind, form', [(Whole, dict(shape=[2, 3])), (TopK, dict(shape=[7], k=4, tau=2.0))]
)
def test_every_changed_bit_of_a_row_is_noticed(
    kind: Any, form: dict[str, Any], dtype: str, tmp_path: Path
):
    level = kind(tmp_path / '0', 3, dict(form, dtype=dtype), 'w+')
    level.write(slice(0, 3), torch.randn(3, *form['shape']))
    rows = np.array([2, 0])
    flips = 0
    for array in (*level.arrays, level.sums):
        bits = array.view(f'u{array.itemsize}').reshape(3, -1)[2]
        for place in np.ndindex(len(bits), 8 * array.itemsize):
            flip = bits.dtype.type(1 << place[1])
            bits[place[0]] ^= flip
            with pytest.raises(ValueError, match='0.npy.*row 2 is not what was wri'):
                level.read(rows)
            bits[place[0]] ^= flip
            flips += 1
    assert flips >= 8 * (2 * 6 + 4) and level.read(rows).isfinite().all()


def test_moved_data_and_student_settings_do_not_matter(made: Path, tmp_path: Path):
    config = recorded(made)
    shutil.copytree(made / 'data', tmp_path / 'elsewhere')
    config.train_dataloader.dataset.dataset.data_root = str(tmp_path / 'elsewhere')
    config.model.terms.loss_kd.weight = 3.0
    train(config, tmp_path / 'run', **{'train_cfg.max_epochs': 1})


# -- compact forms ---------------------------------------------------------------------


@pytest.mark.parametrize('tau', [1.0, 4.0])
@pytest.mark.parametrize('k', [5, 20])
def test_error_of_top_k(k: int, tau: float, tmp_path: Path):
    """Within the bound of the module's docstring; and the bound is no empty one."""
    teacher, student = torch.randn(2, 8, 100) * 4
    form = dict(shape=[100], k=k, tau=tau, dtype='float32')
    level = TopK(tmp_path / '0', 8, form, 'w+')
    level.write(slice(0, 8), teacher)
    back = level.read(np.arange(8))
    kept = teacher.topk(k).indices
    assert torch.equal(back.gather(1, kept), teacher.gather(1, kept))
    p, q = (teacher / tau).softmax(1), (back / tau).softmax(1)
    assert torch.allclose(q.gather(1, kept), p.gather(1, kept), rtol=1e-4)
    others = torch.ones_like(p).scatter(1, kept, 0).bool()
    m = (p * others).sum(1)
    log_s = (student / tau).log_softmax(1)[others].view(8, -1)
    spread = log_s.max(1).values - log_s.min(1).values
    bound = tau**2 * m * (np.log(100 - k) + spread)
    for i in range(8):
        loss, approximate = (
            float(KD(tau=tau)(student[i : i + 1], x[i : i + 1]))
            for x in (teacher, back)
        )
        assert 0 < abs(loss - approximate) < bound[i]


KD4, KD1 = dict(type='mmkd.KD', tau=4), dict(type='mmkd.KD', tau=1)


@pytest.mark.parametrize(
    ('terms', 'tau'),
    [
        ([dict(loss=KD4)], 4),
        ([dict(loss=KD4), dict(loss=KD4)], 4),
        ([dict(loss=KD4), dict(loss=KD1)], 0),
        ([dict(loss=KD4), dict(loss=dict(type='mmkd.MSE'))], 0),
        ([dict(loss=dict(type='mmkd.BinaryKD', tau=4))], 0),
        ([dict(loss=KD4, teacher_connector=dict(type='mmkd.Uniformize'))], 0),
        ([dict(loss=KD4, connector=dict(type='mmkd.Uniformize'))], 4),
        ([dict(loss=KD4, student=['head.fc', 'neck'], teacher=['x', 'head.fc'])], 4),
    ],
)
def test_the_largest_are_kept_where_a_softmax_is_all(terms: list[dict], tau: float):
    """And where all that read a path want it at one temperature."""
    config = {f'loss_{i}': dict(student='head.fc') | t for i, t in enumerate(terms)}
    found = temperatures(build_terms(config, dict(teacher={})).values())
    assert found['head.fc'] == tau and found.get('x', tau) == tau


def test_half_precision_and_top_k_through_the_tool(made: Path, tmp_path: Path):
    tool(
        made / 'kd.py', tmp_path / 'rec', '--views', VIEWS,
        '--dtype', 'float16', '--top-k', 3,
        '--cfg-options', 'model.teacher_options.every=2',
    )  # fmt: skip
    options = read_config(tmp_path / 'rec' / 'kd_recorded.py').model.teacher_options
    assert options == dict(every=2, recording=str(tmp_path / 'rec'))
    full, small = Recording(made / 'rec'), Recording(tmp_path / 'rec')
    rows = np.arange(IMAGES * VIEWS)
    exact, half = (r.levels['neck'][0].read(rows) for r in (full, small))
    assert torch.equal(half, exact.half().float()) and not torch.equal(half, exact)
    exact, top = (r.levels['head.fc'][0].read(rows) for r in (full, small))
    places = exact.topk(3).indices
    assert torch.equal(top.gather(1, places), exact.gather(1, places).half().float())
    form = json.loads((tmp_path / 'rec/meta.json').read_text())['levels']['head.fc']
    assert form == [dict(shape=[zoo.CLASSES], dtype='float16', k=3, tau=4.0)]


@pytest.mark.parametrize('form', [{}, dict(k=3, tau=4.0)])
@pytest.mark.parametrize('dtype', ['float16', 'float32'])
def test_the_size_is_told_before(form: dict[str, Any], dtype: str, tmp_path: Path):
    """That of the files, but for their headers and the list of what is done."""
    one = recital(zoo.distiller('cls'), runs.Images('cls'))
    one.folder = tmp_path / 'rec'
    one.meta['levels'] = {
        'map': [dict(shape=[2, 3], dtype=dtype), dict(shape=[5], dtype=dtype)],
        'head': [dict(shape=[zoo.CLASSES], dtype=dtype, **form)],
    }
    make_files(one.folder, one.meta, one.gigabytes)
    arrays = {file.stem: np.load(file) for file in one.folder.glob('*.npy')}
    del arrays['done']
    total = sum(array.nbytes for array in arrays.values())
    assert one.gigabytes == pytest.approx(total / 1e9, rel=1e-12)


def test_half_precision_refuses_what_it_cannot_hold():
    form = dict(shape=[2], dtype='float16')
    check_level('x', torch.ones(3, 2), form)
    with pytest.raises(ValueError, match='take --dtype float32'):
        check_level('x', torch.full((3, 2), 7e4), form)
    with pytest.raises(ValueError, match='resize them to one size'):
        check_level('x', torch.ones(3, 4), form)
