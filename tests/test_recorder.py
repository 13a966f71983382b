"""Recorder: what paths mean, and that nothing is left behind."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import pytest
import torch
from torch import Tensor, nn

from mmkd.recorder import Recorder, parse


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


def test_recording_copies_nothing():
    """What is kept is the very tensor that the module returned."""
    seen = []
    net = Net()
    net.stem.register_forward_hook(lambda _, __, output: seen.append(output))
    with Recorder(net, ['stem']) as recorder:
        net(torch.randn(5, 2))
    assert recorder['stem'][0] is not None
    assert recorder['stem'][0].data_ptr() == seen[0].data_ptr()
    gc.collect()


def test_inference_tensors():
    net = Net()
    with torch.inference_mode(), Recorder(net, ['head']) as recorder:
        net(torch.randn(5, 2))
    assert recorder['head'][0].shape == (5, 4)
