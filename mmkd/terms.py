"""Terms: all terms of a distiller, one for each teacher that a config means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from mmkd.arguments import check_arguments
from mmkd.side import Side, as_list
from mmkd.term import Term, raw_name

Config = Mapping[str, Any]
Sources = Mapping[str, Config]
ITS_OWN = ''  # of paths that name no network


def build_terms(configs: Config, sources: Sources) -> nn.ModuleDict:
    """Build all terms; where there are several teachers, one for each of them.

    Args:
        configs: Name -> config of a term.
        sources: Name of a teacher -> ``scale`` and ``schedule`` of the terms that read
            it, and no other teacher.
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
        networks = _networks(key, config)
        for source in _sources(key, config, networks, sources):
            each = ITS_OWN in networks and config.get('source') is None
            name = f'{key}_{source}' if each and len(sources) > 1 else key
            read = {source if one == ITS_OWN else one for one in networks}
            more = _share(name, [one for one in sources if one in read], sources)
            _add(terms, name, {**config, 'source': source}, more)
    return terms


def _networks(key: str, config: Config) -> set[str]:
    """The networks that a term's teacher paths name."""
    paths = config.get('teacher')
    paths = config['student'] if paths is None else paths
    return Side(f'terms.{key}.teacher', paths, ITS_OWN).networks()


def _sources(
    key: str, config: Config, networks: set[str], sources: Sources
) -> Sequence[str | None]:
    """The teachers that a term is built for; None where it names its networks."""
    source = config.get('source')
    if source is not None and source not in sources:
        raise ValueError(
            f"terms.{key}: there is no teacher '{source}', only {list(sources)}"
        )
    if ITS_OWN not in networks:
        if source is not None:
            raise ValueError(
                f"terms.{key}: nobody reads source='{source}', since its paths say "
                f'which networks they are in: {sorted(networks)}.'
            )
        alone = len(networks) == 1 and networks <= set(sources)
        return [*networks] if alone else [None]
    if not sources:
        raise ValueError(
            f"terms.{key}: it reads a teacher, and there is none. Give 'teacher', or "
            "say which network a path is in: 'student/backbone'."
        )
    return list(sources) if source is None else [source]


def _share(name: str, read: Sequence[str], sources: Sources) -> Config:
    """What the teachers that a term reads do to its weight."""
    if len(read) == 1:
        return sources[read[0]]
    rare = [one for one in read if sources[one].get('schedule')]
    if rare:
        raise ValueError(
            f"terms.{name}: it reads {list(read)} at once, so '{rare[0]}' cannot rest "
            "in between: leave its option 'every' out."
        )
    return {}


def _add(terms: nn.ModuleDict, name: str, config: Config, more: Config) -> None:
    """Build a term, unless its name or what it logs is taken."""
    if name in terms:
        raise ValueError(
            f'terms.{name}: another term has this name, since terms are called after '
            'the teacher where there are several: rename one.'
        )
    for other in terms:
        if raw_name(other) == raw_name(name):
            raise ValueError(
                f'terms.{name}: its unweighted value would be logged as '
                f"'{raw_name(name)}', and so is that of {other}: rename one."
            )
    pieces = [*as_list(config.get('schedule')), *as_list(more.get('schedule'))]
    scale = more.get('scale', 1.0)
    terms[name] = Term(name, **{**config, 'schedule': pieces, 'scale': scale})
