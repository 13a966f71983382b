"""Recorder: what paths mean, and that nothing is left behind."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections import Counter

import pytest
import torch
import zoo
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from mmkd.paths import find_module, parse
from mmkd.recorder import Enough, Recorder


class Net(nn.Module):
    """Calls modules in the ways that OpenMMLab does."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(2, 3)
        self.shared = nn.Linear(3, 3)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(3, 4)
        self.unused = nn.Linear(1, 1)
        self.levels = Levels()

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for _ in range(2):
            x = self.shared(x)
        self.levels(x, scale=torch.tensor(2.0))
        x = self.relu(x * 1)
        return self.head.forward(x)  # directly: a forward hook would not fire


class Levels(nn.Module):
    def forward(self, x: Tensor, scale: Tensor) -> tuple:
        return x, [x * scale, (x * 3,)]


def record(*paths: str, **settings) -> tuple[Recorder, Net, Tensor]:
    net, x = Net(), torch.randn(5, 2)
    with Recorder(net, paths, **settings) as recorder:
        y = net(x)
    return recorder, net, y


def test_output_of_a_module_that_is_called_directly():
    recorder, _, y = record('head')
    assert recorder['head'][0] is y


@pytest.mark.parametrize(
    ('path', 'count'),
    [
        ('levels', 3),
        ('levels[0]', 1),
        ('levels[-1]', 2),
        ('levels[1][0]', 1),
        ('levels[:1]', 1),
        ('levels:input', 1),
        ('levels:input.1', 1),
        ('levels:input.scale', 1),
        ('shared@*', 2),
        ('shared@0', 1),
        ('shared@-1', 1),
        ('shared:input@1', 1),
    ],
)
def test_paths(path: str, count: int):
    recorder, _, _ = record(path)
    assert len(recorder[path]) == count


def test_values():
    recorder, net, _ = record('shared@*', 'levels', 'shared:input@1', 'levels:input.1')
    first, second = recorder['shared@*']
    assert torch.allclose(net.shared(first), second)
    assert torch.equal(recorder['shared:input@1'][0], first)
    assert [float((level / second).mean()) for level in recorder['levels']] == (
        pytest.approx([1, 2, 3])
    )
    assert recorder['levels:input.1'][0] == 2


@pytest.mark.parametrize(
    ('path', 'words'),
    [
        ('unused', 'did not run'),
        ('shared', r"2 times.*'shared@-1'.*'shared@\*'"),
        ('shared@5', 'only 2 calls'),
        ('levels[7]', 'no such part'),
        ('levels[name]', 'no such part'),
        ('levels:input.other', 'no such part'),
    ],
)
def test_read_errors(path: str, words: str):
    recorder, _, _ = record(path)
    with pytest.raises(RuntimeError, match=words):
        recorder[path]


def test_unknown_path_names_the_nearest():
    with pytest.raises(ValueError, match="no module 'haed'.*Nearest names: .*head"):
        record('haed')


@pytest.mark.parametrize('path', ['', 'a b', 'head:output', 'head[', 'head@x'])
def test_malformed_path(path: str):
    with pytest.raises(ValueError, match='is not a path'):
        parse(path)


def test_overwritten_value_is_noticed():
    recorder, _, _ = record('relu:input')
    assert recorder.overwritten('relu:input')
    with pytest.raises(RuntimeError, match='clone=True'):
        recorder['relu:input']


def test_cloned_value_keeps_its_sign_and_gradient():
    recorder, net, _ = record('relu:input', cloned=['relu:input'])
    kept = recorder['relu:input'][0]
    assert not recorder.overwritten('relu:input') and (kept < 0).any()
    kept.sum().backward()
    assert net.stem.weight.grad is not None


def test_gradient_flows_to_what_is_recorded():
    recorder, net, _ = record('stem')
    recorder['stem'][0].sum().backward()
    assert net.stem.weight.grad is not None


def test_unwrapped_after_an_exception():
    net = Net()
    with pytest.raises(ZeroDivisionError), Recorder(net, ['head', 'stem']):
        1 / 0  # noqa: B018
    assert all('forward' not in module.__dict__ for module in net.modules())


def test_a_forward_that_somebody_else_put_there_comes_back():
    net = Net()
    own = lambda x: x[:, :1]  # noqa: E731
    net.head.forward = own
    with Recorder(net, ['head']) as recorder:
        net(torch.randn(5, 2))
    assert net.head.forward is own and recorder['head'][0].shape == (5, 1)


def test_two_recorders_at_once():
    net = Net()
    with Recorder(net, ['head']) as one, Recorder(net, ['head', 'stem']) as two:
        net(torch.randn(5, 2))
    assert one['head'][0] is two['head'][0]
    assert 'forward' not in net.head.__dict__


@pytest.mark.parametrize(
    'way', [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_copies_made_while_recording_are_clean(way):
    net = Net()
    with Recorder(net, ['head']) as recorder:
        net(torch.randn(5, 2))
        twin = way(net)
    assert recorder.fired('head')
    assert torch.equal(twin.head.weight, net.head.weight)
    twin.head.weight.data.zero_()
    twin.head.bias.data.zero_()
    assert (
        twin(torch.randn(5, 2)).abs().sum() == 0
    )  # its own weights, not the original's
    assert net(torch.randn(5, 2)).abs().sum() > 0


def test_nothing_stays_alive():
    recorder, net, y = record('stem')
    kept = weakref.ref(recorder['stem'][0])
    del recorder, y
    assert kept() is None  # at once: no cycle that waits for the collector


def test_levels_that_nobody_reads_do_not_stay_alive():
    """A teacher's backbone gives all its stages; ``backbone[-1]`` wants one."""
    alive: list[weakref.ref] = []

    class Stages(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, ...]:
            levels = x * 1, x * 2, x * 3
            alive.extend(weakref.ref(level) for level in levels)
            return levels

    net = nn.Sequential(Stages())
    for paths, kept in (
        (['0[-1]'], [False, False, True]),
        (['0[0]', '0[1:]'], [True, True, True]),
        (['0[0]', '0'], [True, True, True]),
        (['0:input', '0[1]'], [False, True, False]),
    ):
        alive.clear()
        with torch.no_grad(), Recorder(net, paths) as recorder:
            net(torch.ones(2))
        assert [ref() is not None for ref in alive] == kept
        assert all(recorder[path] for path in paths)
    assert float(recorder['0[1]'][0].sum()) == 4


def test_recording_copies_nothing():
    """What is kept is the very tensor that the module returned."""
    seen = []
    net = Net()
    net.stem.register_forward_hook(lambda _, __, output: seen.append(output))
    with Recorder(net, ['stem']) as recorder:
        net(torch.randn(5, 2))
    assert recorder['stem'][0] is seen[0]
    assert recorder['stem'][0].data_ptr() == seen[0].data_ptr()
    gc.collect()


class Operators(TorchDispatchMode):
    """Every operator that torch runs, and whatever allocates is one."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('kind', ['cls', 'faster_rcnn', 'pspnet'])
@pytest.mark.parametrize('side', ['student', 'teacher'])
def test_recording_runs_no_operator(kind: str, side: str):
    """As many with what the terms tap as without; then it allocates nothing."""
    model = zoo.plain(kind).train(side == 'student')
    data = model.data_preprocessor(zoo.batch(kind), True)
    mode = 'loss' if side == 'student' else 'tensor'
    taps = [term['student'] for term in zoo.TERMS[kind].values()]
    flat = [p for tap in taps for p in ([tap] if isinstance(tap, str) else tap)]

    def operators(paths: list[str]) -> list[str]:
        torch.manual_seed(0)
        twin, batch = copy.deepcopy((model, data))
        with torch.set_grad_enabled(side == 'student'), Operators() as seen:
            with Recorder(twin, paths) as recorder:
                twin(**batch, mode=mode)
            assert all(recorder[path] for path in paths)
        return seen.names

    assert len(flat) > 1 and operators(flat) == operators([])


@pytest.mark.parametrize('loss', ['KD', 'MSE'])
def test_one_more_term_is_its_arithmetic_alone(loss: str):
    """The second and the third copy of a term run the same, few operators more."""
    term = dict(student='head.fc', loss=dict(type=f'mmkd.{loss}'))

    def operators(count: int) -> list[str]:
        terms = {f'loss_{i}': term for i in range(count)}
        model = zoo.distiller('cls', terms=terms).train()
        data = model.data_preprocessor(zoo.batch('cls'), True)
        with Operators() as seen:
            model(**data, mode='loss')
        return seen.names

    one, two, three = (Counter(operators(n)) for n in (1, 2, 3))
    assert two - one == three - two and not one - two
    assert 0 < sum((two - one).values()) < 25


def test_inference_tensors():
    net = Net()
    with torch.inference_mode(), Recorder(net, ['head']) as recorder:
        net(torch.randn(5, 2))
    assert recorder['head'][0].shape == (5, 4)


@pytest.mark.parametrize(
    ('path', 'tap'),
    [
        ('backbone', ('backbone', 'output', 0, None, ())),
        ('a.b-c.0', ('a.b-c.0', 'output', 0, None, ())),
        ('neck[2]', ('neck', 'output', 0, None, (2,))),
        ('neck[-1][0]', ('neck', 'output', 0, None, (-1, 0))),
        ('neck[:4]', ('neck', 'output', 0, None, (slice(None, 4),))),
        ('neck[1:-1:2]', ('neck', 'output', 0, None, (slice(1, -1, 2),))),
        ("neck['a']", ('neck', 'output', 0, None, ('a',))),
        ('neck["a"][b]', ('neck', 'output', 0, None, ('a', 'b'))),
        ("neck['XaX']", ('neck', 'output', 0, None, ('XaX',))),
        ('head:input', ('head', 'input', 0, None, ())),
        ('head:input.12', ('head', 'input', 12, None, ())),
        ('head:input.x', ('head', 'input', 'x', None, ())),
        ('head@3', ('head', 'output', 0, 3, ())),
        ('head:input.1@-12[0]', ('head', 'input', 1, -12, (0,))),
        ('head@*[1]', ('head', 'output', 0, '*', (1,))),
    ],
)
def test_what_a_path_says(path: str, tap: tuple):
    assert tuple(parse(path)) == tap


@pytest.mark.parametrize(
    ('name', 'near'),
    [
        ('conv', 'Nearest names: conv5, conv4, conv3, conv2'),  # four
        ('hxxd', 'Nearest names: head'),  # half of it is right
        ('0123456789', 'No similar name'),
    ],
)
def test_nearest_names(name: str, near: str):
    parts = {f'conv{i}': nn.Identity() for i in range(1, 6)}
    net = nn.ModuleDict({**parts, 'head': nn.Identity()})
    with pytest.raises(ValueError, match=f"no module '{name}'. {near}$|{near}\\.$"):
        find_module(net, name)


def test_each_call_is_its_own():
    recorder, net, _ = record('stem', 'shared@0', 'shared@1')
    first, second = (recorder[f'shared@{i}'][0] for i in (0, 1))
    assert torch.equal(first, net.shared(recorder['stem'][0]))
    assert torch.equal(second, net.shared(first))


def test_what_ran_and_what_ran_once():
    recorder, _, _ = record('stem', 'stem:input', 'shared', 'unused', 'head:input')
    assert recorder.once() == {'stem', 'head'}
    assert recorder.fired('shared') and recorder.fired('head:input')
    assert not recorder.fired('unused')


def test_enough_ends_the_forward():
    """As soon as everything has run once, on both sides of it."""
    net = Net()
    net.relu = None  # it is never reached
    with Recorder(net, ['stem', 'shared:input', 'shared'], enough=True) as recorder:
        with pytest.raises(Enough):
            net(torch.randn(5, 2))
        assert recorder.once() == {'stem', 'shared'}
    assert not issubclass(Enough, Exception)


class Odd(nn.Module):
    """Returns what it is told to."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.part = nn.Module()
        self.part.forward = lambda: value

    def forward(self) -> object:
        return self.part.forward()


def odd(value: object, **settings) -> Recorder:
    net = Odd(value)
    with Recorder(net, ['part'], **settings) as recorder:
        net()
    return recorder


@pytest.mark.parametrize(
    ('value', 'found'),
    [
        ((), 'nothing'),
        (None, 'NoneType'),
        ((torch.ones(1), {'a': torch.ones(1)}, 'x'), 'Tensor, dict, str'),
    ],
)
def test_what_is_no_tensor(value: object, found: str):
    with pytest.raises(RuntimeError, match=rf'\(found: {found}\)'):
        odd(value)['part']


def test_an_image_is_no_level():
    recorder = odd((torch.ones(2),))
    assert len(recorder['part[0]']) == 1
    with pytest.raises(RuntimeError, match='it is one tensor'):
        recorder['part[0][1]']


@pytest.mark.parametrize('cloned', [(), ('part',)])
def test_values_of_every_form_keep_it(cloned: tuple):
    whole, half = torch.arange(3), torch.ones(2, dtype=torch.half)
    value = {'a': [half, (whole,)], 'b': 'text'}
    recorder = odd(value, cloned=cloned)
    kept = recorder['part[a][0]'][0]
    assert (kept is half) == (not cloned) and torch.equal(kept, half)
    assert recorder['part[a][1]'][0].dtype == torch.int64
    recorder.to_float()
    found = recorder.wrappers['part'].calls['output'][0][0]
    assert found['a'][0].dtype == torch.float32 and found['b'] == 'text'
    assert type(found['a']) is list and type(found['a'][1]) is tuple
    assert torch.equal(recorder['part[a][1]'][0], whole)
    assert recorder['part[a][1]'][0].dtype == torch.int64


def test_an_overwritten_value_stays_one_in_float():
    value = torch.ones(2, dtype=torch.half)
    recorder = odd((value, value.float()))
    assert not recorder.overwritten('part')
    value.add_(1)
    recorder.to_float()
    assert recorder.overwritten('part')
