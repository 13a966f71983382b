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
    r'(?:(?P<network>[\w\-]+)/)?(?P<module>[\w.\-]+)(?P<method>\(\))?'
    r'(?P<input>:input(?:\.(?P<argument>\w+))?)?'
    r'(?:@(?P<call>-?\d+|\*))?(?P<index>(?:\[[^\]]+\])*)'
)
FORWARD = 'forward'


class Tap(NamedTuple):
    """A parsed path."""

    network: str | None
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


@cache
def parse(path: str) -> Tap:
    """Parse a path, or raise a ValueError that shows the forms."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise ValueError(
            f"'{path}' is not a path. Forms: backbone, neck[0], neck[:4], "
            'head.fc:input, head.conv@-1, head.conv@*, head.get_targets()[0], '
            'teacher/head.fc'
        )
    argument, call = match['argument'] or '0', match['call']
    module, method = match['module'], FORWARD
    if match['method']:
        module, _, method = module.rpartition('.')
    return Tap(
        match['network'],
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


def find_module(model: nn.Module, name: str) -> nn.Module:
    """Return the named module, or raise with the nearest names that exist.

    A part of the name that is a negative number counts children from the last one.
    """
    module = model
    try:
        for part in name.split('.') if name else ():
            negative = part[:1] == '-' and part[1:].isdigit()
            children = list(module.children()) if negative else []
            module = children[int(part)] if negative else module.get_submodule(part)
        return module
    except (AttributeError, IndexError):
        names = [known for known, _ in model.named_modules() if known]
        close = difflib.get_close_matches(name, names, n=4, cutoff=0.4)
        raise ValueError(
            f"{type(model).__name__} has no module '{name}'. "
            + (f'Nearest names: {", ".join(close)}' if close else 'No similar name.')
        ) from None


def find_method(module: nn.Module, name: str) -> Any:
    """Return a module's method, or raise with the nearest names that exist."""
    found = getattr(module, name, None)
    if callable(found) and not isinstance(found, nn.Module):
        return found
    names = [n for n in dir(type(module)) if callable(getattr(type(module), n))]
    close = difflib.get_close_matches(name, names, n=3)
    raise ValueError(
        f"{type(module).__name__} has no method '{name}()'. "
        + (f'Nearest: {", ".join(close)}' if close else 'No similar name.')
    )


# What plays a role: a path whose levels an index picks, or modules that it picks.
Player = Union[str, list[str]]
_ROLE = re.compile(
    r'(?P<network>[\w\-]+/)?<(?P<role>\w+)>(?P<index>\[[^\]]+\])?(?P<rest>.*)'
)


def is_role(path: str) -> bool:
    """Whether a path names a role."""
    return _ROLE.fullmatch(path) is not None


def play(path: str, players: Callable[[str], Player]) -> list[str]:
    """The paths that a role stands for; a path without a role is itself.

    Args:
        path: A path.
        players: Says what plays a role.
    """
    match = _ROLE.fullmatch(path)
    if match is None:
        return [path]
    network, index, rest = match['network'] or '', match['index'] or '', match['rest']
    player = players(match['role'])
    if isinstance(player, str):
        return [f'{network}{player}{index}{rest}']
    key = _index(index[1:-1]) if index else slice(None)
    try:
        chosen = player[key]
    except (IndexError, TypeError):
        raise ValueError(
            f"'{path}': there is no such one among the {len(player)} {player}."
        ) from None
    chosen = [chosen] if isinstance(chosen, str) else chosen
    return [f'{network}{module}{rest}' for module in chosen]
