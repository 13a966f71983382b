"""Teachers made cheap: what each option does, and what it changes in the loss."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

import pytest
import torch
import zoo
from mmengine.logging import MessageHub
from torch import nn

from mmkd.recorder import Enough, Recorder
from mmkd.registry import MODELS
from mmkd.teacher.cheap import TeacherOptions
from mmkd.teacher.compiled import compile_parts

OLD = torch.__version__.startswith('2.1.')
EAGER = dict(backend='eager')  # the same graphs, without a compiler


def trained(kind: str) -> nn.Module:
    """A teacher whose BatchNorms have statistics of their own."""
    torch.manual_seed(3)
    model = zoo.distiller(kind).teacher
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return model


def losses(kind: str, model: nn.Module, **settings: Any) -> tuple[Any, dict]:
    """A distiller with options, and the raw values of its terms."""
    torch.manual_seed(0)
    config = dict(teacher=copy.deepcopy(model), teacher_ckpt=None, **settings)
    distiller = zoo.distiller(kind, **config).train()
    data = distiller.data_preprocessor(zoo.batch(kind), True)
    torch.manual_seed(5)
    values = distiller(**data, mode='loss')
    found = {key: float(v) for key, v in values.items() if key.startswith('raw_')}
    return distiller, found


def norms(model: nn.Module) -> int:
    return sum(isinstance(m, nn.BatchNorm2d) for m in model.modules())


@pytest.mark.parametrize('kind', zoo.KINDS)
@pytest.mark.parametrize(
    ('options', 'tolerance'),
    [
        (dict(fold_bn=True), 1e-4),
        (dict(channels_last=True), 1e-4),
        (dict(compile=EAGER), 1e-6),
        (dict(dtype='bfloat16'), 0.1),
        (dict(fold_bn=True, channels_last=True, compile=EAGER), 1e-4),
    ],
    ids=['fold', 'channels_last', 'compile', 'bf16', 'all'],
)
def test_the_losses_stay(kind: str, options: dict, tolerance: float):
    if (kind, 'compile' in options) == ('mask_rcnn', True) and OLD:
        pytest.skip("torch 2.1 cannot compile mmdet's mask head")
    model = trained(kind)
    _, exact = losses(kind, model)
    if 'rcnn' in kind and options.keys() & {'channels_last', 'dtype'}:
        words = 'has operators that do not know this|not implemented for .BFloat16'
        with pytest.raises(RuntimeError, match=words):  # mmcv's RoIAlign
            losses(kind, model, teacher_options=options)
        return
    distiller, cheap = losses(kind, model, teacher_options=options)
    assert exact.keys() == cheap.keys()
    for key, value in exact.items():
        assert value > 0 and cheap[key] == pytest.approx(value, rel=tolerance, abs=1e-6)
    if 'dtype' in options:
        assert cheap != exact
    if 'fold_bn' in options:
        assert norms(distiller.teacher) < norms(model)


def test_all_is_off_by_default():
    model = trained('cls')
    _, plain = losses('cls', model)
    distiller, same = losses('cls', model, teacher_options={})
    assert plain == same and norms(distiller.teacher) == norms(model)
    assert distiller.options['teacher'] == TeacherOptions()


def test_folding_takes_all_that_it_can():
    """ResNet's BatchNorms are all behind a convolution of their own."""
    distiller, _ = losses('cls', trained('cls'), teacher_options=dict(fold_bn=True))
    assert norms(distiller.teacher) == 0
    assert not any(p.requires_grad for p in distiller.teacher.parameters())
    assert not any(module.training for module in distiller.teacher.modules())


@pytest.mark.parametrize(
    'path', ['backbone.layer1.0.conv1', 'backbone.layer1.0.bn1:input', 'backbone.bn1']
)
def test_what_is_tapped_is_not_folded(path: str):
    model = trained('cls')
    align = dict(type='mmkd.Align')
    term = dict(student=path, connector=align, loss=dict(type='mmkd.MSE'))
    _, exact = losses('cls', model, terms=dict(loss_x=term))
    distiller, cheap = losses(
        'cls', model, terms=dict(loss_x=term), teacher_options=dict(fold_bn=True)
    )
    assert cheap['raw_x'] == pytest.approx(exact['raw_x'], rel=1e-4)
    assert norms(distiller.teacher) == 1


class Twice(nn.Module):
    """Uses what the convolution gives a second time."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.bn = nn.BatchNorm2d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        return self.bn(x) + x


class Shared(Twice):
    """One convolution before two BatchNorms."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.BatchNorm2d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn(self.conv(x)) + self.other(self.conv(x))


def test_folding_sees_what_it_would_break():
    x = torch.randn(2, 3, 4, 4)
    for kind in Twice, Shared:
        model = kind().eval()
        nn.init.constant_(model.bn.running_mean, 1.0)
        before = model(x)

        def fold(model: nn.Module = model) -> None:
            options = TeacherOptions(fold_bn=True)
            options.apply(model, lambda x: [model(x)], x, set())

        if kind is Twice:
            with pytest.raises(RuntimeError, match='(?s)says something else.*twice'):
                fold()
        else:
            fold()
            assert torch.equal(model(x), before)


def test_compiled_are_the_parts_between_taps():
    model = zoo.plain('cls')
    compile_parts(model, {'backbone.layer3', 'head.fc'}, EAGER)
    own = {name for name, m in model.named_modules() if 'forward' in m.__dict__}
    assert own == {'neck', *(f'backbone.layer{i}' for i in range(1, 5))}
    model = zoo.plain('cls')
    compile_parts(model, {'backbone', 'head.fc'}, EAGER)
    own = {name for name, m in model.named_modules() if 'forward' in m.__dict__}
    assert own == {'neck', 'backbone'}


def test_compiled_once(monkeypatch: pytest.MonkeyPatch):
    """Steps that come later, and their taps, make no new graphs."""
    graphs: list[int] = []

    def backend(graph: Any, _: Any) -> Any:
        graphs.append(1)
        return graph

    options = dict(compile=dict(backend=backend))
    distiller, _ = losses('cls', trained('cls'), teacher_options=options)
    count, optimizer = len(graphs), zoo.optimizer(distiller)
    assert count
    for seed in range(3):
        distiller.train_step(zoo.batch('cls', seed), optimizer)
    assert len(graphs) == count


def test_each_part_is_compiled():
    """All of a model's Sequentials, though torch gives up on code after a while."""
    graphs: list[int] = []

    def backend(graph: Any, _: Any) -> Any:
        graphs.append(1)
        return graph

    parts = [nn.Sequential(nn.Linear(2, 2), nn.ReLU()) for _ in range(12)]
    model = nn.Sequential(*parts)
    compile_parts(model, set(), dict(backend=backend))
    with torch.no_grad():
        model(torch.rand(1, 2))
    assert len(graphs) == 12


def test_every():
    """Every second iteration, twice the weight; in between the teacher rests."""
    hub = MessageHub.get_current_instance()
    hub.update_info('max_iters', 10)
    hub.update_info('iter', 0)
    every, _ = losses('cls', trained('cls'), teacher_options=dict(every=2))
    ran: list[int] = []
    every.teacher.backbone.register_forward_hook(lambda *_: ran.append(1))
    for step in range(4):
        hub.update_info('iter', step)
        data = every.data_preprocessor(zoo.batch('cls'), True)
        values = every(**data, mode='loss')
        expected = 0 if step % 2 else 2 * float(values['raw_kd'])
        assert float(values['loss_kd']) == pytest.approx(expected)
        assert len(ran) == step // 2 + 1


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(fold=True), "teacher_options: nobody reads the key 'fold'.*'fold_bn'"),
        (dict(dtype='bf8'), "dtype='bf8' is none of"),
        (dict(every=0), r'every: 0 is not a count'),
    ],
)
def test_mistakes(options: dict, words: str):
    with pytest.raises(ValueError, match=words):
        zoo.distiller('cls', teacher_options=options)


def test_inherited_weights_are_not_folded():
    same = dict(teacher=zoo.student('cls'), inherit='head')
    zoo.distiller('cls', **same)
    with pytest.raises(ValueError, match='not with fold_bn'):
        zoo.distiller('cls', teacher_options=dict(fold_bn=True), **same)


def test_options_of_one_of_several_teachers():
    teachers = {
        name: dict(model=zoo.student('cls', width=8), ckpt='random', **settings)
        for name, settings in (('a', {}), ('b', dict(options=dict(fold_bn=True))))
    }
    settings = dict(teacher=None, teacher_ckpt=None, teachers=teachers)
    distiller = zoo.distiller('cls', **settings)
    counts = [norms(distiller.frozen[name].model) for name in 'ab']
    assert counts[0] > counts[1] == 0
    with pytest.raises(ValueError, match="'options' each"):
        zoo.distiller('cls', teacher_options={}, **settings)


# -- the end of the teacher's forward --------------------------------------------------


def test_it_ends_with_the_last_tap():
    """The rest of a backbone, and the module whose input is tapped, do not run."""
    align, mse = dict(type='mmkd.Align'), dict(type='mmkd.MSE')
    terms = dict(
        loss_a=dict(student='backbone.layer1', connector=align, loss=mse),
        loss_b=dict(student='backbone.layer3:input', connector=align, loss=mse),
    )
    model = trained('cls')
    distiller, values = losses('cls', model, terms=terms)
    ran: list[str] = []
    for name, module in distiller.teacher.named_modules():
        module.register_forward_pre_hook(lambda *_, name=name: ran.append(name))
    data = distiller.data_preprocessor(zoo.batch('cls'), True)
    torch.manual_seed(5)
    again = distiller(**data, mode='loss')
    assert 'backbone.layer2.1.conv2' in ran and 'backbone.layer3.0' not in ran
    # What it says is what it says when it runs to its end.
    distiller.once = {}
    ran.clear()
    torch.manual_seed(5)
    whole = distiller(**data, mode='loss')
    assert 'backbone.layer4.0' in ran
    for key in ('raw_a', 'raw_b'):
        assert torch.equal(whole[key], again[key])
    assert values.keys() == {'raw_a', 'raw_b'}


@pytest.mark.parametrize('kind', zoo.KINDS)
def test_ending_early_changes_no_loss(kind: str):
    distiller, early = losses(kind, trained(kind))
    assert distiller.once['teacher'] or kind == 'retinanet'
    distiller.once = {}
    data = distiller.data_preprocessor(zoo.batch(kind), True)
    whole, again = [], []
    for values in whole, again:
        torch.manual_seed(5)
        found = distiller(**data, mode='loss')
        values.append({key: float(found[key]) for key in early})
    assert whole == again


def test_modules_that_run_several_times_are_waited_for():
    """RetinaNet's head runs on five levels: all of them count."""
    distiller, _ = losses('retinanet', trained('retinanet'))
    assert 'bbox_head.retina_cls' not in distiller.once['teacher']
    term = dict(
        student='bbox_head.retina_cls@*',
        loss=dict(type='mmkd.BinaryKD'),
    )
    distiller, _ = losses('retinanet', trained('retinanet'), terms=dict(loss_x=term))
    assert distiller.once == {'teacher': set()}


def test_no_handler_catches_the_end():
    class Careful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Identity(), nn.Identity()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with suppress(Exception):
                x = self.a(x)
            return self.b(x)

    model = Careful()
    with pytest.raises(Enough), Recorder(model, ['a'], enough=True) as recorder:
        model(torch.ones(1))
    assert recorder['a'][0] == 1 and 'forward' not in model.a.__dict__
    assert MODELS.get('mmkd.Distiller')
