"""Terms: all terms of a distiller, one for each teacher that a config means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from mmkd.arguments import check_arguments
from mmkd.side import Side, as_list
from mmkd.term import Term, raw_name

Config = Mapping[str, Any]


def build_terms(configs: Config, sources: Mapping[str, Config]) -> nn.ModuleDict:
    """Build all terms; where there are several teachers, one for each of them.

    Args:
        configs: Name -> config of a term.
        sources: Name of a teacher -> ``scale`` and ``schedule`` of all its terms.
    """
    terms = nn.ModuleDict()
    for key, config in configs.items():
        if 'loss' not in key:
            raise ValueError(
                f"terms.{key}: the name must contain 'loss', since mmengine adds up "
                f"what is called so; call it 'loss_{key}'."
            )
        if '.' in key:
            raise ValueError(f"terms.{key}: a name has no '.'")
        check_arguments(f'terms.{key}', config, Term, given=('name', 'scale'))
        source = config.get('source')
        if source is not None and source not in sources:
            raise ValueError(
                f"terms.{key}: there is no teacher '{source}', only {list(sources)}"
            )
        for teacher in [source] if source else _sources_of(key, config, sources):
            several = teacher is not None and source is None and len(sources) > 1
            name = f'{key}_{teacher}' if several else key
            _add(terms, name, {**config, 'source': teacher}, sources.get(teacher or ''))
    return terms


def _sources_of(
    key: str, config: Config, sources: Mapping[str, Config]
) -> Sequence[str | None]:
    """The teachers that a term is for; None where its paths name their networks."""
    paths = config.get('teacher')
    paths = config['student'] if paths is None else paths
    side = Side(f'terms.{key}.teacher', paths, '')
    if '' not in side.networks():
        return [None]
    if not sources:
        raise ValueError(
            f"terms.{key}: it reads a teacher, and there is none. Give 'teacher', or "
            "say which network a path is in: 'student/backbone'."
        )
    return list(sources)


def _add(
    terms: nn.ModuleDict, name: str, config: Config, source: Config | None
) -> None:
    """Build a term, unless its name or what it logs is taken."""
    taken = [other for other in terms if raw_name(other) == raw_name(name)]
    if taken:
        raise ValueError(
            f'terms.{name}: the unweighted value of {taken[0]} is logged as '
            f"'{raw_name(name)}' as well, so one of the two would be lost: rename one."
        )
    more = dict(source or {})
    pieces = [*as_list(config.get('schedule')), *as_list(more.pop('schedule', None))]
    terms[name] = Term(name, **{**config, 'schedule': pieces, **more})
