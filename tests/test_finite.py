"""A loss that is not finite is named, and stops the run or is left out."""

from __future__ import annotations

import logging
import math
import re
from pathlib import Path
from typing import Any

import pytest
import runs
import torch
import zoo
from mmengine.logging import MessageHub
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mmkd.build import build_model
from mmkd.checkpoints.broken import broken_weights, check_weights
from mmkd.checkpoints.load import load_weights
from mmkd.finite import IN_A_ROW, Guard

NAN, INF = float('nan'), float('inf')


def spoil(module: nn.Module, value: float = NAN) -> None:
    """From now on what a module returns has one bad value, the first."""

    def hook(_: nn.Module, __: Any, output: Any) -> Any:
        several = isinstance(output, (list, tuple))
        last = (output[-1] if several else output).clone()
        last.view(-1)[0] = value
        return type(output)([*output[:-1], last]) if several else last

    module.register_forward_hook(hook)


def spoil_losses(distiller: Any, name: str, value: float = NAN) -> None:
    """From now on one of the student's own losses is bad."""
    run = distiller.student.loss

    def loss(*args: Any) -> Any:
        losses = run(*args)
        one = losses[name]
        several = isinstance(one, list)
        losses[name] = [x * value for x in one] if several else one * value
        return losses

    distiller.student.loss = loss


def spoil_images(distiller: Any, value: float = NAN) -> None:
    process = distiller.data_preprocessor.forward

    def forward(*args: Any, **settings: Any) -> Any:
        data = process(*args, **settings)
        data['inputs'][1, 0, 0, 0] = value
        return data

    distiller.data_preprocessor.forward = forward


def step(distiller: Any, kind: str = 'cls', seed: int = 0) -> Any:
    sgd = torch.optim.SGD(distiller.parameters(), lr=0.02)
    return distiller.train_step(zoo.batch(kind, seed=seed), OptimWrapper(sgd))


def state(model: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[key], two[key]) for key in one)


# -- what is said ----------------------------------------------------------------------

CASES = {
    'teacher': (
        'cls',
        lambda d: spoil(d.teacher.backbone.layer4, INF),
        r"(?s)loss_cwt = inf\n    student 'backbone\[-1\]': finite\n    teacher "
        r"'backbone\[-1\]': 1 inf of 2048 values.*The teacher alone",
    ),
    'student': (
        'cls',
        lambda d: spoil(d.student.backbone.layer4),
        r"(?s)loss = nan, not a term's.*loss_kd = nan\n    student 'head.fc': 5 nan of "
        r"10 values\n    teacher 'head.fc': finite.*student 'backbone\[-1\]': 1 nan "
        'of 1024 values.*The student is not finite, its weights are',
    ),
    'levels': (
        'retinanet',
        lambda d: spoil(d.teacher.neck.fpn_convs[2]),
        r"teacher 'neck': 1 nan of \d+ values \(level 2\)",
    ),
    'loss': (
        'cls',
        lambda d: spoil(d.terms['loss_cwt'].connectors[0]),
        r"(?s)loss_cwt = nan\n    student 'backbone\[-1\]': finite\n    teacher "
        r"'backbone\[-1\]': finite\nThe images, .* in the loss, in its connector",
    ),
    'own': (
        'retinanet',  # whose head returns a list
        lambda d: spoil_losses(d, 'loss_bbox'),
        "is not finite.\n  loss_bbox = nan, not a term's\n.*or in the labels",
    ),
    'images': ('cls', spoil_images, r'The images are not finite: number 1\.'),
    'weights': (
        'cls',
        lambda d: d.student.head.fc.bias.data.fill_(INF),
        'Weights are not finite already: student.head.fc.bias. The gradient',
    ),
    'teacher weights': (
        'cls',
        lambda d: d.teacher.head.fc.bias.data.fill_(INF),
        r'Weights of a frozen teacher are .* finite: teacher: head.fc.bias. .*values\? '
        "Where numbers are 'float16'",
    ),
}


@pytest.mark.parametrize('case', CASES)
def test_it_is_named(case: str):
    """And the step changes no weight."""
    kind, harm, words = CASES[case]
    distiller = zoo.distiller(kind).train()
    step(distiller, kind)
    harm(distiller)
    names = dict(distiller.named_parameters())
    before = {key: p.clone() for key, p in names.items()}
    with pytest.raises(FloatingPointError, match=words):
        step(distiller, kind)
    assert same(before, names)


SLOWER = 'a smaller learning rate, a warm-up, or optim_wrapper.clip_grad'
KD = """  loss_kd = nan
    student 'head.fc': 5 nan of 10 values
    teacher 'head.fc': finite
"""
CWT = """  loss_cwt = nan
    student 'backbone[-1]': 1 nan of 1024 values
    teacher 'backbone[-1]': finite
"""
ADVICE = (
    f'The student is not finite, its weights are. What helps: {SLOWER}. Where numbers '
    "are 'float16', 'bfloat16' does not overflow.\n"
)
STOPPED = 'The step has changed no weight, and nothing of it is saved.'
SKIP = " model.nonfinite='skip' leaves such steps out."


@pytest.mark.parametrize('choice', ['stop', 'skip'])
@pytest.mark.parametrize(
    ('iteration', 'when'), [(None, 'A step'), (0, 'Iteration 1'), (6, 'Iteration 7')]
)
def test_the_whole_text(
    choice: str, iteration: int | None, when: str, monkeypatch: pytest.MonkeyPatch
):
    said: list[Any] = []
    monkeypatch.setattr('mmkd.finite.print_log', lambda *args: said.append(args))
    distiller = zoo.distiller('cls', nonfinite=choice).train()
    spoil(distiller.student.backbone.layer4)
    if iteration is not None:
        MessageHub.get_current_instance().update_info('iter', iteration)
    text = (
        f"{when}: a loss is not finite.\n  loss = nan, not a term's\n{KD}{CWT}{ADVICE}"
    )
    if choice == 'skip':
        step(distiller)
        assert said == [(f'{text}It is left out.', 'current', logging.WARNING)]
        return
    with pytest.raises(FloatingPointError) as error:
        step(distiller)
    assert str(error.value) == f'{text}{STOPPED}{SKIP}'


def test_the_text_of_levels():
    distiller = zoo.distiller('retinanet').train()
    spoil(distiller.teacher.neck.fpn_convs[0])
    spoil(distiller.teacher.neck.fpn_convs[2], INF)
    with pytest.raises(FloatingPointError) as error:
        step(distiller, 'retinanet')
    found = re.findall(r"teacher 'neck': (.*)", str(error.value))
    assert found == ['1 nan of 1536 values (level 0), 1 inf of 96 values (level 2)']


def test_a_teachers_weight_that_counts_for_nothing_stops_nothing():
    """As float16 makes of a large one. It is no part of what is saved either."""
    distiller = zoo.distiller('retinanet').train()
    distiller.teacher.bbox_head.retina_reg.bias.data[0] = INF
    log = step(distiller, 'retinanet')
    assert all(value.isfinite() for value in log.values())
    check_weights(distiller)


@pytest.mark.parametrize(('count', 'more'), [(4, ''), (5, ' and 1 more')])
def test_the_text_of_many_names(count: int, more: str):
    model = nn.Sequential(*(nn.Linear(1, 1) for _ in range(3)))
    model.guard = Guard('stop')
    for parameter in list(model.parameters())[:count]:
        parameter.data.fill_(NAN)
    with pytest.raises(FloatingPointError) as error:
        check_weights(model)
    assert str(error.value) == (
        'Nothing is saved, since weights are not finite: 0.weight, 0.bias, 1.weight, '
        f'1.bias{more}. The gradient of this step or an earlier one did that. Go on '
        f'from an earlier checkpoint, with {SLOWER}.'
    )


def test_a_broken_image_is_named_by_its_file():
    distiller = zoo.distiller('cls').train()
    spoil_images(distiller)
    data = zoo.batch('cls')
    data['data_samples'][1].set_metainfo(dict(img_path='folder/b.png'))
    with pytest.raises(FloatingPointError, match=r'not finite: folder/b\.png\. Look'):
        distiller.train_step(data, zoo.optimizer(distiller))


def test_ignore_does_not_look():
    distiller = zoo.distiller('cls', nonfinite='ignore').train()
    spoil(distiller.teacher.backbone.layer4)
    assert step(distiller)['loss_cwt'].isnan()
    with pytest.raises(ValueError, match='nonfinite'):
        zoo.distiller('cls', nonfinite='halt')


def test_nothing_is_looked_at_outside_of_training():
    distiller = zoo.distiller('cls').eval()
    spoil(distiller.teacher.backbone.layer4)
    data = distiller.data_preprocessor(zoo.batch('cls'))
    assert distiller(**data, mode='loss')['loss_cwt'].isnan()


class Sharp(torch.autograd.Function):
    """A loss that is finite and has an infinite gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * INF


def test_infinite_gradients_of_a_finite_loss():
    """A gradient scaler has them all the time: no reason to stop. Lost weights are."""
    distiller = zoo.distiller('cls').train()
    hook = distiller.student.head.fc.register_forward_hook(
        lambda *args: Sharp.apply(args[-1])
    )
    assert step(distiller)['loss'].isfinite()
    hook.remove()
    with pytest.raises(FloatingPointError, match='Nothing is saved.*student'):
        check_weights(distiller)
    check_weights(distiller.student)  # of a plain model nobody asks
    with pytest.raises(FloatingPointError, match='Weights are not finite already'):
        step(distiller)


# -- steps that are left out -----------------------------------------------------------


@pytest.mark.parametrize('kind', ['cls', 'faster_rcnn', 'pspnet'])
def test_a_skipped_step_leaves_no_trace(kind: str):
    """Weights and running statistics are as if the batch had not been there."""
    ends = []
    for bad in (False, True):
        torch.manual_seed(0)
        distiller = zoo.distiller(kind, nonfinite='skip').train()
        step(distiller, kind, 1)
        if bad:
            clean = distiller.data_preprocessor.forward
            spoil_images(distiller)
            before = state(distiller)
            assert step(distiller, kind, 2)['loss'].isnan()
            assert same(before, state(distiller))
            distiller.data_preprocessor.forward = clean
        assert step(distiller, kind, 3)['loss'].isfinite()
        ends.append(state(distiller))
    assert same(*ends) and not same(before, ends[0])


def test_skipping_has_an_end():
    """So many in a row; a good step between them counts anew."""
    distiller = zoo.distiller('cls', nonfinite='skip').train()
    clean = distiller.data_preprocessor.forward
    for _ in range(2):
        distiller.data_preprocessor.forward = clean
        step(distiller)
        spoil_images(distiller)
        for _ in range(IN_A_ROW - 1):
            step(distiller)
    with pytest.raises(
        FloatingPointError, match=f'number {IN_A_ROW} in a row: the run stops.$'
    ):
        step(distiller)


@pytest.mark.parametrize('kind', ['cls', 'retinanet'])
def test_what_is_logged_of_a_skipped_step(kind: str):
    """Each loss as it was: also those that are finite."""
    logs = []
    for choice in ('ignore', 'skip'):
        torch.manual_seed(0)
        distiller = zoo.distiller(kind, nonfinite=choice).train()
        spoil(distiller.teacher.backbone)
        log = step(distiller, kind)
        logs.append({key: float(value) for key, value in log.items()})
    finite = [key for key, value in logs[0].items() if math.isfinite(value)]
    assert finite and len(finite) < len(logs[0])
    assert str(logs[0]) == str(logs[1])


def test_broken_weights_cannot_be_skipped():
    distiller = zoo.distiller('cls', nonfinite='skip').train()
    distiller.student.head.fc.bias.data[0] = NAN
    with pytest.raises(FloatingPointError, match='student.head.fc.bias'):
        step(distiller)


# -- runs ------------------------------------------------------------------------------


def test_a_run_stops_before_it_saves(tmp_path: Path):
    """With the iteration as the log counts it."""
    runner = runs.runner('cls', tmp_path, iters=5)
    spoilt = runner.model.student.backbone.layer4
    original = runner.call_hook

    def call_hook(name: str, **settings: Any) -> None:
        if name == 'before_train_iter' and runner.iter == 2:
            spoil(spoilt)
        original(name, **settings)

    runner.call_hook = call_hook
    with pytest.raises(FloatingPointError, match='^Iteration 3: a loss is not finite'):
        runner.train()
    assert {file.name for file in tmp_path.glob('*.pth')} == {
        'iter_1.pth',
        'iter_2.pth',
    }
    assert list(runs.logged(tmp_path)) == [1, 2]


def test_broken_weights_are_not_saved(tmp_path: Path):
    """The gradient of the third step breaks them, and its loss was finite."""
    runner = runs.runner('cls', tmp_path, iters=5)
    head, original = runner.model.student.head.fc, runner.call_hook

    def call_hook(name: str, **settings: Any) -> None:
        if name == 'before_train_iter' and runner.iter == 2:
            head.register_forward_hook(lambda *args: Sharp.apply(args[-1]))
        original(name, **settings)

    runner.call_hook = call_hook
    with pytest.raises(FloatingPointError, match='Nothing is saved.*student'):
        runner.train()
    assert {file.name for file in tmp_path.glob('*.pth')} == {
        'iter_1.pth',
        'iter_2.pth',
    }


def two_ranks(rank: int, folder: Path, choice: str, unused: bool) -> None:
    """The second of three batches is bad on rank 1 alone."""
    torch.manual_seed(0)
    distiller = zoo.distiller('cls', nonfinite=choice).train()
    model = MMDistributedDataParallel(distiller, find_unused_parameters=unused)
    optimizer = zoo.optimizer(model, accumulative_counts=2)
    clean, text = distiller.data_preprocessor.forward, ''
    for i in range(4):
        if rank == 1 and i in (1, 2):  # one that is shared out, and one that is not
            spoil_images(distiller)
        try:
            with optimizer.optim_context(model):
                model.train_step(zoo.batch('cls', seed=10 * i + rank), optimizer)
        except FloatingPointError as error:
            text = str(error)
            break
        distiller.data_preprocessor.forward = clean
    weights = {key: value.clone() for key, value in distiller.named_parameters()}
    torch.save(dict(text=text, weights=weights), folder / f'{rank}.pth')


@pytest.mark.slow
@pytest.mark.parametrize(
    ('choice', 'unused'), [('stop', False), ('skip', False), ('skip', True)]
)
def test_all_ranks_decide_alike(choice: str, unused: bool, tmp_path: Path):
    runs.on_two_ranks(two_ranks, tmp_path, choice, unused)
    one, two = (torch.load(tmp_path / f'{i}.pth', weights_only=True) for i in range(2))
    assert one['text'] == two['text']
    words = ('On rank 1:' in one['text'], 'images are not finite' in one['text'])
    assert words == ((True, True) if choice == 'stop' else (False, False))
    assert 'On rank 0' not in one['text']
    assert same(one['weights'], two['weights'])
    assert all(value.isfinite().all() for value in one['weights'].values())


# -- files -----------------------------------------------------------------------------


def test_a_teachers_file_is_looked_at(tmp_path: Path):
    teacher = build_model(zoo.student('cls', width=8), 'teacher')
    teacher.backbone.layer1[0].conv1.weight.data[0, 0, 0, 0] = NAN
    teacher.backbone.bn1.running_var[1] = INF
    torch.save(teacher.state_dict(), tmp_path / 'teacher.pth')
    words = (
        r'teacher.pth: 2 tensors hold NaN or infinity \(backbone.layer1.0.conv1.weight,'
        r' backbone.bn1.running_var\).*earlier checkpoint'
    )
    with pytest.raises(RuntimeError, match=words):
        zoo.distiller('cls', teacher_ckpt=str(tmp_path / 'teacher.pth'))


def test_other_buffers_may_hold_anything(tmp_path: Path):
    """As attention masks do."""
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model.register_buffer('mask', torch.tensor([0.0, -INF]))
    torch.save(model.state_dict(), tmp_path / 'mask.pth')
    assert load_weights(model, tmp_path / 'mask.pth', 'teacher').matched == 7
    model[0].bias.data[0], model[1].running_var[1] = -INF, NAN
    assert broken_weights(model) == ['0.bias', '1.running_var']
