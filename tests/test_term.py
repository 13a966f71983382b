"""Term: which features meet, through what, and what is said when they cannot."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.logging import MessageHub
from torch import Tensor, nn

from mmkd.loss import Loss, Site, exact
from mmkd.recorder import Recorder
from mmkd.registry import MODELS
from mmkd.targets import Targets
from mmkd.term import Term

MSE = dict(type='mmkd.MSE')
CWT = dict(type='mmkd.CWT')


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
    count = 2

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return (x, x[..., ::2, ::2])[: self.count]


def recorded(model: nn.Module, *paths: str) -> Recorder:
    with Recorder(model, paths) as recorder:
        model()
    return recorder


PATHS = ('neck', 'neck[0]', 'neck[1]', 'head', 'stem')


def both(width: int = 4, size: int = 4) -> dict[str, Recorder]:
    """A narrow student and a teacher, in which the head and the neck are watched."""
    networks = dict(student=Levels(4), teacher=Levels(width, size))
    return {name: recorded(model, *PATHS) for name, model in networks.items()}


SITE = Site([], [], classes=5)


def term(student: Any = 'neck', loss: dict = MSE, **settings: Any) -> Term:
    return Term('loss_x', loss, student, **settings)


@MODELS.register_module(force=True)
class Witness(Loss):
    """A loss that notes what it is given."""

    same_shape = False

    def __init__(self, joint: bool = False, any_levels: bool = False) -> None:
        super().__init__()
        self.joint = joint
        self.any_levels = any_levels
        self.seen: list[Any] = []

    def forward(self, student: Any, teacher: Any, targets: Any = None) -> Tensor:
        self.seen.append((student, teacher, targets))
        return torch.tensor(10.0 ** len(self.seen))


@MODELS.register_module(force=True)
class Learner(Loss):
    """A loss with a weight of its own for every channel of the teacher."""

    same_shape = False

    def __init__(self, joint: bool = False) -> None:
        super().__init__()
        self.joint = joint

    def build(self, site: Site) -> None:
        self.site = site
        example = site.teachers[-1]
        self.scale = nn.Parameter(torch.ones(example.shape[1]))
        if example.shape[-1] == 1:
            raise ValueError('odd')

    @exact
    def forward(self, student: Any, teacher: Any, targets: Any = None) -> Tensor:
        if self.joint:
            return sum((x.sum() for x in student), start=0.0) * self.scale.sum()
        return (student.mean() - teacher.mean(dim=(0, 2, 3)) * self.scale).sum()


WITNESS = dict(type='mmkd.Witness')
LEARNER = dict(type='mmkd.Learner')


# -- values ----------------------------------------------------------------------------


def test_levels_are_summed():
    records = both()
    s, t = records.values()
    pairs = zip(s['neck'], t['neck'])
    expected = sum((a - b).square().mean().item() for a, b in pairs)
    assert term()(records).item() == pytest.approx(expected)
    assert term(['neck[0]', 'neck[1]'])(records).item() == pytest.approx(expected)
    swapped = term('neck[0]', teacher='stem')(records).item()
    assert swapped == pytest.approx(
        (s['stem'][0] - t['stem'][0]).square().mean().item()
    )


def test_levels_are_given_one_by_one_or_together():
    records = both()
    s, t = records.values()
    targets = Targets(labels=torch.zeros(2))
    single, joint = term(loss=WITNESS), term(loss=dict(WITNESS, joint=True))
    assert single(records, targets) == 10 + 100 and joint(records, targets) == 10
    assert [len(seen[0]) for seen in single.loss.seen] == [2, 2]  # images
    assert all(seen[2] is targets for seen in single.loss.seen + joint.loss.seen)
    students, teachers, _ = joint.loss.seen[0]
    assert all(a is b for a, b in zip(students, s['neck'])) and len(students) == 2
    assert all(a is b for a, b in zip(teachers, t['neck'])) and len(teachers) == 2


def test_a_connector_for_each_level_and_side():
    """The student's goes to the teacher's shape; the teacher's own comes first."""
    records = both(6, size=8)
    s, t = records.values()
    made = term(
        connector=[dict(type='mmkd.CWT'), dict(type='mmkd.Align')],
        teacher_connector=dict(type='mmkd.Halve'),
    )
    made.build(records, SITE)
    assert len(made.connectors) == len(made.teacher_connectors) == 2
    total = 0.0
    for i, (a, b) in enumerate(zip(s['neck'], t['neck'])):
        b = b[:, ::2]  # from 6 channels to 3
        assert b.shape[2:] != a.shape[2:]
        cwt, align = made.connectors[i]
        a = align(cwt(a, like=b), like=b)
        assert a.shape == b.shape
        total += (a - b).square().mean().item()
    assert made(records).item() == pytest.approx(total)


@MODELS.register_module(force=True)
class Halve(nn.Module):
    """Every second channel."""

    def __init__(self, source: Any, target: Any) -> None:
        super().__init__()

    def forward(self, feature: Tensor, like: Tensor) -> Tensor:
        return feature[:, ::2]


def test_a_joint_loss_is_told_where_it_stands():
    records = both(6)
    made = term(
        loss=dict(LEARNER, joint=True), connector=dict(type='mmkd.Align'), weight=0
    )
    made.build(records, SITE)
    site = made.loss.site
    assert [x.shape[1] for x in site.students] == [6, 6]  # behind the connectors
    assert all(map(torch.equal, site.teachers, records['teacher']['neck']))
    assert (site.classes, site.name, len(made.losses)) == (5, 'loss_x', 1)


def test_a_loss_is_built_for_every_level():
    """Parameters of each level are its own: in the optimizer, in the state_dict."""
    records = both(6)
    made = term(['neck', 'neck[0]'], loss=LEARNER)
    assert not list(made.parameters())
    made.build(records, SITE)
    s, t = (records[name]['neck'] for name in ('student', 'teacher'))
    assert [len(one.site.students) for one in made.losses] == [1, 1, 1]
    for loss, a, b in zip(made.losses, [*s, s[0]], [*t, t[0]]):
        assert loss.site.students[0] is a and loss.site.teachers[0] is b
    assert list(made.state_dict()) == [f'losses.{i}.scale' for i in range(3)]
    assert made.loss is made.losses[0] and len({*made.parameters()}) == 3
    with torch.no_grad():
        made.losses[1].scale.zero_()
    parts = [loss(a, b).item() for loss, a, b in zip(made.losses, s, t)]
    value = made(records)
    last = made.losses[2](s[0], t[0]).item()
    assert value.item() == pytest.approx(sum(parts) + last)
    value.backward()
    assert all(p.grad.any() for p in made.parameters())


@pytest.mark.parametrize('settings', [dict(loss=LEARNER), dict(connector=CWT), {}])
def test_the_number_of_levels_may_not_change(
    settings: dict, monkeypatch: pytest.MonkeyPatch
):
    """Where there is a loss or a connector for each; without any, it may."""
    made = term(**settings)
    made.build(both(), SITE)
    assert made(both()).isfinite()
    monkeypatch.setattr(Half, 'count', 1)
    if not settings:
        assert made(both()).isfinite()
        return
    with pytest.raises(ValueError, match=r"\['neck'\] gives 1 levels, and gave 2 when"):
        made(both())


def test_errors_of_a_loss_name_its_place():
    with pytest.raises(ValueError, match='^terms.loss_x.loss: odd'):
        term('stem', loss=LEARNER).build(both(size=1), SITE)


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
    made.build(both(), SITE)
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


# -- names, unequal levels, labels -----------------------------------------------------

JOINT = dict(WITNESS, joint=True)
FREE = dict(JOINT, any_levels=True)
NAMES = dict(a='neck', b='head')


def named(**names: Any) -> Term:
    return term(names, loss=JOINT)


def test_names_give_dicts():
    """A name with one level has the level, any other a list; behind connectors."""
    records = both(6)
    made = term(
        dict(pair=['neck[0]', 'neck[1]'], last='stem', all='neck'),
        loss=JOINT,
        connector=dict(type='mmkd.Align'),
    )
    made.build(records, SITE)
    made(records)
    student, teacher, _ = made.loss.seen[0]
    assert list(student) == list(teacher) == ['pair', 'last', 'all']
    first, second = records['teacher']['neck']
    assert teacher['pair'][0] is first and teacher['pair'][1] is second
    assert teacher['last'] is records['teacher']['stem'][0]
    assert [x.shape for x in student['all']] == [first.shape, second.shape]
    assert student['last'].shape == first.shape and len(made.connectors) == 5


def test_names_on_one_side():
    records = both()
    made = term(['neck', 'head'], teacher=NAMES, loss=JOINT)
    made(records)
    student, teacher, _ = made.loss.seen[0]
    assert type(student) is list and len(student) == 3
    assert list(teacher) == ['a', 'b'] and len(teacher['a']) == 2


def test_any_numbers_of_levels():
    records = both(6)
    made = term(['stem', 'neck'], teacher=dict(x='head', y='neck[0]'), loss=FREE)
    made.build(records, SITE)
    made(records)
    student, teacher, _ = made.loss.seen[0]
    assert len(student) == 3 and list(teacher) == ['x', 'y']
    for loss in (JOINT, dict(WITNESS, any_levels=True)):  # the second is not joint
        with pytest.raises(ValueError, match='gives 3 levels and the teacher 2'):
            term(['stem', 'neck'], teacher='neck', loss=loss)(records)


@pytest.mark.parametrize('key', ['connector', 'teacher_connector'])
def test_connectors_join_two_levels(key: str):
    config = {key: dict(type='mmkd.Uniformize')}
    made = term(['stem', 'neck'], teacher='neck', loss=FREE, **config)
    with pytest.raises(
        ValueError, match='(?s)gives 3 .* takes any, but a connector needs'
    ):
        made.build(both(), SITE)
    made = term('neck', loss=FREE, **config)  # as many on both sides
    made.build(both(), SITE)
    made(both())
    assert [x.ndim for x in made.loss.seen[0][key == 'teacher_connector']] == [2, 2]


@pytest.mark.parametrize('loss', [WITNESS, JOINT])
@pytest.mark.parametrize(('labels', 'count'), [('head', 1), ('neck', 2)])
def test_labels_are_read(loss: dict, labels: str, count: int):
    """One for all levels, or one for each; all that is known besides stays."""
    records = both()
    made = term(labels=labels, loss=loss)
    made(records, Targets(labels=torch.zeros(1), input_size=(3, 4)))
    found = records['student'][labels]
    for i, (_, _, targets) in enumerate(made.loss.seen):
        assert targets.input_size == (3, 4)
        if loss is JOINT and count == 2:
            assert all(map(torch.equal, targets.labels, found))
        else:
            assert targets.labels is found[min(i, count - 1)]
    made(records)  # without any ground truth
    assert made.loss.seen[-1][2].labels is not None


def test_labels_that_do_not_fit():
    with pytest.raises(
        ValueError, match='loss_x.labels: there are 1 levels, and lab.* 2'
    ):
        term('stem', labels='neck')(both())
    made = term('stem', labels='head.no()')
    with pytest.raises(ValueError, match=r"^terms.loss_x.labels 'head.no\(\)': Linear"):
        look_up(made, student=Levels(4), teacher=Levels(4))


def test_a_plain_module_is_a_loss():
    """With what it says of itself; in fp32, the teacher fixed, and saved."""

    class Plain(nn.Module):
        joint = same_shape = False
        softmax_at = 2.0

        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(3.0))

        def forward(self, student: Tensor, teacher: Tensor, targets: Any) -> Tensor:
            assert student.dtype == torch.float32 and not teacher.requires_grad
            return (student.mean() - teacher.mean()) * self.scale

    made = term('head', teacher='stem', loss=dict(type=Plain))
    loss = made.loss
    assert (loss.joint, loss.same_shape, loss.softmax_at) == (False, False, 2.0)
    assert list(made.state_dict()) == ['losses.0.module.scale']
    value = made(both())
    value.backward()
    assert loss.module.scale.grad * 3 == pytest.approx(value.item())


# -- errors ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('made', 'words'),
    [
        (lambda: term([]), r'^terms.loss_x.student: \[\] names no module'),
        (lambda: term(teacher=[]), r'^terms.loss_x.teacher: \[\] names no module'),
        (lambda: term('a b'), "^terms.loss_x.student: 'a b' is not a path"),
        (lambda: term('b/a b'), "^terms.loss_x.student: 'a b' is not a path"),
        (lambda: term([3]), '^terms.loss_x.student: 3 is not a path'),
        (lambda: term({}), r'^terms.loss_x.student: {} names no module'),
        (lambda: named(a='neck', b=[]), r'^terms.loss_x.student: {.* names no module'),
        (
            lambda: term(dict(a='neck')),
            '^terms.loss_x.student: names are for losses that .* mmkd.MSE takes one',
        ),
        (
            lambda: term(loss=JOINT, student=NAMES, teacher=dict(b='head', a='neck')),
            r"same names in the same order, not \['a', 'b'\] and \['b', 'a'\]",
        ),
        (lambda: term(teacher='a b'), "^terms.loss_x.teacher: 'a b' is not a path"),
        (lambda: term(loss=dict(type='mmkd.No')), '^terms.loss_x.loss: '),
        (lambda: term(schedule=dict(kind='no')), "^terms.loss_x.schedule: kind 'no'"),
    ],
)
def test_what_cannot_be_built(made: Any, words: str):
    with pytest.raises(ValueError, match=words):
        made()


def no_roles(network: str, role: str) -> Any:
    raise ValueError(f'{network} has no {role}')


def look_up(made: Term, **networks: nn.Module) -> list[str]:
    return [text for side in made.sides for text in side.resolve(networks, no_roles)]


def test_paths_are_looked_up_on_their_side():
    plain, rich = Levels(4), Levels(4)
    rich.extra = nn.Identity()
    made = term('neck[0]', teacher='extra')
    assert look_up(made, student=plain, teacher=rich) == []
    for side, made, networks in (
        ('student', term('extra'), dict(student=plain, teacher=rich)),
        ('teacher', term('neck', teacher='extra'), dict(student=rich, teacher=plain)),
    ):
        words = f"^terms.loss_x.{side} 'extra': Levels has no module"
        with pytest.raises(ValueError, match=words):
            look_up(made, **networks)


def test_children_and_roles_become_names():
    """So recordings, folded norms and error texts know the modules."""
    student, teacher = Levels(4), Levels(4)
    made = term(['-2[0]', '<maps>'], teacher=['teacher/neck', 'student/-1'])
    roles = {('student', 'maps'): ['stem', 'head']}
    networks = dict(student=student, teacher=teacher)
    said = [
        text
        for side in made.sides
        for text in side.resolve(networks, lambda *role: roles[role])
    ]
    assert said == ['terms.loss_x.student: <maps> is stem, head']
    assert made.student_paths == ['neck[0]', 'stem', 'head']
    assert [tuple(place) for place in made.teacher.places] == [
        ('teacher', 'neck', ''), ('student', 'head', ''),
    ]  # fmt: skip
    assert str(made.teacher) == "['neck', 'student/head']"
    assert made.reads('student') == ['neck[0]', 'stem', 'head', 'head']


@pytest.mark.parametrize(
    ('path', 'words'),
    [
        (
            'b/neck',
            r"student 'b/neck': there is no network 'b', only \['student', 'teach",
        ),
        ('<maps>', "student '<maps>': student has no maps"),
        ('neck.no()', r"student 'neck.no\(\)': Half has no method 'no\(\)'"),
    ],
)
def test_what_is_not_there(path: str, words: str):
    with pytest.raises(ValueError, match=f'^terms.loss_x.{words}'):
        look_up(term(path), student=Levels(4), teacher=Levels(4))


def test_connectors_that_cannot_be_built():
    for key in ('connector', 'teacher_connector'):
        made = term(**{key: dict(type='mmkd.No')})
        with pytest.raises(ValueError, match=f'^terms.loss_x.{key}: '):
            made.build(both(), SITE)


def test_nothing_on_the_teachers_side_learns():
    made = term(teacher_connector=dict(type='mmkd.Align', always=True))
    words = r'^terms.loss_x.teacher_connector: it has parameters \(0.0.project.0.weight'
    with pytest.raises(ValueError, match=words):
        made.build(both(), SITE)


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
    records = both(6)
    made = term(student, teacher='neck')
    for check in (made, lambda records: made.build(records, SITE)):
        with pytest.raises(ValueError, match=words):
            check(records)


def test_a_level_is_named_by_its_number():
    with pytest.raises(ValueError, match='shapes differ at level 1'):
        term(['stem', 'neck[0]'], teacher=['stem', 'neck[1]'])(both())


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


def test_clone_is_asked_for():
    assert [term().clone, term(clone=True).clone] == [False, True]
