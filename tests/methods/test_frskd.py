"""FRSKD: the self-teacher against the authors' code, its gradients, its three forms."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import zoo
from cells import at, classifiers, moved, part, total
from harness import Network, filled, wave
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmkd.losses import AT, KD
from mmkd.networks import (
    FRSKDNeck,
    FRSKDNeckTeacher,
    FRSKDSLATeacher,
    FRSKDTeacher,
)
from mmkd.networks.bifpn import resize_down, resize_up
from mmkd.networks.frskd_sla import aggregate, rotations
from mmkd.registry import MODELS
from mmkd.targets import Targets
from mmkd.term import Term

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.fixture(autouse=True)
def run_at_its_end() -> None:
    """The segmentation terms ramp up over a run, and are whole at its end."""
    at(100)


def sources(channels: tuple[int, ...], size: int = 8) -> list[tuple[int, int, int]]:
    return [(c, size // 2**i, size // 2**i) for i, c in enumerate(channels)]


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# What the authors' code gave, and what is checked of all methods.
CODE = 'github.com/MingiJi/FRSKD 98b87e5'
AUTHORS = {
    'test_authors_values': f'{CODE}: BiFPNc, BiFPN, Attention',
    'test_authors_value_with_sla': f'{CODE}: SLALoss',
    'test_authors_values_in_segmentation': f'{CODE}: EfficientDet',
}


class Together(nn.Module):
    """Calls a network that wants its levels as one argument."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *levels: Tensor) -> Any:
        return self.network(levels)


class Rotated(nn.Module):
    """FRSKD's losses on rotated images, as a function of the student's features."""

    def __init__(self) -> None:
        super().__init__()
        sources = [(2, 4, 4), (3, 2, 2)]
        self.teacher = FRSKDSLATeacher(sources, (2,), width=1.0, depth=1)

    def forward(self, shallow: Tensor, deep: Tensor) -> Tensor:
        logits = deep.mean((2, 3))[::4, :2]
        losses = self.teacher.extra_losses(
            shallow.new_zeros(2, 3, 4, 4),
            logits,
            logits.cos(),
            lambda _: [shallow, deep],
            Targets(labels=torch.tensor([1, 0])),
        )
        # The others hold one side fixed, as a loss does its teacher.
        return losses['loss_joint_student'] + losses['loss_joint']


PYRAMID = [(3, 4, 4), (4, 2, 2)]
IN_PYRAMID = [(2, *shape) for shape in PYRAMID]
NETWORKS = [
    Network(
        lambda: Together(FRSKDTeacher(PYRAMID, (5,), width=1.0, depth=1)), IN_PYRAMID
    ),
    Network(
        lambda: Together(FRSKDTeacher(PYRAMID, (5, 4, 4), width=1.0, hidden=3)),
        IN_PYRAMID,
    ),
    Network(Rotated, [(8, 2, 4, 4), (8, 3, 2, 2)]),
    Network(
        lambda: Together(FRSKDNeck([3, 4], 3, layers=1)), [(2, 3, 16, 16), (2, 4, 8, 8)]
    ),
    Network(
        lambda: Together(FRSKDNeckTeacher([(3, 4, 4), (3, 2, 2)], (2, 4, 4), hidden=3)),
        [(2, 3, 4, 4), (2, 3, 2, 2)],
    ),
]


# -- the self-teacher as the authors have it -----------------------------------------

RESNET, WRN = (64, 128, 256, 512), (32, 64, 128)
# Counted in github.com/MingiJi/FRSKD 98b87e5.
PARAMETERS = [
    (RESNET, 100, dict(width=2), 6375794),
    (RESNET, 100, dict(width=2, depth=1), 4625906),
    (RESNET, 100, dict(width=1), 1983730),
    (RESNET, 100, dict(width=1, depth=1), 1538866),
    (RESNET, 200, dict(width=2), 6478294),
    (RESNET, 1000, dict(width=2), 7298294),
    (RESNET, 1000, dict(width=1, depth=1), 2000566),
    (WRN, 100, dict(width=2), 411885),
    (WRN, 100, dict(width=1), 134317),
    (RESNET, 100, dict(channels=256), 1324658),
]


@pytest.mark.parametrize(('channels', 'classes', 'settings', 'number'), PARAMETERS)
def test_parameters(channels: Any, classes: int, settings: Any, number: int):
    teacher = FRSKDTeacher(sources(channels), (classes,), **settings)
    assert count(teacher) == number


def test_parameters_of_the_parts():
    teacher = FRSKDTeacher(sources(RESNET), (100,))
    layer = teacher.pyramid[0]
    parts = [layer.lateral, layer.lateral_back, layer.up, layer.down, teacher.head]
    assert [count(part) for part in parts] == [700160, 691712, 689920, 691712, 102500]
    weights = [
        sum(n.weight.numel() for n in x) for x in (layer.top_down, layer.bottom_up)
    ]
    assert weights == [6, 8]
    convs = [sum(count(n.conv) for n in x) for x in (layer.top_down, layer.bottom_up)]
    assert convs == [707840, 2791936]


# Made by github.com/MingiJi/FRSKD 98b87e5 (BiFPNc, BiFPN, Attention with alpha 2, beta
# 100 and tau 4) in float64, with the weights of `filled` and the features below: logits
# of the first image, mean of each refined level, distillation loss.
VALUES = [
    (
        dict(width=2, depth=2),
        [2.2159212204050354, 1.8631229449474394, 0.9346261689781991],
        [1.0842972091122483, 1.031287359097745, 1.080258207619698],
        9.308465933039823,
    ),
    (
        dict(channels=10),
        [2.3499216874566544, 0.41112555229343484, 0.6814160140243757],
        [1.005768989048455, 1.0585259297742309, 1.102099228499158],
        18.305087452493453,
    ),
    (
        dict(channels=10, repeat=2),
        [0.9580212510650906, 1.2595072539336247, 1.1934574632238226],
        [1.129549464474718, 1.1905316961626542, 1.0013120298128295],
        22.01626573410226,
    ),
]


@pytest.mark.parametrize(('settings', 'logits', 'means', 'loss'), VALUES)
def test_authors_values(settings: Any, logits: Any, means: Any, loss: float):
    shapes = sources((4, 6, 8))
    teacher = filled(FRSKDTeacher(shapes, (5,), **settings))
    features = [wave(2, *s, phase=i).relu() for i, s in enumerate(shapes)]
    refined = teacher.pyramid(features)
    z = teacher.head(refined[-1])
    assert z[0, :3].tolist() == pytest.approx(logits, rel=1e-9)
    assert [x.mean().item() for x in refined] == pytest.approx(means, rel=1e-9)
    attention = sum(AT()(f, t) for f, t in zip(features, refined))
    total = 2 * KD(tau=4)(wave(2, 5), z) + 100 * attention
    assert total.item() == pytest.approx(loss, rel=1e-9)


class Toy(nn.Module):
    """A student of two levels."""

    def __init__(self) -> None:
        super().__init__()
        self.shallow = nn.Conv2d(3, 4, 3, 1, 1)
        self.deep = nn.Conv2d(4, 6, 3, 2, 1)
        self.fc = nn.Linear(6, 3)

    def forward(self, images: Tensor) -> list[Tensor]:
        shallow = self.shallow(images).relu()
        return [shallow, self.deep(shallow).relu()]


def test_authors_value_with_sla():
    """Their SLALoss with lambda 1 and Attention with alpha 2 and beta 100, summed."""
    student = filled(Toy())
    teacher = filled(FRSKDSLATeacher(sources((4, 6)), (3,)))
    images, labels = wave(2, 3, 8, 8), torch.tensor([2, 0])
    features = student(images)
    z = student.fc(features[-1].mean((2, 3)))
    refined = teacher.pyramid(features)
    own = teacher.head(refined[-1])
    extra = teacher.extra_losses(images, z, own, student, Targets(labels=labels))
    total = F.cross_entropy(z, labels) + F.cross_entropy(own, labels)
    total += 1.0 * KD(tau=4)(z, own) + sum(extra.values())
    total += 20 * sum(AT()(f, t) for f, t in zip(features, refined))
    assert total.item() == pytest.approx(19.728408250981897, rel=1e-9)


# -- sizes and forms ------------------------------------------------------------------

SIZES = {
    'odd': [(25, 19), (13, 10), (7, 5), (4, 3)],
    'dilated': [(16, 32), (8, 16), (8, 16), (8, 16)],
    'uneven': [(30, 30), (10, 30), (4, 7), (1, 1)],
}


@pytest.mark.parametrize('form', [dict(width=0.5), dict(channels=8, repeat=2)], ids=str)
@pytest.mark.parametrize('sizes', SIZES.values(), ids=list(SIZES))
def test_any_sizes(sizes: list[tuple[int, int]], form: dict[str, Any]):
    shapes = [(4 * (i + 1), *size) for i, size in enumerate(sizes)]
    teacher = FRSKDTeacher(shapes, (3,), **form)
    features = [torch.rand(2, *shape) for shape in shapes]
    refined = teacher.pyramid(features)
    assert [tuple(x.shape[1:]) for x in refined] == [
        (width, *size) for width, size in zip(teacher.widths, sizes)
    ]
    assert teacher(features).shape == (2, 3)


@pytest.mark.parametrize('size', itertools.product([1, 2, 5, 6], [3, 8]))
def test_down_is_max_pooling_of_what_is_there(size: tuple[int, int]):
    x = torch.rand(2, 3, *size)
    small = resize_down(x, tuple(math.ceil(s / 2) for s in size))
    before = [s % 2 for s in size]  # padding in front
    for i, j in itertools.product(*map(range, small.shape[2:])):
        top, left = 2 * i - before[0], 2 * j - before[1]
        window = x[..., max(top, 0) : top + 3, max(left, 0) : left + 3]
        assert torch.equal(small[..., i, j], window.amax((2, 3)))


def test_equal_sizes_stay():
    x = torch.rand(1, 2, 7, 5)
    assert resize_down(x, (7, 5)) is x and resize_up(x, (7, 5)) is x
    assert torch.equal(resize_up(x, (14, 10)), F.interpolate(x, scale_factor=2))


FORMS = {
    'classes': dict(target=(3,)),
    'width, twice': dict(target=(3,), repeat=2),
    'pixels, deepest': dict(target=(3, 4, 4), channels=8),
    'pixels, shallowest': dict(target=(3, 16, 16), repeat=2, from_deepest=False),
    'features': dict(target=None, width=1, relu=False, norm='GN'),
}


@pytest.mark.parametrize('form', FORMS.values(), ids=list(FORMS))
def test_supervision_trains_all_of_it(form: dict[str, Any]):
    """Every parameter gets a gradient: DDP waits for each of them."""
    shapes = sources((4, 8, 12), size=16)
    teacher = FRSKDTeacher(shapes, **form)
    features = [torch.rand(2, *shape) for shape in shapes]
    output = teacher(features)
    target = form['target']
    outputs = [output] if target else output
    wanted = [target] if target else shapes
    assert [tuple(x.shape[1:]) for x in outputs] == wanted
    sum(x.square().sum() for x in outputs).backward()
    assert all(p.grad is not None and p.grad.any() for p in teacher.parameters())


def test_fusion_weights():
    teacher = FRSKDTeacher(sources((4, 8)), (3,))
    node = teacher.pyramid[0].top_down[0]
    node.conv = nn.Identity()
    a, b = torch.rand(2, 1, 4, 8, 8)
    assert torch.allclose(node(a, b), (a + b) / 2, atol=1e-6)
    node.weight.data = torch.tensor([3.0, -1.0])
    assert torch.allclose(node(a, b), a, atol=1e-6)


@pytest.mark.parametrize(
    ('shapes', 'settings', 'word'),
    [
        ([(4, 8, 8)], {}, 'teacher_reads'),
        ([(4,), (8,)], {}, 'teacher_reads'),
        (sources((4, 8)), dict(norm='LN'), 'SyncBN'),
        (sources((4, 8)), dict(depth=0), 'depth'),
        (sources((4, 8)), dict(repeat=0), 'repeat'),
    ],
)
def test_bad_argument(shapes: Any, settings: dict[str, Any], word: str):
    with pytest.raises(ValueError, match=word):
        FRSKDTeacher(shapes, (3,), **settings)


# -- segmentation as the authors have it -----------------------------------------------


def test_authors_values_in_segmentation():
    """Made by their EfficientDet without its EfficientNet, in float64."""
    channels, sizes = (3, 4, 5, 6), (24, 12, 6, 3)
    pairs = enumerate(zip(channels, sizes))
    features = [wave(2, c, size, size, phase=i) for i, (c, size) in pairs]
    levels = filled(FRSKDNeck(channels, 4))(features)
    teacher = filled(FRSKDNeckTeacher([(4, 1, 1)] * 6, (3, 1, 1)))
    means = [
        [1.2068436299533094, 1.4531921453010366, 0.9015448660892825]
        + [1.0058089814306135, 1.4062313389648435, 0.7758658563131797],
        [0.8540083417345987, 1.4839868831637146, 0.8776220159940791]
        + [1.0375243884298606, 1.3698798568677986, 0.7724723807123814],
    ]
    for refined, expected in zip((levels, teacher.pyramid(levels)), means):
        assert [x.mean().item() for x in refined] == pytest.approx(expected, rel=1e-9)
    assert teacher(levels)[0, :, 3, 5].tolist() == pytest.approx(
        [-3.1552112079692205, 3.7239027583329527, -35.61127774082958], rel=1e-9
    )


@pytest.mark.parametrize(('width', 'head'), [(64, 196629), (88, None), (112, None)])
def test_parameters_in_segmentation(width: int, head: int | None):
    """Counted in the authors' code for the B0."""
    neck = FRSKDNeck((24, 40, 80, 320), width)
    teacher = FRSKDNeckTeacher([(width, 1, 1)] * 6, (21, 1, 1))
    assert count(neck.pyramid) == 3 * 11 * 4 * width
    assert count(teacher.pyramid) == (11 + 6) * 4 * width
    if head:
        found = count(neck.pyramid), count(teacher.pyramid), count(teacher.head)
        assert found == (8448, 4352, head)


def test_segmentation_config():
    """Around an EfficientNet; of the student nothing is left over for the teacher."""
    file = (
        CONFIGS / 'frskd' / 'frskd_bifpn-efficientnet-b0_1xb16-60e_voc0712-512x512.py'
    )
    model = Config.fromfile(file).model
    model.student.backbone.init_cfg = None
    model.student.data_preprocessor.size = (64, 64)
    with DefaultScope.overwrite_default_scope('mmseg'):
        distiller = MODELS.build(model).train()
    assert count(distiller.teacher) == 196629 + 4352
    total, log = distiller.parse_losses(losses(distiller, 'pspnet'))
    total.backward()
    assert log['raw_kd'] > 0 and log['raw_at'] > 0
    assert all(p.grad is not None for p in distiller.teacher.parameters())
    assert all(p.grad is not None for p in distiller.student.neck.parameters())


def test_a_teacher_of_a_neck_wants_its_levels():
    for shapes, target in (([(4, 8, 8)], (3, 8, 8)), (sources((4, 8)), (3, 8, 8))):
        with pytest.raises(ValueError, match='FRSKDNeck'):
            FRSKDNeckTeacher(shapes, target)


# -- as a method ----------------------------------------------------------------------


def config(kind: str, **settings: Any) -> dict[str, Any]:
    """The method as its fragment has it, around a small model."""
    student = settings.pop('student', zoo.student(kind))
    return {**part('frskd', kind), 'student': student, **settings}


def build(kind: str, **settings: Any) -> Any:
    return MODELS.build(config(kind, **settings)).train()


def losses(distiller: Any, kind: str, count: int = 2) -> dict[str, Any]:
    data = distiller.data_preprocessor(zoo.batch(kind, count=count), True)
    return distiller(**data, mode='loss')


def in_cell(distiller: Any, values: dict[str, Any], kind: str) -> None:
    """Supervision reaches student and self-teacher; a detector's heads serve both."""
    assert all(p.grad is not None for p in distiller.teacher.parameters())
    distiller.zero_grad()
    own = [v for k, v in values.items() if k.startswith('teacher_') and 'loss' in k]
    sum(map(total, own)).backward()
    assert moved(distiller.student.backbone)
    assert all(p.grad is not None for p in distiller.teacher.parameters())
    shared = kind not in ('cls', 'pspnet')
    assert any(map(moved, classifiers(distiller.student))) == shared


# Loss -> whether it reaches the student's backbone, its classifier, the self-teacher.
FLOW = {
    'loss': (True, True, False),
    'teacher_loss': (True, False, True),
    'loss_kd': (True, True, False),
    'loss_at': (True, False, False),
}


@pytest.mark.parametrize('name', FLOW)
def test_gradient_flow(name: str):
    distiller = build('cls')
    losses(distiller, 'cls')[name].backward()
    student = distiller.student
    parts = (student.backbone, student.head, distiller.teacher)
    assert tuple(map(moved, parts)) == FLOW[name]
    for reached, one in zip(FLOW[name][1:], parts[1:]):
        assert reached or all(p.grad is None for p in one.parameters())


def test_the_student_begins_as_it_would_alone():
    torch.manual_seed(3)
    plain = zoo.plain('cls').state_dict()
    torch.manual_seed(3)
    own = build('cls').student.state_dict()
    assert all(torch.equal(plain[key], own[key]) for key in plain)


def test_without_feature_distillation():
    """FRSKD\\F: the same, less its attention loss."""
    terms = part('frskd', 'cls')['terms']
    terms['loss_at']['weight'] = 0.0
    values = losses(build('cls', terms=terms), 'cls')
    assert values['loss_at'] == 0 and values['raw_at'] == 0
    assert values['loss_kd'] > 0 and values['teacher_loss'] > 0


@pytest.mark.parametrize('kind', ['Mixup', 'CutMix'])
def test_mixed_images(kind: str):
    """The self-teacher is supervised with the mixed labels, in every batch."""
    student = zoo.student('cls')
    student['train_cfg'] = dict(augments=dict(type=kind, alpha=1.0))
    student['head']['loss'] = dict(type='CrossEntropyLoss', use_soft=True)
    distiller = build('cls', student=student)
    logits: list[Tensor] = []
    distiller.teacher.head.register_forward_hook(lambda *args: logits.append(args[2]))
    for _ in range(3):
        data = distiller.data_preprocessor(zoo.batch('cls', count=4), True)
        scores = torch.stack([sample.gt_score for sample in data['data_samples']])
        values = distiller(**data, mode='loss')
        expected = -(scores * logits.pop().log_softmax(1)).sum(1).mean()
        assert torch.allclose(values['teacher_loss'], expected)
        assert values['loss_kd'] > 0 and values['loss_at'] > 0
    distiller.eval()
    assert len(distiller.test_step(zoo.batch('cls'))) == 2


def test_ramp():
    """As the authors' 60 epochs: nothing for 40, then up to 1 at the last."""
    pieces = [
        dict(kind='constant', by='epoch', end=40, factor=0.0),
        dict(kind='sigmoid', by='epoch', begin=39, end=59),
    ]
    term = Term('loss_kd', dict(type='mmkd.KD'), 'head.fc', schedule=pieces)
    hub = MessageHub.get_current_instance()
    hub.update_info('max_epochs', 60)
    weights = []
    for epoch in (0, 39, 40, 44, 49, 54, 59):
        hub.update_info('epoch', epoch)
        weights.append(round(term.update_weight(), 3))
    assert weights == [0, 0, 0.011, 0.06, 0.287, 0.732, 1]


def test_the_ramp_that_ships():
    distiller = build('pspnet')
    hub = MessageHub.get_current_instance()
    hub.update_info('max_iters', 80000)
    hub.update_info('iter', 1000)
    values = losses(distiller, 'pspnet')
    assert values['loss_at'] == 0 and values['teacher_loss_ce'] > 0
    hub.update_info('iter', 66667)
    values = losses(distiller, 'pspnet')
    ramped = values['loss_at'] / values['raw_at']
    assert ramped.item() == pytest.approx(math.exp(-5 / 4), rel=1e-3)


def test_on_a_neck():
    """The segmentation form of the paper: pyramids on a neck, logits of its top."""
    file = CONFIGS / 'frskd' / 'frskd_fpn-r50_4xb2-80k_cityscapes-512x1024.py'
    student = zoo.student('pspnet')
    neck = dict(type='FPN', in_channels=[4, 8, 16, 32], out_channels=8, num_outs=4)
    head = dict(in_index=0, in_channels=8, channels=8, num_classes=zoo.CLASSES)
    student['neck'] = neck
    student['decode_head'] = dict(type='FCNHead', num_convs=1, **head)
    del student['auxiliary_head']
    model = Config.fromfile(file).model
    for term in model.terms.values():
        del term['schedule']
    distiller = MODELS.build(dict(model, student=student)).train()
    assert len(distiller.teacher.pyramid) == 2
    total, log = distiller.parse_losses(losses(distiller, 'pspnet'))
    total.backward()
    assert log['raw_kd'] > 0 and log['raw_at'] > 0
    assert all(p.grad is not None for p in distiller.teacher.parameters())
    assert moved(distiller.student.neck)


# -- SLA ------------------------------------------------------------------------------


def sla(**settings: Any) -> Any:
    return build('cls', teacher=dict(type='mmkd.FRSKDSLATeacher'), **settings)


def test_rotations_come_image_by_image():
    images = torch.rand(2, 3, 4, 4)
    turned = rotations(images)
    assert turned.shape == (8, 3, 4, 4)
    assert torch.equal(turned[::4], images)
    assert torch.equal(turned[5], images[1].rot90(1, (1, 2)))


def test_aggregate_naive():
    joint = wave(8, 12)
    naive = [
        [sum(joint[4 * b + j, 4 * y + j] for j in range(4)) / 4 for y in range(3)]
        for b in range(2)
    ]
    assert torch.allclose(aggregate(joint), torch.tensor(naive, dtype=joint.dtype))


def test_sla_step():
    distiller = sla()
    values = losses(distiller, 'cls')
    names = {'loss_joint', 'loss_joint_student', 'loss_sla', 'loss_sla_student'}
    assert names | {'loss_kd_joint', 'loss_at_rotated'} <= set(values)
    # What the aggregate teaches does not change the aggregate.
    values['loss_sla_student'].backward(retain_graph=True)
    assert moved(distiller.student.head) and not moved(distiller.teacher)
    values['loss_kd_joint'].backward(retain_graph=True)
    assert moved(distiller.teacher.student_joint) and not moved(distiller.teacher.joint)
    total, _ = distiller.parse_losses(values)
    total.backward()
    assert all(p.grad is not None for p in distiller.teacher.parameters())
    distiller.eval()
    assert len(distiller.test_step(zoo.batch('cls'))) == 2


def test_sla_wants_hard_labels():
    student = zoo.student('cls')
    student['train_cfg'] = dict(augments=dict(type='Mixup', alpha=1.0))
    student['head']['loss'] = dict(type='CrossEntropyLoss', use_soft=True)
    with pytest.raises(ValueError, match='Mixup'):
        losses(sla(student=student), 'cls')
    with pytest.raises(ValueError, match='classifies'):
        FRSKDSLATeacher(sources((4, 8)), (3, 8, 8))
