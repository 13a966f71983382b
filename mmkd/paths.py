"""Paths: how a config names what a network takes or returns.

A path says what to read::

    backbone                 what the module returned; a tuple counts as levels
    neck[0], neck[:4]        one level of it, or some
    head.fc:input            the first argument instead (:input.1, :input.name: another)
    bbox_head.cls_conv@-1    of a module that runs several times in a step: one call
    bbox_head.cls_conv@*     or all of them, each counting as a level
    backbone.layer2.-1.relu  the last child of a Sequential or a ModuleList
    bbox_head.get_targets()  what a method of a module returns, instead of its forward:
                             [0] of this are the labels of RoI heads, RetinaNet, FCOS,
                             [1] those of GFL and ATSS; none in prediction
    a/head.fc                of the network 'a', where a step has several

Instead of a module it may name a role, which each model plays with modules of its own::

    <logits>                 what is compared class by class
    <stages>[-1]             one stage of the backbone; <stages>[1:] some
    <pyramid>[:4]            levels of the neck
    <pooled>                 the vector of an image that is classified
    <decoder>                the map that a segmentor classifies

A stage is a layer of a ResNet, or else the last module at each size of the maps. The
task adapter says what plays a role (see :meth:`mmkd.tasks.Task.roles`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, Union

from torch import nn

_PATH = re.compile(
    r'(?P<module>[\w.\-]+)(?P<method>\(\))?(?P<input>:input(?:\.(?P<argument>\w+))?)?'
    r'(?:@(?P<call>-?\d+|\*))?(?P<index>(?:\[[^\]]+\])*)'
)
_NETWORK = re.compile(r'([\w\-]+)/(.*)')
_ROLE = re.compile(r'<(?P<role>\w+)>(?P<index>\[[^\]]+\])?(?P<rest>.*)')
FORWARD = 'forward'

# What plays a role: a path whose levels an index picks, or modules that it picks.
Player = Union[str, list[str]]


class Tap(NamedTuple):
    """A parsed path."""

    module: str
    method: str
    side: str
    argument: int | str
    call: int | str | None
    part: tuple[Any, ...]

    @property
    def place(self) -> str:
        """The module, or its method if that is not ``forward``."""
        if self.method == FORWARD:
            return self.module
        return f'{self.module}.{self.method}()'.lstrip('.')


def split_network(path: str) -> tuple[str | None, str]:
    """The network that a path names, and the path in it: 'a/head.fc'."""
    match = _NETWORK.fullmatch(path)
    return (match[1], match[2]) if match else (None, path)


@cache  # same[decorator]: only speed
def parse(path: str) -> Tap:
    """Parse a path in a network, or raise a ValueError that shows the forms."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise ValueError(
            f"'{path}' is not a path. Forms: backbone, neck[0], neck[:4], "
            'head.fc:input, head.conv@-1, head.conv@*, backbone.layer2.-1.relu, '
            'head.get_targets()[0]; in terms also teacher/head.fc, <logits>, '
            '<stages>[-1]'
        )
    argument, call = match['argument'] or '0', match['call']
    module, method = match['module'], FORWARD
    if match['method']:
        module, _, method = module.rpartition('.')
    return Tap(
        module,
        method,
        'input' if match['input'] else 'output',
        int(argument) if argument.isdigit() else argument,
        call if call in (None, '*') else int(call),
        tuple(_index(text) for text in re.findall(r'\[([^\]]+)\]', match['index'])),
    )


def _index(text: str) -> Any:
    """'2' -> 2, ':4' -> slice(None, 4), 'name' -> 'name'."""
    if re.fullmatch(r'-?\d+', text):
        return int(text)
    if re.fullmatch(r'(-?\d+)?(:(-?\d+)?){1,2}', text):
        return slice(*(int(part) if part else None for part in text.split(':')))
    return text.strip('\'"')


# -- what is there ---------------------------------------------------------------------


def find_module(model: nn.Module, name: str) -> nn.Module:
    """Return the named module, or raise with the nearest names that exist."""
    return model.get_submodule(full_name(model, name))


def full_name(model: nn.Module, name: str) -> str:
    """A module's name as the model has it, or raise with the nearest that exist.

    A part that is a negative number counts children from the last one.
    """
    parts, module = [], model
    for part in name.split('.') if name else ():
        keys = [key for key, child in module._modules.items() if child is not None]
        counted = re.fullmatch(r'-[1-9]\d*', part) and part not in keys
        if counted and int(part) >= -len(keys):
            part = keys[int(part)]
        child = getattr(module, part, None)
        if not isinstance(child, nn.Module):
            kind = type(model).__name__
            near = _nearest(model, name)
            raise ValueError(f"{kind} has no module '{name}'. {near}")
        parts.append(part)
        module = child
    return '.'.join(parts)


def _nearest(model: nn.Module, name: str) -> str:
    names = [known for known, _ in model.named_modules() if known]
    close = difflib.get_close_matches(name, names, n=4, cutoff=0.4)
    return f'Nearest names: {", ".join(close)}' if close else 'No similar name.'


def find_method(module: nn.Module, name: str) -> Any:
    """Return a module's method, or raise with the nearest names that exist."""
    found: Any = getattr(module, name, None)
    if callable(found) and not isinstance(found, nn.Module):
        return found
    kind = type(module)
    names = [n for n in dir(kind) if callable(getattr(kind, n)) and n[:1] != '_']
    close = difflib.get_close_matches(name, names, n=3)
    raise ValueError(
        f"{kind.__name__} has no method '{name}()'. "
        + (f'Nearest: {", ".join(close)}' if close else 'No similar name.')
    )


def settle(model: nn.Module, path: str) -> str:
    """The path with its module's full name, or raise if there is no such thing."""
    tap = parse(path)
    name = full_name(model, tap.module)
    find_method(model.get_submodule(name), tap.method)
    return name + path[len(tap.module) :]


# -- roles -----------------------------------------------------------------------------


def is_role(path: str) -> bool:
    """Whether a path names a role."""
    return _ROLE.fullmatch(path) is not None


def play(path: str, players: Callable[[str], Player]) -> list[str]:
    """The paths that a role stands for; a path without a role is itself.

    Args:
        path: A path in a network.
        players: Says what plays a role.
    """
    match = _ROLE.fullmatch(path)
    if match is None:
        return [path]
    index, rest = match['index'] or '', match['rest']
    player = players(match['role'])
    if isinstance(player, str):
        return [f'{player}{rest}{index}']
    key = _index(index[1:-1]) if index else slice(None)
    try:
        chosen = player[key]
    except (IndexError, TypeError):
        chosen = []
    if not chosen:
        raise ValueError(f'there is no such one among the {len(player)}: {player}.')
    return [f'{one}{rest}' for one in ([chosen] if isinstance(chosen, str) else chosen)]


def resolve(model: nn.Module, path: str, players: Callable[[str], Player]) -> list[str]:
    """The paths that a path or a role stands for, with the names that the model has."""
    return [settle(model, one) for one in play(path, players)]
