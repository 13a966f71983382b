"""Checkpoint files are untrusted: none of their code runs; a wrong one is noticed."""

from __future__ import annotations

import os
import pickle
import resource
from collections import Counter, OrderedDict, defaultdict
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import torch
import zoo
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader, save_checkpoint
from torch import nn

from mmkd.checkpoints.for_mmengine import read_for_mmengine
from mmkd.checkpoints.load import load_weights
from mmkd.checkpoints.read import read_checkpoint, read_weights
from mmkd.checkpoints.report import Report
from mmkd.checkpoints.whole import is_whole


class Attack:
    """Unpickled by pickle or by torch without care, it makes a file."""

    def __init__(self, mark: Path, call: Any = os.mknod) -> None:
        self.call, self.mark = call, str(mark)

    def __reduce__(self) -> Any:
        return self.call, (self.mark,)


class Foreign:
    """A class that the reader does not know."""


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def same(one: Any, other: Any) -> bool:
    """Whether two contents are equal, tensors in them too."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return bool(one == other)


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('place', ['meta', 'state_dict', 'top'])
def test_no_code_runs(place: str, zipped: bool, tmp_path: Path):
    mark, file = tmp_path / 'mark', tmp_path / 'evil.pth'
    content: Any = dict(state_dict=net().state_dict(), meta={})
    if place == 'top':
        content = Attack(mark)
    else:
        content[place]['x'] = Attack(mark)
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    read_checkpoint(file)
    for reader in (read_weights, CheckpointLoader.load_checkpoint):
        try:
            reader(str(file))
        except RuntimeError as error:
            assert 'evil.pth' in str(error)
    assert not mark.exists()
    # The test has teeth: trusted, the same file does act.
    read_checkpoint(file, trust=True)
    assert mark.exists()


@pytest.mark.parametrize(
    'call', [eval, exec, __import__, os.system, getattr, pickle.loads, torch.load]
)
def test_dangerous_functions_are_inert(call: Any, tmp_path: Path):
    mark = tmp_path / 'mark'
    text = f"open({str(mark)!r}, 'w')" if call in (eval, exec) else str(mark)
    torch.save(dict(x=Attack(Path(text), call)), tmp_path / 'a.pth')
    content, foreign = read_checkpoint(tmp_path / 'a.pth')
    assert foreign and not mark.exists()


@pytest.mark.parametrize(
    'content',
    [[Foreign()], (1, Foreign()), dict(a=[dict(b=Foreign())]), {Foreign(): 1}],
)
def test_what_training_needs_is_refused_wherever_it_is(content: Any, tmp_path: Path):
    torch.save(dict(state_dict={}, x=content), tmp_path / 'a.pth')
    with pytest.raises(RuntimeError, match='holds objects of .*Foreign'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'))


def test_mmengine_reads_through_it(tmp_path: Path):
    """Files and addresses, to the device that is asked for."""
    for prefix in ('', 'http://', 'https://'):
        assert CheckpointLoader._schemes[prefix] is read_for_mmengine
    torch.save(dict(x=torch.ones(1)), tmp_path / 'a.pth')
    found = CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'), 'meta')
    assert found['x'].is_meta


def test_what_is_not_loaded_of_the_meta_data_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    said: list[str] = []
    monkeypatch.setattr(
        'mmkd.checkpoints.for_mmengine.print_log', lambda text, *_: said.append(text)
    )
    file = str(tmp_path / 'a.pth')
    torch.save(dict(state_dict={}, meta=dict(x=Foreign())), file)
    CheckpointLoader.load_checkpoint(file)
    assert said == [f"'{file}': not loaded from its meta data: {__name__}.Foreign"]


def test_trust_by_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    torch.save(dict(x=Foreign()), tmp_path / 'a.pth')
    with pytest.raises(RuntimeError, match='Foreign.*MMKD_TRUST_CHECKPOINTS=1'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'))
    for no in ('', '0'):
        monkeypatch.setenv('MMKD_TRUST_CHECKPOINTS', no)
        with pytest.raises(RuntimeError, match='Foreign'):
            CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'))
    monkeypatch.setenv('MMKD_TRUST_CHECKPOINTS', '1')
    content = CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'))
    assert isinstance(content['x'], Foreign)


def test_what_mmengine_saves_comes_back(tmp_path: Path):
    """Log buffers, NumPy, optimizer states; and global statistics stay as they are."""
    model = net()
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(4, 2)).sum().backward()
    optimizer.step()
    buffer = HistoryBuffer([1.0, 2.0], [1, 1])
    before = dict(HistoryBuffer._statistics_methods)
    content = dict(
        state_dict=model.state_dict(),
        optimizer=optimizer.state_dict(),
        message_hub=dict(log_scalars=dict(loss=buffer)),
        numbers=[np.float64(1.5), np.arange(3), torch.float16, torch.Size([2])],
    )
    save_checkpoint(content, str(tmp_path / 'a.pth'))
    got = CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'))
    assert type(got['message_hub']['log_scalars']['loss']) is HistoryBuffer
    assert got['message_hub']['log_scalars']['loss'].mean() == 1.5
    assert got['numbers'][0] == 1.5 and got['numbers'][1].tolist() == [0, 1, 2]
    assert got['numbers'][2:] == [torch.float16, torch.Size([2])]
    net().load_state_dict(got['state_dict'])
    torch.optim.Adam(net().parameters()).load_state_dict(got['optimizer'])
    assert before == HistoryBuffer._statistics_methods


def test_plain_values_come_back(tmp_path: Path):
    values = [True, bytearray(b'a'), b'b', 1j, {'c': 2}, 0.5, frozenset({3}), [4]]
    values += [range(5), {6}, slice(7), 'd', (8,), OrderedDict(e=9), torch.Size([10])]
    values += [
        defaultdict(list, f=[11]),
        torch.device('cpu'),
        nn.Parameter(torch.ones(1)),
    ]
    torch.save(dict(x=values), tmp_path / 'a.pth')
    (found, foreign) = read_checkpoint(tmp_path / 'a.pth')
    assert found['x'] == values and not foreign
    assert list(map(type, found['x'])) == list(map(type, values))


@pytest.mark.parametrize('zipped', [True, False])
def test_a_log_buffer_brings_no_functions(zipped: bool, tmp_path: Path):
    """mmengine's would take from the file what ``mean`` is, for this buffer and all."""
    buffer = HistoryBuffer([1.0, 3.0], [1, 1])
    state = dict(vars(buffer), statistics_methods={'mean': HistoryBuffer.max})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HistoryBuffer, '__getstate__', lambda _: state, raising=False)
        torch.save(
            {'x': buffer}, tmp_path / 'a.pth', _use_new_zipfile_serialization=zipped
        )
    content = CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'))
    assert content['x'].statistics('mean') == HistoryBuffer([1.0, 3.0], [1, 1]).mean()


def test_one_cycle_schedulers_come_back(tmp_path: Path):
    """They save a function of their own; an object of the class is refused."""
    from mmengine.optim import OneCycleLR, OneCycleParamScheduler

    optimizer = torch.optim.SGD(net().parameters(), lr=0.1)
    state = OneCycleLR(optimizer, eta_max=0.1, total_steps=9).state_dict()
    file = str(tmp_path / 'a.pth')
    torch.save(dict(state_dict={}, param_schedulers=[state]), file)
    (got,) = CheckpointLoader.load_checkpoint(file)['param_schedulers']
    assert got['anneal_func'] is OneCycleParamScheduler._annealing_cos
    torch.save(dict(x=OneCycleParamScheduler.__new__(OneCycleParamScheduler)), file)
    with pytest.raises(RuntimeError, match='MMKD_TRUST_CHECKPOINTS'):
        CheckpointLoader.load_checkpoint(file)


@pytest.mark.parametrize('damage', ['empty', 'half', 'text'])
def test_a_broken_file_is_named(damage: str, tmp_path: Path):
    file = tmp_path / 'broken.pth'
    torch.save(net().state_dict(), file)
    data = {'empty': b'', 'half': file.read_bytes()[:700], 'text': b'<html>404</html>'}
    file.write_bytes(data[damage])
    with pytest.raises(RuntimeError, match='broken.pth.*Is the file complete'):
        read_checkpoint(file)


@pytest.mark.parametrize('zipped', [True, False])
def test_any_damage_ends_in_content_or_a_named_error(zipped: bool, tmp_path: Path):
    """Of torch's present format in this very content: it has checksums."""
    file, random = tmp_path / 'damaged.pth', Random(0)
    content = dict(state_dict=net().state_dict(), meta=dict(epoch=3))
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    whole = file.read_bytes()
    ends = Counter()
    for _ in range(500):
        data, place = bytearray(whole), random.randrange(len(whole))
        kind = random.choice(['bit', 'cut', 'bytes'])
        if kind == 'bit':
            data[place] ^= 1 << random.randrange(8)
        elif kind == 'cut':
            del data[place:]
        else:
            data[place : place + random.randrange(9)] = random.randbytes(4)
        file.write_bytes(data)
        try:
            found, _ = read_checkpoint(file)
            assert not zipped or same(found, content)
            ends['content'] += 1
        except RuntimeError as error:
            assert 'damaged.pth' in str(error)
            ends['error'] += 1
    assert min(ends['content'], ends['error']) > 20, ends
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert peak < 8 * 2**30  # a wrong length is not believed


@pytest.mark.slow
def test_every_bit(tmp_path: Path):
    """Of a small file: whichever is flipped, the content is never another one."""
    file, content = tmp_path / 'a.pth', {'x': torch.ones(3)}
    torch.save(content, file)
    whole = file.read_bytes()
    errors = 0
    for place in range(8 * len(whole)):
        data = bytearray(whole)
        data[place // 8] ^= 1 << place % 8
        file.write_bytes(data)
        try:
            assert same(read_checkpoint(file)[0], content), place
        except RuntimeError:
            errors += 1
    assert 2000 < errors < 8 * len(whole)


def test_a_part_that_calls_itself_a_folder(tmp_path: Path):
    """torch would take its content from memory that nobody has written to."""
    file = tmp_path / 'a.pth'
    torch.save({'x': torch.ones(3)}, file)
    data = bytearray(file.read_bytes())
    entry = data.rindex(b'PK\x01\x02', 0, data.rindex(b'a/data/0'))
    data[entry + 38] |= 0x10
    file.write_bytes(data)
    with pytest.raises(RuntimeError, match="its part 'a/data/0' is not"):
        read_checkpoint(file)


@pytest.mark.parametrize('trust', [True, False])
def test_a_changed_weight_is_noticed(trust: bool, tmp_path: Path):
    file = tmp_path / 'a.pth'
    torch.save(dict(state_dict={'x': torch.arange(1000.0)}), file)
    whole = file.read_bytes()
    place = whole.index(torch.arange(400.0, 500.0).numpy().tobytes())
    file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(RuntimeError, match="a.pth' is damaged: its part 'a/data/0'"):
        read_checkpoint(file, trust=trust)


def test_a_file_without_checksums(tmp_path: Path):
    """As ``torch.serialization.set_crc32_options(False)`` makes them."""
    file = tmp_path / 'a.pth'
    torch.save({'x': torch.ones(3)}, file)
    data = file.read_bytes()
    with ZipFile(file) as archive:
        sums = [part.CRC for part in archive.infolist()]
    for number in sums:
        data = data.replace(number.to_bytes(4, 'little'), bytes(4))
    file.write_bytes(data)
    assert torch.equal(read_checkpoint(file)[0]['x'], torch.ones(3))
    assert is_whole(file)


@pytest.mark.parametrize(
    ('name', 'warns'),
    [
        ('net-{sha}.pth', False),
        ('net-0123abcd.pth', True),
        ('net-20211231.pth', False),  # a date
        ('net-20211331.pth', True),  # none
        ('net.pth', False),
    ],
)
def test_a_hash_in_the_name(
    name: str, warns: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """mmdet publishes files in torch's old format: nothing in them would tell."""
    file = tmp_path / 'a.pth'
    torch.save({'x': torch.ones(3)}, file, _use_new_zipfile_serialization=False)
    digest = sha256(file.read_bytes()).hexdigest()[:8]
    file = file.rename(tmp_path / name.format(sha=digest))
    said: list[str] = []
    monkeypatch.setattr(
        'mmkd.checkpoints.read.print_log', lambda text, *_: said.append(text)
    )
    read_checkpoint(file)
    assert len(said) == warns
    if warns:
        assert str(file) in said[0] and f'begins with {digest}.' in said[0]


@pytest.mark.parametrize(
    'wrap',
    [
        lambda s: s,
        lambda s: dict(state_dict=s),
        lambda s: dict(model=s),
        lambda s: dict(state_dict={f'module.{k}': v for k, v in s.items()}),
        lambda s: dict(
            state_dict={
                **{f'student.{k}': v for k, v in s.items()},
                'terms.loss.x': torch.ones(1),
            }
        ),
    ],
)
def test_forms_of_files(wrap, tmp_path: Path):
    """Bare, wrapped, saved under DDP, a distiller's (its student can teach next)."""
    state = net().state_dict()
    torch.save(wrap(state), tmp_path / 'a.pth')
    assert read_weights(tmp_path / 'a.pth').keys() == state.keys()


@pytest.mark.parametrize('prefix', ['teacher.', 'model.', 'student.module.', 'a.b.'])
def test_names_behind_a_prefix(prefix: str, tmp_path: Path):
    """Of a file that wraps one model; of two in a file neither is guessed."""
    state, file = net().state_dict(), tmp_path / 'a.pth'
    wrapped = {f'{prefix}{key}': value for key, value in state.items()}
    torch.save(dict(state_dict={**wrapped, 'steps': torch.ones(1)}, epoch=3), file)
    model = net()
    report = load_weights(model, file, 'teacher')
    said = f"teacher from {file}, what its names have behind '{prefix}': 6 tensors"
    if prefix.startswith('student.'):
        said = f"teacher from {file}, what its names have behind 'module.': 6 tensors"
    assert report.share == 1 and str(report).startswith(said)
    assert torch.equal(model[0].weight, state['0.weight'])
    torch.save({**wrapped, **{f'other.{k}': v for k, v in state.items()}}, file)
    if not prefix.startswith('student.'):
        with pytest.raises(RuntimeError, match=f'(?s)0 tensors.*not used: {prefix}0'):
            load_weights(net(), file, 'teacher')


def test_another_tasks_checkpoint(tmp_path: Path):
    """As a teacher it stops the run, and says what is missing of it."""
    torch.save(zoo.plain('retinanet').state_dict(), tmp_path / 'det.pth')
    words = r'(?s)teacher from .*det.pth: .* missing: head.fc.*not used: bbox_head'
    with pytest.raises(RuntimeError, match=words):
        zoo.distiller('cls', teacher_ckpt=str(tmp_path / 'det.pth'))


def test_the_student_of_a_distiller_teaches(tmp_path: Path):
    """Its file has the student's weights beside connectors; the EMA ones if any."""
    before = zoo.distiller('cls')
    content = dict(
        state_dict=before.state_dict(),
        ema_state_dict={
            f'module.{k}': v + 1 for k, v in before.student.state_dict().items()
        },
    )
    torch.save(content, tmp_path / 'a.pth')
    after = zoo.distiller(
        'cls', teacher=zoo.student('cls'), teacher_ckpt=str(tmp_path / 'a.pth')
    )
    taught, state = after.teacher.state_dict(), before.student.state_dict()
    assert all(torch.equal(taught[key], state[key]) for key in state)


def test_what_is_no_tensor_is_left_out(tmp_path: Path):
    state = net().state_dict()
    torch.save(dict(state, epoch=3, note='x', extra=[1, None]), tmp_path / 'a.pth')
    assert load_weights(net(), tmp_path / 'a.pth', 'teacher').unexpected == []


def test_a_folder_is_no_file(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match='no checkpoint file'):
        read_checkpoint(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read everything')
def test_a_file_that_may_not_be_read(tmp_path: Path):
    file = tmp_path / 'a.pth'
    torch.save({}, file)
    file.chmod(0)
    with pytest.raises(RuntimeError, match=r'a\.pth.*Permission denied'):
        read_checkpoint(file)


def test_matching_teacher_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    monkeypatch.setattr(
        'mmkd.checkpoints.load.print_log', lambda text, _: said.append(text)
    )
    state = net().state_dict()
    del state['1.num_batches_tracked']  # old files lack it
    torch.save({**state, 'spare': torch.ones(1)}, tmp_path / 'a.pth')
    report = load_weights(net(), tmp_path / 'a.pth', 'teacher')
    assert report.share == 1 and report.unexpected == ['spare']
    assert said == [
        f'teacher from {tmp_path}/a.pth: 6 tensors matched (100.0% of the model), 0 '
        'missing, 0 of another shape, 1 not used\n  not used: spare'
    ]


@pytest.mark.parametrize(('count', 'more'), [(4, ''), (5, ' and 1 more')])
def test_the_text_of_a_report(count: int, more: str):
    keys = ['a', 'b', 'c', 'd', 'e'][:count]
    report = Report('teacher', 6, keys, {'f': 'f (file (1,), here (2,))'}, keys)
    listed = f'a, b, c, d{more}'
    assert str(report) == (
        f'teacher: 6 tensors matched ({6 / (7 + count):.1%} of the model), {count} '
        f'missing, 1 of another shape, {count} not used\n  missing: {listed}\n  '
        f'another shape: f (file (1,), here (2,))\n  not used: {listed}'
    )
    assert report.used == 6 / (7 + count)
    assert Report('', 0, [], {}, []).share == Report('', 0, [], {}, []).used == 0
    assert Report('', 1, [], {}, []).share == Report('', 1, [], {}, []).used == 1


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (
            lambda s: s.pop('0.weight'),
            r'(?s)5 tensors matched \(83.3%.*missing: 0.weight',
        ),
        (
            lambda s: s.update({'0.weight': torch.ones(9, 2)}),
            r'(?s)another shape: 0.weight \(file \(9, 2\), here \(3, 2\)\).*_min_match',
        ),
    ],
)
def test_wrong_teacher_stops(change, words: str, tmp_path: Path):
    state = net().state_dict()
    change(state)
    torch.save(state, tmp_path / 'a.pth')
    with pytest.raises(RuntimeError, match=words):
        load_weights(net(), tmp_path / 'a.pth', 'teacher')
    model = net()
    report = load_weights(model, tmp_path / 'a.pth', 'teacher', min_match=0.8)
    assert report.share == pytest.approx(5 / 6)
    assert torch.equal(model[0].bias, state['0.bias'])


@pytest.mark.parametrize(
    'content',
    [
        [1, 2],
        dict(a=1),
        'text',
        None,
        {},
        {1: torch.ones(1)},
        dict(state_dict=None),
        dict(model='resnet'),
    ],
)
def test_no_weights_inside(content: Any, tmp_path: Path):
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(RuntimeError, match='a.pth'):
        read_weights(tmp_path / 'a.pth')


def test_download_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    url = 'http://localhost:9/teacher-0123abcd.pth'
    with pytest.raises(RuntimeError, match='(?s)Could not download.*put it at'):
        read_checkpoint(url)
    folder = tmp_path / 'hub' / 'checkpoints'
    torch.save(net().state_dict(), folder / 'teacher-0123abcd.pth')
    assert read_weights(url).keys() == net().state_dict().keys()


@pytest.mark.parametrize(
    ('name', 'digest'),
    [
        ('a-0123abcd.pth', '0123abcd'),
        ('a-01234567.pth', '01234567'),
        ('a_20211231-0123abcd.pth', '0123abcd'),
        ('a-20211231.pth', None),
        ('a.pth', None),
    ],
)
def test_a_download_is_compared_with_the_hash_in_its_name(
    name: str, digest: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """And it is fetched once."""
    asked: list[Any] = []

    def fetch(url: str, file: str, hash_prefix: str | None) -> None:
        asked.append((url, hash_prefix))
        torch.save(net().state_dict(), file)

    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    (tmp_path / 'hub' / 'checkpoints').mkdir(parents=True)
    monkeypatch.setattr(torch.hub, 'download_url_to_file', fetch)
    for _ in range(2):
        assert read_weights(f'https://a.b/c/{name}').keys() == net().state_dict().keys()
    assert asked == [(f'https://a.b/c/{name}', digest)]


@pytest.mark.parametrize(
    ('rank', 'local', 'fetches'),
    [
        (0, '0', True),
        (1, '1', False),
        (2, '0', True),
        (0, None, True),
        (1, None, False),
    ],
)
def test_one_rank_of_each_node_downloads(
    rank: int,
    local: str | None,
    fetches: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """Nodes may have no disk in common."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr('mmkd.checkpoints.download.get_rank', lambda: rank)
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    if local:
        monkeypatch.setenv('LOCAL_RANK', local)
    monkeypatch.setattr(
        torch.hub,
        'download_url_to_file',
        lambda url, file, **_: torch.save(net().state_dict(), file),
    )
    if fetches:
        assert read_weights('https://a.b/c.pth')
    else:
        with pytest.raises(RuntimeError, match="see this node's first rank"):
            read_weights('https://a.b/c.pth')


@pytest.mark.parametrize(
    'name', ['torchvision://resnet18', 'open-mmlab://resnet18_v1c', 'mmcls://resnet18']
)
def test_what_names_stand_for_is_read_safely(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As init_cfg has them; without a network the error says where to put the file."""
    mark = tmp_path / 'mark'
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))

    def fetch(url: str, file: str, hash_prefix: str | None) -> None:
        state = {f'backbone.{key}': value for key, value in net().state_dict().items()}
        torch.save(dict(state_dict=state, meta=Attack(mark)), file)

    monkeypatch.setattr(torch.hub, 'download_url_to_file', fetch)
    assert '0.weight' in str(CheckpointLoader.load_checkpoint(name))
    assert not mark.exists()
    for file in (tmp_path / 'hub' / 'checkpoints').iterdir():
        file.unlink()
    monkeypatch.setattr(torch.hub, 'download_url_to_file', lambda *_, **__: 1 / 0)
    with pytest.raises(RuntimeError, match='put it at'):
        CheckpointLoader.load_checkpoint(name)
