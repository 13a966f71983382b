"""Terms: one for each teacher that a config means, under names that stay apart."""

from __future__ import annotations

from typing import Any

import pytest
from mmengine.logging import MessageHub

from mmkd.terms import build_terms

MSE = dict(type='mmkd.MSE')
TWO = dict(one={}, two={})


def terms(**more: Any) -> dict[str, Any]:
    return dict(loss_a=dict(student='neck', loss=MSE) | more)


@pytest.mark.parametrize(
    ('config', 'sources', 'names'),
    [
        (terms(), ['teacher'], dict(loss_a='teacher')),
        (terms(), ['one', 'two'], dict(loss_a_one='one', loss_a_two='two')),
        (terms(source='two'), ['one', 'two'], dict(loss_a='two')),
        (terms(source='one'), ['one'], dict(loss_a='one')),
        (terms(teacher='two/neck'), ['one', 'two'], dict(loss_a='two')),
        (terms(teacher=['one/neck', 'two/x']), ['one', 'two'], dict(loss_a=None)),
        (terms(teacher='student/neck'), ['one', 'two'], dict(loss_a=None)),
        (terms(teacher='student/neck'), [], dict(loss_a=None)),
        (
            terms(teacher=['neck', 'student/neck']),
            ['one', 'two'],
            dict(loss_a_one='one', loss_a_two='two'),
        ),
        ({}, ['one'], {}),
    ],
)
def test_a_term_for_each_teacher(config: Any, sources: list[str], names: Any):
    made = build_terms(config, {source: {} for source in sources})
    assert {key: one.source for key, one in made.items()} == names
    assert [one.name for one in made.values()] == list(names)


def test_paths_without_a_network_are_the_teachers():
    paths = dict(a='neck', b='student/neck')
    made = build_terms(terms(teacher=paths, loss=dict(type='mmkd.OFD')), TWO)
    for name in TWO:
        networks = [place.network for place in made[f'loss_a_{name}'].teacher.places]
        assert networks == [name, 'student']


@pytest.mark.parametrize(
    ('config', 'words'),
    [
        (dict(kd=dict(student='neck', loss=MSE)), "terms.kd: .*call it 'loss_kd'"),
        ({'loss.a': dict(student='neck', loss=MSE)}, "terms.loss.a: a name has no '.'"),
        (terms(source='three'), r"terms.loss_a: .*'three', only \['one'\]"),
        (terms(wait=1), "terms.loss_a: nobody reads the key 'wait'"),
        (terms(name='b'), "terms.loss_a: nobody reads the key 'name'"),
        (terms(scale=2), "terms.loss_a: nobody reads the key 'scale'"),
        (terms(teacher=3), 'terms.loss_a.teacher: 3 is not a text or a list or a dict'),
        (
            terms(teacher='student/x', source='one'),
            r"loss_a: nobody reads source='one', since .* in: \['student'\]",
        ),
    ],
)
def test_terms_with_mistakes(config: Any, words: str):
    with pytest.raises(ValueError, match=words):
        build_terms(config, dict(one={}))


def test_without_a_teacher():
    with pytest.raises(
        ValueError, match="loss_a: it reads a .*'teacher'.*'student/back"
    ):
        build_terms(terms(), {})


A = terms()['loss_a']


@pytest.mark.parametrize(
    ('config', 'sources', 'words'),
    [
        (dict(loss_a=A, a_loss=A), ['one'], "'raw_a', and so is that of loss_a"),
        (dict(loss_a=A, a_loss=A), ['one', 'two'], None),
        (dict(loss_a=A, loss_a_two=A), ['one'], None),
        (dict(loss_a=A, loss_a_two=A), ['one', 'two'], None),
        (
            dict(loss_a=A, loss_a_two=dict(A, source='one')),
            ['one', 'two'],
            'terms.loss_a_two: another term has this name',
        ),
        (
            dict(loss_a_two=dict(A, source='one'), loss_a=A),
            ['one', 'two'],
            'terms.loss_a_two: another term has this name',
        ),
        (
            dict(loss_a=A, a_two_loss=dict(A, source='one')),
            ['one', 'two'],
            "terms.a_two_loss: .*'raw_a_two', and so is that of loss_a_two: rename one",
        ),
    ],
)
def test_names_that_collide(config: Any, sources: list[str], words: str | None):
    """One of two terms would be lost, or what it logs."""
    given = {source: {} for source in sources}
    if words is None:
        made = build_terms(config, given)
        assert len({term.raw_name for term in made.values()}) == 2 * len(sources)
        return
    with pytest.raises(ValueError, match=words):
        build_terms(config, given)


EVERY = [dict(kind='every', steps=2, factor=2)]


def test_a_teachers_weight_and_rhythm_are_its_terms():
    """From the start: no one touches the terms afterwards."""
    hub = MessageHub.get_current_instance()
    hub.update_info('max_iters', 10)
    sources = dict(one=dict(scale=0.5, schedule=EVERY), two=dict(scale=3.0))
    own = dict(weight=4, schedule=dict(kind='linear'))
    made = build_terms(
        {
            **terms(**own),
            'loss_b': terms(teacher='one/neck', **own)['loss_a'],
            'loss_c': terms(teacher='student/neck', **own)['loss_a'],
        },
        sources,
    )
    assert {key: term.base_weight for key, term in made.items()} == dict(
        loss_a_one=2, loss_a_two=12, loss_b=2, loss_c=4
    )
    for iteration, one, two, alone in ((5, 0, 6, 2), (6, 0.6 * 2 * 2, 0.6 * 12, 2.4)):
        hub.update_info('iter', iteration)
        weights = {key: term.update_weight() for key, term in made.items()}
        assert weights == pytest.approx(
            dict(loss_a_one=one, loss_a_two=two, loss_b=one, loss_c=alone)
        )


def test_several_teachers_at_once():
    """Their weights are for terms that read them alone; none may rest in between."""
    config = terms(teacher=['one/neck', 'two/neck'], weight=4)
    made = build_terms(config, dict(one=dict(scale=0.5), two=dict(scale=3.0)))
    assert made['loss_a'].base_weight == 4
    with pytest.raises(
        ValueError, match=r"\['one', 'two'\] at once, so 'two' cannot re"
    ):
        build_terms(config, dict(one={}, two=dict(schedule=EVERY)))
