"""Any one mistake in a config: it works all the same, or an error names the mistake.

Mistakes are made by rule, at every key of valid configs: that is several thousands. A
seeded sample of them is tried; ``MMKD_MISTAKES=all``, or a number, tries more.
"""

from __future__ import annotations

import copy
import math
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, NamedTuple

import pytest
import zoo
from cells import cell
from mmengine.config import Config
from mmengine.logging import MessageHub

from mmkd.build import build_model
from mmkd.launch import MISTAKES
from mmkd.registry import MODELS

WANTED = os.environ.get('MMKD_MISTAKES', '400')
LIMIT = 60  # seconds for a case; none needs one
METHODS = {
    'kd': 'faster_rcnn',
    'cwd': 'retinanet',
    'cwt': 'mask_rcnn',
    'sakd': 'pspnet',
    'letkd': 'cls',
    'frskd': 'cls',
}
HUGE = 10**15  # of numbers, more than any address space
LAYERS = ('depth', 'repeat')  # as many as are asked for are built, one by one
GONE, KEY = 'gone', 'key'


def everything() -> dict[str, Any]:
    """A config in which every key of a distiller and of its terms is used."""
    teachers = {
        name: dict(
            model=zoo.student('cls', width=8),
            ckpt='random',
            weight=0.5,
            min_match=1.0,
            options=dict(fold_bn=name == 'a', channels_last=False, every=1, dtype=None),
        )
        for name in 'ab'
    }
    schedule = [
        dict(kind='constant', by='iter', begin=0, end=0.9, factor=0.5),
        dict(kind='linear', begin=0.1, end=50, start=0.0, stop=1.0),
        dict(kind='cosine', begin=0),
        dict(kind='sigmoid'),
        dict(kind='step', milestones=[2, 0.5], gamma=0.5),
        dict(kind='every', steps=3, factor=3.0),
        dict(kind='stop', begin=1000),
    ]
    terms = dict(
        loss_kd=dict(
            student='head.fc',
            teacher='head.fc',
            loss=dict(type='mmkd.KD', tau=4.0, ignore=True),
            weight=2.0,
            schedule=schedule,
            clone=False,
        ),
        loss_at=dict(
            student=['backbone.layer3', 'backbone.layer4.1.conv2:input'],
            teacher=['backbone.layer3', 'backbone[-1]'],
            connector=[
                dict(type='mmkd.Align', bias=True, norm=True, relu=True, always=True),
                dict(type='mmkd.CWT', expand_ratio=1.0, depth=1, nonlinear=True),
            ],
            loss=dict(type='mmkd.AT', reduction='mean'),
            source='a',
        ),
        loss_u=dict(
            student='backbone[0]',
            connector=dict(type='mmkd.Uniformize', form='u3', size=4, tau=0.25),
            teacher_connector=dict(type='mmkd.Uniformize', form='u3', size=4),
            loss=dict(type='mmkd.MSE', reduction='mean'),
        ),
        loss_od=dict(
            student=['backbone[0]', '<stages>[-1]'],
            teacher=['a/backbone[0]', 'a/backbone.-1'],
            connector=dict(type='mmkd.Align'),
            loss=dict(type='mmkd.OFD', margin=-0.5),
        ),
        loss_branch=dict(
            student='backbone[0]',
            loss=dict(
                type='mmkd.SAKDBranch',
                tau=4.0,
                shared=False,
                label_weight=0.5,
                classes=5,
                recipe='random',
                uniformize=dict(form='u2', size=2, tau=0.5),
                stride=8,
            ),
        ),
    )
    return dict(
        type='mmkd.Distiller',
        student=zoo.student('cls'),
        teachers=teachers,
        terms=terms,
        own=dict(weight=0.5, schedule=schedule[:2]),
        student_min_match=0.5,
        trust_checkpoints=False,
        task=dict(type='mmkd.ClassificationTask'),
        input_size=[32, 32],
        inherit=[],
    )


class Start(NamedTuple):
    """A valid config, and the kind of model that it is of."""

    config: dict[str, Any]
    kind: str


def starts() -> dict[str, Start]:
    """The configs before a mistake. Built networks stand in them, to save time."""
    found = {'everything': Start(everything(), 'cls')}
    for method, kind in METHODS.items():
        model = cell(method, kind)
        found[method] = Start(Config(dict(model=model)).to_dict()['model'], kind)
    found['sla'] = copy.deepcopy(found['frskd'])
    found['sla'].config['teacher'] = dict(
        type='mmkd.FRSKDSLATeacher', tau=4.0, depth=1, sla_weight=1.0, kd_weight=1.0
    )
    for name, (config, _) in found.items():
        if name in ('frskd', 'sla'):
            own = dict(supervision=1.0, detach=False)
            config.update(own)
            config['teacher'].update(width=2.0)
        if name == 'frskd':
            more = dict(channels=None, repeat=1, relu=True, norm='BN', eps=1e-6)
            config['teacher'].update(more)
        if name != 'letkd':
            config['student'] = build_model(config['student'], 'student')
        for teacher in config.get('teachers', {'': config}).values():
            key = 'model' if name == 'everything' else 'teacher'
            if name not in ('frskd', 'sla'):
                teacher[key] = build_model(teacher[key], 'teacher')
    return found


class Mistake(NamedTuple):
    """What is wrong: the value at ``path``, or the key itself."""

    start: str
    path: tuple[Any, ...]
    what: str  # GONE, KEY (misspelt), or the kind of value
    value: Any

    def __str__(self) -> str:
        place = '.'.join(map(str, self.path))
        return f'{self.start}: {place} {self.what} {self.value!r}'[:200]

    def made_in(self, config: dict[str, Any]) -> dict[str, Any]:
        """A copy of the config that has it. Networks are shared."""
        config = _copied(config)
        holder: Any = config
        for key in self.path[:-1]:
            holder = holder[key]
        key = self.path[-1]
        if self.what == GONE:
            del holder[key]
        elif self.what == KEY:
            holder[self.value] = holder.pop(key)
        else:
            holder[key] = self.value
        return config


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def misspelt(text: str) -> Iterator[str]:
    """A letter missing, a letter twice, two letters swapped."""
    middle = len(text) // 2
    yield text[:middle] + text[middle + 1 :]
    yield text[:middle] + text[middle - 1 :]
    if len(text) > 2 and text[-1] != text[-2]:
        yield text[:-2] + text[-1] + text[-2]


def wrong(value: Any) -> Iterator[tuple[str, Any]]:
    """Values of another kind, out of range, or misspelt."""
    yield 'None', None
    yield 'list', [value]
    yield 'empty list', []
    yield 'dict', {'nonsense': 1}
    yield 'text', 'nonsense'
    yield 'empty', ''
    if isinstance(value, str):
        yield 'number', 3
        for other in misspelt(value):
            yield 'misspelt', other
        if value.startswith('mmkd.'):
            yield 'scope', value.replace('mmkd.', 'mmdet.')
            yield 'no scope', value.replace('mmkd.', '')
        yield 'path', f'{value}[77]'
        yield 'no level', f'{value}[:0]'
        yield 'file', 'no/such/file.pth'
    elif isinstance(value, (int, float)):
        yield 'as text', str(value)
        for other in (-1, 0, 2.5, HUGE, math.nan, math.inf):
            yield 'number', other
    elif isinstance(value, list) and value:
        yield 'shorter', value[:-1]
        yield 'longer', [*value, *value]
        yield 'mixed', [*value, None]
    else:
        yield 'number', -3


def mistakes(name: str, config: Any, path: tuple[Any, ...] = ()) -> Iterator[Mistake]:
    """Every mistake, at every depth."""
    pairs = config.items() if isinstance(config, dict) else enumerate(config)
    for key, value in pairs:
        here = (*path, key)
        named = path and path[-1] in ('terms', 'teachers', 'layers')
        inner = path == ('student',) and key not in ('layers', 'of', 'type')
        if inner:
            continue
        if isinstance(config, dict) and not named:
            for other in misspelt(key):
                yield Mistake(name, here, KEY, other)
            yield Mistake(name, here, GONE, key)
        for what, other in wrong(value):
            endless = other == HUGE and key in LAYERS
            theirs = here == ('type',) and other == ''
            if not endless and not theirs:
                yield Mistake(name, here, what, other)
        if isinstance(value, (dict, list)):
            yield from mistakes(name, value, here)
    if isinstance(config, dict) and not (path and path[-1] in ('terms', 'teachers')):
        yield Mistake(name, (*path, 'nonsense'), 'unknown', 1)


class Late(BaseException):
    """Not caught by what catches errors."""


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    def late(*_: Any) -> None:
        raise Late(f'not done in {seconds} s')

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def attempt(config: dict[str, Any], kind: str) -> dict[str, Any]:
    """Build the distiller and compute the losses of one batch."""
    hub = MessageHub.get_current_instance()
    for key, value in dict(max_iters=100, iter=99, max_epochs=10, epoch=9).items():
        hub.update_info(key, value)
    distiller = MODELS.build(config).train()
    data = distiller.data_preprocessor(zoo.batch(kind), True)
    losses: dict[str, Any] = distiller(**data, mode='loss')
    return losses


def names(mistake: Mistake, message: str) -> bool:
    """Whether a message says what is wrong: the key or the value; or the term, where
    they are wrong only beside others.
    """
    keys = [key for key in mistake.path if isinstance(key, str)]
    words = [keys[-1], repr(mistake.value)]
    if isinstance(mistake.value, (str, dict)) and mistake.value:
        words += [mistake.value] if isinstance(mistake.value, str) else mistake.value
    if mistake.what in ('longer', 'shorter'):
        words.append('levels')
    elif mistake.value == HUGE:
        words += ['memory', 'overflow']
    elif mistake.what in (GONE, 'None'):
        words.append('terms.')
    elif mistake.what not in (KEY, 'misspelt', 'unknown') and keys[0] == 'terms':
        words += keys[1:2]
    return any(word in message for word in words)


def verdict(mistake: Mistake, start: Start) -> str:
    """'works' or 'named'; anything else is a defect."""
    # mmengine looks up the distiller itself, and has its own words for that.
    errors = (*MISTAKES, FloatingPointError)
    if mistake.path == ('type',):
        errors += (KeyError, TypeError)
    try:
        with time_limit(LIMIT):
            losses = attempt(mistake.made_in(start.config), start.kind)
    except errors as error:
        return 'named' if names(mistake, str(error)) else f'UNNAMED {error!r}'
    except Late:
        return 'HANGS'
    except Exception as error:
        return f'BARE {error!r}'
    if mistake.what in (KEY, 'unknown', 'scope'):
        return 'IGNORED'
    if isinstance(mistake.value, float) and not math.isfinite(mistake.value):
        return 'IGNORED'
    flat = [v for value in losses.values() for v in _listed(value)]
    return 'works' if all(v.isfinite().all() for v in flat) else 'NOT FINITE'


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def chosen() -> list[Mistake]:
    """The mistakes that this run makes."""
    found = [m for name, start in STARTS.items() for m in mistakes(name, start.config)]
    count = len(found) if WANTED == 'all' else int(WANTED)
    return Random(0).sample(found, min(count, len(found)))


STARTS: dict[str, Start] = {}


@pytest.fixture(scope='module', autouse=True)
def built() -> Iterator[None]:
    STARTS.update(starts())
    yield
    STARTS.clear()


@pytest.mark.parametrize('name', [*METHODS, 'everything', 'sla'])
def test_without_a_mistake(name: str) -> None:
    losses = attempt(_copied(STARTS[name].config), STARTS[name].kind)
    assert all(v.isfinite().all() for value in losses.values() for v in _listed(value))


def test_mistakes_are_named() -> None:
    bad, ends = [], Counter()
    for mistake in chosen():
        said = verdict(mistake, STARTS[mistake.start])
        ends[said.partition(' ')[0]] += 1
        if said not in ('works', 'named'):
            bad.append(f'{mistake} => {said[:300]}')
    assert not bad, '\n'.join(bad)
    assert ends['named'] > ends['works'] > 0
