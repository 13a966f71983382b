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

from mmkd.paths import (
    FORWARD,
    find_method,
    find_module,
    is_role,
    parse,
    play,
    resolve,
    split_network,
)
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


@pytest.mark.parametrize(
    'path', ['', 'a b', 'head:output', 'head[', 'head@x', 'a/head', '<logits>', 'a()()']
)
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
        ('backbone', ('backbone', FORWARD, 'output', 0, None, ())),
        ('a.b-c.-1', ('a.b-c.-1', FORWARD, 'output', 0, None, ())),
        ('neck[2]', ('neck', FORWARD, 'output', 0, None, (2,))),
        ('neck[-1][0]', ('neck', FORWARD, 'output', 0, None, (-1, 0))),
        ('neck[:4]', ('neck', FORWARD, 'output', 0, None, (slice(None, 4),))),
        ('neck[1:-1:2]', ('neck', FORWARD, 'output', 0, None, (slice(1, -1, 2),))),
        ("neck['a']", ('neck', FORWARD, 'output', 0, None, ('a',))),
        ('neck["a"][b]', ('neck', FORWARD, 'output', 0, None, ('a', 'b'))),
        ("neck['XaX']", ('neck', FORWARD, 'output', 0, None, ('XaX',))),
        ('head:input', ('head', FORWARD, 'input', 0, None, ())),
        ('head:input.12', ('head', FORWARD, 'input', 12, None, ())),
        ('head:input.x', ('head', FORWARD, 'input', 'x', None, ())),
        ('head@3', ('head', FORWARD, 'output', 0, 3, ())),
        ('head:input.1@-12[0]', ('head', FORWARD, 'input', 1, -12, (0,))),
        ('head@*[1]', ('head', FORWARD, 'output', 0, '*', (1,))),
        ('head.get()[1]', ('head', 'get', 'output', 0, None, (1,))),
        ('a.head.get():input.x@-1', ('a.head', 'get', 'input', 'x', -1, ())),
        ('get()', ('', 'get', 'output', 0, None, ())),
    ],
)
def test_what_a_path_says(path: str, tap: tuple):
    assert tuple(parse(path)) == tap


@pytest.mark.parametrize(
    ('path', 'place'),
    [('a.b[0]', 'a.b'), ('a.b.get()@-1', 'a.b.get()'), ('get()', 'get()')],
)
def test_the_place_of_a_path(path: str, place: str):
    assert parse(path).place == place


@pytest.mark.parametrize(
    ('path', 'parts'),
    [
        ('head.fc', (None, 'head.fc')),
        ('a-1/head.fc[0]', ('a-1', 'head.fc[0]')),
        ('a/<stages>[1:]', ('a', '<stages>[1:]')),
        ("neck['a/b']", (None, "neck['a/b']")),
        ('a/b/c', ('a', 'b/c')),  # and 'b/c' is no path
    ],
)
def test_the_network_of_a_path(path: str, parts: tuple):
    assert split_network(path) == parts


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


# -- children from the last, methods, roles --------------------------------------------


class Deep(nn.Module):
    """Blocks in a row, and a head that makes targets when it is asked for a loss."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2)))
        self.same = self.layer[0]  # one module under two names
        self.head = Head()

    def forward(self, x: Tensor) -> Tensor:
        return self.head.loss(self.layer(x))


class Head(nn.Module):
    scale = 2.0

    def loss(self, x: Tensor) -> Tensor:
        labels, weights = self.get_targets(x, scale=self.scale)
        return (labels * weights).sum() + self.kind(x)

    def get_targets(self, x: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        return x * scale, x + 1

    @staticmethod
    def kind(x: Tensor) -> Tensor:
        return x.sum()


def test_children_are_counted_from_the_last():
    net = Deep()
    for name, full in (('layer.-1.-1', 'layer.1.0'), ('layer.-2', 'layer.0')):
        assert find_module(net, name) is net.get_submodule(full)
        assert resolve(net, f'{name}:input[0]', dict.get) == [f'{full}:input[0]']
    with Recorder(net, ['layer.-1.-1']) as recorder:
        net(torch.ones(1, 2))
    assert torch.equal(recorder['layer.-1.-1'][0], net.layer(torch.ones(1, 2)))
    odd = nn.ModuleDict({'-1': nn.ReLU(), 'b': nn.Identity()})
    assert find_module(odd, '-1') is odd['-1']  # a name goes first


@pytest.mark.parametrize('name', ['layer.-3', 'layer.-0', 'head.scale', 'layer..0'])
def test_children_that_are_not_there(name: str):
    with pytest.raises(ValueError, match=f"Deep has no module '{name}'"):
        find_module(Deep(), name)


def test_methods_are_recorded_and_left_as_they_were():
    net, x = Deep(), torch.ones(1, 2)
    paths = ['head.get_targets()[0]', 'head.get_targets():input', 'head.kind()']
    with Recorder(net, paths) as recorder:
        y = net(x)
    assert torch.equal(recorder[paths[0]][0], recorder[paths[1]][0] * 2)
    assert recorder['head.kind()'][0] == recorder[paths[1]][0].sum()
    assert not {'get_targets', 'kind', 'forward'} & set(vars(net.head))
    assert torch.equal(net(x), y)


def test_a_method_that_is_on_the_instance_comes_back():
    net = Deep()
    net.head.get_targets = own = lambda x, scale: (x, x)
    net.head.other = lambda: None
    with Recorder(net, ['head.get_targets()[1]', 'head.other()']) as recorder:
        net(torch.ones(1, 2))
    assert vars(net.head)['get_targets'] is own and callable(net.head.other)
    assert not recorder.fired('head.other()')


@pytest.mark.parametrize(
    'way', [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_copies_made_while_methods_are_recorded_are_clean(way):
    net = Deep()
    paths = ['head.get_targets()[0]', 'head.kind()', 'layer.0', 'same']
    with Recorder(net, paths) as recorder:
        twin = way(net)
        assert not recorder.fired('head.kind()')
        twin.head.scale = 0.0
        value = twin(torch.ones(1, 2))
        assert not recorder.fired('head.kind()') and not recorder.fired('same')
    assert value == twin.layer(torch.ones(1, 2)).sum()
    assert twin.same is twin.layer[0]


@pytest.mark.parametrize('paths', [['layer.0', 'same'], ['same', 'layer.0:input']])
@pytest.mark.parametrize('enough', [False, True])
def test_one_module_under_two_names(paths: list[str], enough: bool):
    net, x = Deep(), torch.ones(1, 2)
    with Recorder(net, paths, enough=enough) as recorder:
        if enough:
            with pytest.raises(Enough):
                net(x)
        else:
            net(x)
    wanted = {'layer.0': net.same(x), 'same': net.same(x), 'layer.0:input': x}
    assert all(torch.equal(recorder[path][0], wanted[path]) for path in paths)
    assert 'forward' not in vars(net.same)


def test_a_missing_method_names_the_nearest():
    for name, words in (
        ('get_target', r"Head has no method 'get_target\(\)'. Nearest: .*get_targets"),
        ('x1234567', 'No similar name'),
    ):
        with pytest.raises(ValueError, match=words):
            find_method(Head(), name)
    with pytest.raises(ValueError, match="Deep has no method 'head"):
        find_method(Deep(), 'head')  # that is a module
    net = Deep()
    with pytest.raises(ValueError, match='no method'), Recorder(net, ['same', 'no()']):
        pass
    assert 'forward' not in vars(net.same)  # nothing was wrapped


PLAYERS = dict(
    logits='head[0]', maps='neck', stages=['layer.0', 'layer.-1', 'head'], none=[]
)


@pytest.mark.parametrize(
    ('path', 'found'),
    [
        ('<logits>', ['head[0]']),
        ('<maps>[:4]', ['neck[:4]']),
        ('<maps>[0]:input@-1', ['neck:input@-1[0]']),
        ('<maps>@-1', ['neck@-1']),
        ('<stages>', ['layer.0', 'layer.-1', 'head']),
        ('<stages>[-1]', ['head']),
        ('<stages>[:-1]', ['layer.0', 'layer.-1']),
        ('<stages>[1].-1:input', ['layer.-1.-1:input']),
        ('head', ['head']),
    ],
)
def test_roles(path: str, found: list[str]):
    assert is_role(path) == path.startswith('<')
    assert play(path, PLAYERS.__getitem__) == found


@pytest.mark.parametrize(
    'path', ['<stages>[3]', '<stages>[5:]', '<stages>[a]', '<none>']
)
def test_a_role_that_nobody_plays(path: str):
    with pytest.raises(ValueError, match=r'no such one among the \d: \['):
        play(path, PLAYERS.__getitem__)


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
