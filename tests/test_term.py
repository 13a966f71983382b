"""Term: which features meet, through what, and what is said when they cannot."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.logging import MessageHub
from torch import Tensor, nn

from mmkd.recorder import Recorder
from mmkd.registry import MODELS
from mmkd.targets import Targets
from mmkd.term import Term, build_terms, count_classes

MSE = dict(type='mmkd.MSE')
SUM = dict(type='mmkd.MSE', reduction='batch')


class Levels(nn.Module):
    """Two maps of a width: of the images, and of half their size."""

    def __init__(self, width: int, size: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 1)
        self.neck = Half()
        self.head = nn.Linear(width, 5)
        self.images = torch.arange(2.0 * 3 * size * size).view(2, 3, size, size).sin()

    def forward(self) -> None:
        x = self.stem(self.images)
        self.neck(x)
        self.head(x.mean((2, 3)))


class Half(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x[..., ::2, ::2]


def recorded(model: nn.Module, *paths: str) -> Recorder:
    with Recorder(model, paths) as recorder:
        model()
    return recorder


def both(width: int = 4, size: int = 4) -> tuple[Recorder, Recorder]:
    """A narrow student and a teacher, in which the head and the neck are watched."""
    paths = ('neck', 'neck[0]', 'neck[1]', 'head', 'stem')
    return recorded(Levels(4), *paths), recorded(Levels(width, size), *paths)


def term(student: Any = 'neck', loss: dict = MSE, **settings: Any) -> Term:
    return Term('loss_x', loss, student, **settings)


@MODELS.register_module(force=True)
class Witness(nn.Module):
    """A loss that notes what it is given."""

    same_shape = False

    def __init__(self, joint: bool = False) -> None:
        super().__init__()
        self.joint = joint
        self.seen: list[Any] = []

    def build(self, *given: Any) -> None:
        self.built = given

    def forward(self, student: Any, teacher: Any, targets: Any = None) -> Tensor:
        self.seen.append((student, teacher, targets))
        return torch.tensor(10.0 ** len(self.seen))


WITNESS = dict(type='mmkd.Witness')


# -- values ----------------------------------------------------------------------------


def test_levels_are_summed():
    s, t = both()
    pairs = zip(s['neck'], t['neck'])
    expected = sum((a - b).square().mean().item() for a, b in pairs)
    assert term()(s, t).item() == pytest.approx(expected)
    assert term(['neck[0]', 'neck[1]'])(s, t).item() == pytest.approx(expected)
    swapped = term('neck[0]', teacher='stem')(s, t).item()
    assert swapped == pytest.approx(
        (s['stem'][0] - t['stem'][0]).square().mean().item()
    )


def test_levels_are_given_one_by_one_or_together():
    s, t = both()
    targets = Targets(labels=torch.zeros(2))
    single, joint = term(loss=WITNESS), term(loss=dict(WITNESS, joint=True))
    assert single(s, t, targets) == 10 + 100 and joint(s, t, targets) == 10
    assert [len(seen[0]) for seen in single.loss.seen] == [2, 2]  # images
    assert all(seen[2] is targets for seen in single.loss.seen + joint.loss.seen)
    students, teachers, _ = joint.loss.seen[0]
    assert all(a is b for a, b in zip(students, s['neck'])) and len(students) == 2
    assert all(a is b for a, b in zip(teachers, t['neck'])) and len(teachers) == 2


def test_a_connector_for_each_level_and_side():
    """The student's goes to the teacher's shape; the teacher's own comes first."""
    s, t = both(6, size=8)
    made = term(
        connector=[dict(type='mmkd.CWT'), dict(type='mmkd.Align')],
        teacher_connector=dict(type='mmkd.Align', always=True, space='keep'),
    )
    made.build_connectors(s, t)
    assert len(made.connectors) == len(made.teacher_connectors) == 2
    total = 0.0
    for i, (a, b) in enumerate(zip(s['neck'], t['neck'])):
        b = made.teacher_connectors[i][0].project(b)  # from 6 channels to 4
        assert b.shape[:2] == (2, 4) and b.shape[2:] != a.shape[2:]
        cwt, align = made.connectors[i]
        a = align(cwt(a, like=b), like=b)
        assert a.shape == b.shape
        total += (a - b).square().mean().item()
    assert made(s, t).item() == pytest.approx(total)


def test_a_loss_is_told_the_levels_and_the_classes():
    s, t = both(6)
    s.model.head.num_classes = 5
    made = term(loss=WITNESS, connector=dict(type='mmkd.Align'))
    made.build_connectors(s, t)
    students, teachers, classes = made.loss.built
    assert [x.shape[1] for x in students] == [6, 6] and classes == 5
    assert all(map(torch.equal, teachers, t['neck']))
    with pytest.raises(ValueError, match='^terms.loss_x.loss: odd'):
        made.loss.build = odd
        made.build_connectors(s, t)


def odd(*_: Any) -> None:
    raise ValueError('odd')


def test_weight_follows_the_schedule():
    hub = MessageHub.get_current_instance()
    hub.update_info('max_iters', 10)
    hub.update_info('iter', 5)
    made = term(weight=3, schedule=dict(kind='linear'))
    assert made.weight == made.base_weight == 3
    assert made.update_weight() == made.weight == 1.5
    assert made.update_weight() == 1.5  # of the base, not of the last
    two = term(weight=2, schedule=[dict(kind='linear'), dict(kind='linear')])
    assert two.update_weight() == 0.5
    plain = term(weight=3)
    plain.weight = 7.0  # set by hand: it stays
    assert plain.update_weight() == 7
    assert term().weight == 1


def test_an_idle_term_hangs_on_its_parameters():
    made = term(connector=dict(type='mmkd.Align', always=True))
    assert made.idle() == 0
    made.build_connectors(*both())
    zero = made.idle()
    zero.backward()
    assert zero == 0
    assert all(p.grad is not None and not p.grad.any() for p in made.parameters())


@pytest.mark.parametrize(
    ('name', 'raw'),
    [
        ('loss_kd', 'raw_kd'),
        ('kd_loss', 'raw_kd'),
        ('loss', 'raw_term'),
        ('loss_X', 'raw_X'),
        ('deep_loss_kd', 'raw_deep__kd'),
    ],
)
def test_raw_name(name: str, raw: str):
    assert Term(name, MSE, 'neck').raw_name == raw


# -- errors ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('made', 'words'),
    [
        (lambda: term([]), r'^terms.loss_x.student: \[\] names no module'),
        (lambda: term(teacher=[]), r'^terms.loss_x.teacher: \[\] names no module'),
        (lambda: term('a b'), "^terms.loss_x.student: 'a b' is not a path"),
        (lambda: term(teacher='a b'), "^terms.loss_x.teacher: 'a b' is not a path"),
        (lambda: term(loss=dict(type='mmkd.No')), '^terms.loss_x.loss: '),
        (lambda: term(schedule=dict(kind='no')), "^terms.loss_x.schedule: kind 'no'"),
    ],
)
def test_what_cannot_be_built(made: Any, words: str):
    with pytest.raises(ValueError, match=words):
        made()


def test_paths_are_looked_up_on_their_side():
    student, teacher = Levels(4), Levels(4)
    teacher.extra = nn.Identity()
    term('neck[0]', teacher='extra').check_paths(student, teacher)
    with pytest.raises(
        ValueError, match="^terms.loss_x.student 'extra': Levels has no"
    ):
        term('extra').check_paths(student, teacher)
    with pytest.raises(
        ValueError, match="^terms.loss_x.teacher 'extra': Levels has no"
    ):
        term('neck', teacher='extra').check_paths(teacher, student)


def test_connectors_that_cannot_be_built():
    for key in ('connector', 'teacher_connector'):
        made = term(**{key: dict(type='mmkd.No')})
        with pytest.raises(ValueError, match=f'^terms.loss_x.{key}: '):
            made.build_connectors(*both())


@pytest.mark.parametrize(
    ('student', 'words'),
    [
        ('neck', r'loss_x: shapes differ at level 0:\n'),
        ('neck', r"\n  student \['neck'\]: \(2, 4, 4, 4\)\n"),
        ('neck', r"(?s)teacher \['neck'\]: \(2, 6, 4, 4\).*mmkd.Align"),
        (['stem', 'neck'], r'(?s)student gives 3 levels and the teacher 2:.*'),
        (['stem', 'neck'], r"student \['stem', 'neck'\]: \[\(2, 4, 4, 4\), \(2, 4, 4,"),
        (['stem', 'neck'], r"teacher \['neck'\]: \[\(2, 6, 4, 4\), \(2, 6, 2, 2\)\]"),
    ],
)
def test_shapes_that_differ(student: Any, words: str):
    s, t = both(6)
    made = term(student, teacher='neck')
    for check in (made, made.build_connectors):
        with pytest.raises(ValueError, match=words):
            check(s, t)


def test_a_level_is_named_by_its_number():
    s, t = both()
    with pytest.raises(ValueError, match='shapes differ at level 1'):
        term(['stem', 'neck[0]'], teacher=['stem', 'neck[1]'])(s, t)


@pytest.mark.parametrize(
    ('shapes', 'words'),
    [
        ([(2, 5), (2, 7)], '5 classes apart and the teacher 7:.*KD compares class by'),
        ([(2,), (2, 7)], '1 classes apart and the teacher 7:'),
        ([(2, 5), (3, 5)], 'shapes differ at level 0'),  # as many classes
    ],
)
def test_classes_that_differ(shapes: list[tuple[int, ...]], words: str):
    made = term(loss=dict(type='mmkd.KD'))
    with pytest.raises(ValueError, match='(?s)' + words):
        made._check(*(torch.zeros(shape) for shape in shapes), 0)


def test_features_of_other_classes_are_features():
    with pytest.raises(ValueError, match='shapes differ at level 3'):
        term()._check(torch.zeros(2, 5), torch.zeros(2, 7), 3)
    term(loss=WITNESS)._check(torch.zeros(2, 5), torch.zeros(2, 7), 0)


# -- terms -----------------------------------------------------------------------------


def terms(**more: Any) -> dict[str, Any]:
    return dict(loss_a=dict(student='neck', loss=MSE, **more))


@pytest.mark.parametrize(
    ('config', 'sources', 'names'),
    [
        (terms(), ['teacher'], dict(loss_a='teacher')),
        (terms(), ['one', 'two'], dict(loss_a_one='one', loss_a_two='two')),
        (terms(source='two'), ['one', 'two'], dict(loss_a='two')),
        (terms(source='one'), ['one'], dict(loss_a='one')),
        ({}, ['one'], {}),
    ],
)
def test_a_term_for_each_teacher(config: Any, sources: list[str], names: Any):
    made = build_terms(config, sources)
    assert {key: one.source for key, one in made.items()} == names
    assert [one.name for one in made.values()] == list(names)


@pytest.mark.parametrize(
    ('config', 'words'),
    [
        (dict(kd=dict(student='neck', loss=MSE)), "terms.kd: .*call it 'loss_kd'"),
        ({'loss.a': dict(student='neck', loss=MSE)}, "terms.loss.a: a name has no '.'"),
        (terms(source='three'), r"terms.loss_a: .*'three', only \['one'\]"),
        (terms(wait=1), "terms.loss_a: nobody reads the key 'wait'"),
        (terms(name='b'), "terms.loss_a: nobody reads the key 'name'"),
    ],
)
def test_terms_with_mistakes(config: Any, words: str):
    with pytest.raises(ValueError, match=words):
        build_terms(config, ['one'])


def test_clone_is_asked_for():
    assert [term().clone, term(clone=True).clone] == [False, True]


# -- classes ---------------------------------------------------------------------------


def holding(path: str, count: Any) -> nn.Module:
    """A model with a head at a path that tells ``count`` classes apart."""
    model = module = nn.Module()
    for name in path.split('.'):
        module.add_module(name, nn.Module())
        module = getattr(module, name)
    module.num_classes = count
    return model


@pytest.mark.parametrize(
    ('path', 'count', 'found'),
    [
        ('head', 3, 3),
        ('decode_head', 3, 3),
        ('roi_head.bbox_head', 3, 3),
        ('bbox_head', 3, 3),
        ('mask_head', 3, 3),
        ('other_head', 3, None),
        ('head', '3', None),
    ],
)
def test_number_of_classes(path: str, count: Any, found: int | None):
    assert count_classes(holding(path, count)) == found


def test_number_of_classes_of_several_heads():
    model = holding('head', None)  # it does not say: the next is asked
    model.bbox_head = nn.ModuleList([holding('x', 1).x, holding('x', 4).x])
    assert count_classes(model) == 4
