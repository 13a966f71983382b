"""The contract of losses: what ``exact`` sees to, and what a loss borrows."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import zoo
from mmengine.model import ExponentialMovingAverage
from torch import Tensor, nn

from mmkd.loss import Loss, Site, exact
from mmkd.recorder import Recorder
from mmkd.recording.reader import Replay
from mmkd.registry import MODELS
from mmkd.targets import Targets

# -- exact -----------------------------------------------------------------------------


class Seen(Loss):
    """Keeps what it is given, and whether autocast was on."""

    @exact
    def forward(
        self, student: Any, teacher: Any, targets: Targets | None = None
    ) -> Tensor:
        self.seen = student, teacher, targets
        self.autocast = torch.is_autocast_enabled('cpu')
        return torch.zeros(())


def level(dtype: torch.dtype = torch.float16) -> Tensor:
    return torch.ones(2, dtype=dtype, requires_grad=True)


FORMS = [
    lambda x: x,
    lambda x: [x, x],
    lambda x: (x,),
    lambda x: dict(a=x, b=[x, (x, dict(c=x))]),
]
LISTS = [
    lambda x: x,
    lambda x: [x, x],
    lambda x: [x],
    lambda x: dict(a=x, b=[x, [x, dict(c=x)]]),
]


def same(one: Any, two: Any) -> bool:
    """Of the same form, with the same tensors."""
    if isinstance(one, Tensor):
        return one is two
    if isinstance(one, dict):
        return list(one) == list(two) and all(same(one[key], two[key]) for key in one)
    return type(one) is type(two) is list and all(map(same, one, two))


@pytest.mark.parametrize(('form', 'lists'), zip(FORMS, LISTS))
def test_what_is_exact_already_stays(form: Any, lists: Any):
    """Sequences become lists; tensors of the student are the very ones."""
    loss, x = Seen(), level(torch.float64)
    targets = Targets()
    loss(form(x), teacher=form(x), targets=targets)
    assert same(loss.seen[0], lists(x)) and loss.seen[2] is targets


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_autocast_and_the_teacher(form: Any, dtype: torch.dtype):
    loss, x = Seen(), level(dtype)
    with torch.autocast('cpu', torch.bfloat16):
        loss(form(x), form(x))
        assert torch.is_autocast_enabled('cpu')
    assert not loss.autocast
    for side, learns in zip(loss.seen, (True, False)):
        while not isinstance(side, Tensor):
            side = list(side.values())[-1] if isinstance(side, dict) else side[-1]
        assert side.dtype == torch.float32 and side.requires_grad is learns


# -- borrowing -------------------------------------------------------------------------


@MODELS.register_module(force=True)
class Borrower(Loss):
    """Both sides behind parts of the teacher."""

    def __init__(self, parts: list[str]) -> None:
        super().__init__()
        self.parts = parts

    def build(self, site: Site) -> None:
        self.head = site.borrow(*self.parts)

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        return F.mse_loss(self.head(student), self.head(teacher))


def borrowing(parts: list[str], path: str = 'backbone[-1]', **settings: Any) -> Any:
    loss = dict(type='mmkd.Borrower', parts=parts)
    terms = dict(loss_x=dict(student=path, loss=loss))
    teacher = zoo.student('cls')
    settings = dict(teacher=teacher, terms=terms) | settings
    return zoo.distiller('cls', **settings).train()


def losses(distiller: Any) -> dict[str, Tensor]:
    data = distiller.data_preprocessor(zoo.batch('cls'), True)
    found: dict[str, Tensor] = distiller(**data, mode='loss')
    return found


@pytest.mark.parametrize(
    ('parts', 'path'),
    [
        (['neck', 'head.fc'], 'backbone[-1]'),
        (['head.fc'], 'neck'),
        (['backbone.-1', 'neck', 'head.fc'], 'backbone.layer3'),
    ],
)
def test_parts_run_in_a_row(parts: list[str], path: str):
    """They are the teacher's: what they make of its features is what it says."""
    distiller = borrowing(parts, path)
    head = distiller.terms['loss_x'].loss.head
    data = distiller.data_preprocessor(zoo.batch('cls'), True)
    with torch.no_grad(), Recorder(distiller.teacher, [path]) as recorder:
        logits = distiller.teacher(data['inputs'], mode='tensor')
        assert torch.equal(head(recorder[path][0]), logits)
    values = losses(distiller)
    values['loss_x'].backward()
    student = distiller.student
    assert student.backbone.conv1.weight.grad.any()
    assert student.head.fc.weight.grad is None  # it has no part in this
    assert all(not p.requires_grad and p.grad is None for p in head.model.parameters())
    assert not any(module.training for module in head.model.modules())


def test_they_are_no_part_of_what_learns():
    distiller = borrowing(['head.fc'], 'neck')
    names = [*distiller.state_dict(), *dict(distiller.named_parameters())]
    assert all(name.startswith('student.') for name in names)
    weight = distiller.terms['loss_x'].loss.head.model.weight
    before = weight.clone()
    distiller.train_step(zoo.batch('cls'), zoo.optimizer(distiller))
    assert (
        torch.equal(weight, before) and weight is not distiller.teacher.head.fc.weight
    )


def test_they_follow_and_are_shared():
    distiller = borrowing(['head.fc'], 'neck')
    held = distiller.terms['loss_x'].loss.head
    assert held in distiller.frozen.values()
    twin = copy.deepcopy(distiller)
    assert twin.terms['loss_x'].loss.head is held
    average = ExponentialMovingAverage(distiller).module
    assert average.terms['loss_x'].loss.head is held
    other = pickle.loads(pickle.dumps(distiller))
    assert torch.equal(losses(other)['loss_x'], losses(distiller)['loss_x'])
    assert other.terms['loss_x'].loss.head in other.frozen.values()
    distiller.double()
    assert held.model.weight.dtype == torch.float64
    assert distiller.to('meta') and held.model.weight.is_meta


def test_they_stay_when_norms_are_folded():
    plain = borrowing(['backbone.layer4', 'neck', 'head.fc'], 'backbone.layer3')
    torch.manual_seed(0)
    made = borrowing(
        ['backbone.layer4', 'neck', 'head.fc'],
        'backbone.layer3',
        teacher_options=dict(fold_bn=True),
    )
    held = made.terms['loss_x'].loss.head.model
    norms = [m for m in held.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 5
    left = [m for m in made.teacher.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(left) < 20 - 5
    assert str(held) == str(plain.terms['loss_x'].loss.head.model)


def test_they_stay_when_a_recording_takes_the_teachers_place(
    monkeypatch: pytest.MonkeyPatch,
):
    """It says what the teacher said; only the borrowed parts are there to run."""
    found = {}

    class Tape:
        def __init__(self, folder: str) -> None: ...
        def check(self, now: Any) -> None: ...
        def check_paths(self, paths: Any) -> None: ...

        def read(self, paths: Any, samples: Any, device: Any) -> Replay:
            return Replay({path: found[path] for path in paths})

    torch.manual_seed(0)
    whole = borrowing(['head.fc'], 'neck')
    data = whole.data_preprocessor(zoo.batch('cls'), True)
    with torch.no_grad():
        found['neck'] = [whole.teacher.extract_feat(data['inputs'])[-1]]
    monkeypatch.setattr('mmkd.distillers.offline.Recording', Tape)
    torch.manual_seed(0)
    played = borrowing(['head.fc'], 'neck', teacher_options=dict(recording='x'))
    assert list(played.frozen) == ['loss_x: head.fc (1)']
    assert list(played.networks()) == ['student']
    assert torch.equal(losses(played)['loss_x'], losses(whole)['loss_x'])


def test_what_comes_in_is_not_overwritten():
    teacher = nn.Sequential(nn.ReLU(inplace=True), nn.ReLU(inplace=True))
    held = Site([], [], teacher=teacher.requires_grad_(False)).borrow('0', '1')
    x = torch.tensor([-1.0, 1.0])
    assert held(x).tolist() == [0, 1] and x.tolist() == [-1, 1]
    assert teacher[0].inplace  # of the copy alone


@pytest.mark.parametrize(
    ('parts', 'words'),
    [
        (
            ['head.fcc'],
            "loss_x: 'head.fcc' cannot be borrowed .*Nearest names: head.fc",
        ),
        (['neck', 'backbone.-9'], "'backbone.-9' cannot be borrowed"),
    ],
)
def test_parts_that_are_not_there(parts: list[str], words: str):
    with pytest.raises(ValueError, match=words):
        borrowing(parts)


def test_from_whom_nothing_can_be_borrowed():
    with pytest.raises(
        ValueError, match=r"there is no teacher to borrow \('a',\) from"
    ):
        Site([], [], name='loss_x').borrow('a')
    lists = nn.ModuleDict(dict(a=nn.ModuleList())).requires_grad_(False)
    with pytest.raises(ValueError, match='does not run by itself: name what is in it'):
        Site([], [], teacher=lists).borrow('a')
    terms = dict(
        loss_x=dict(
            student='neck',
            teacher='student/neck',
            loss=dict(type='mmkd.Borrower', parts=['head.fc']),
        )
    )
    words = r'loss_x.loss: .*from a frozen teacher alone; this ImageClassifier learns'
    with pytest.raises(ValueError, match=words):
        zoo.distiller('cls', terms=terms)
