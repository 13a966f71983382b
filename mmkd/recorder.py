"""Recorder: keep what named modules take or return, only inside ``with``.

A path says what to keep::

    backbone                 what the module returned; a tuple counts as levels
    neck[0], neck[:4]        one level of it, or some
    head.fc:input            the first argument instead (:input.1, :input.name: another)
    bbox_head.cls_conv@-1    of a module that runs several times in a step: one call
    bbox_head.cls_conv@*     or all of them, each counting as a level

``forward`` is wrapped on the instance. A forward hook would miss the direct calls of
``head.forward(x)`` that OpenMMLab makes.
"""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterable
from functools import cache
from types import MethodType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

_PATH = re.compile(
    r'(?P<module>[\w.\-]+)(?P<input>:input(?:\.(?P<argument>\w+))?)?'
    r'(?:@(?P<call>-?\d+|\*))?(?P<index>(?:\[[^\]]+\])*)'
)


class Tap(NamedTuple):
    """A parsed path."""

    module: str
    side: str
    argument: int | str
    call: int | str | None
    part: tuple[Any, ...]


@cache
def parse(path: str) -> Tap:
    """Parse a path, or raise a ValueError that shows the forms."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise ValueError(
            f"'{path}' is not a path. Forms: backbone, neck[0], neck[:4], "
            'head.fc:input, head.conv@-1, head.conv@*'
        )
    argument, call = match['argument'] or '0', match['call']
    return Tap(
        match['module'],
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
    """Return the named module, or raise with the nearest names that exist."""
    try:
        return model.get_submodule(name)
    except AttributeError:
        names = [known for known, _ in model.named_modules() if known]
        close = difflib.get_close_matches(name, names, n=4, cutoff=0.4)
        raise ValueError(
            f"{type(model).__name__} has no module '{name}'. "
            + (f'Nearest names: {", ".join(close)}' if close else 'No similar name.')
        ) from None


class _Wrapper:
    """Stands in for ``module.forward`` while a recorder is open.

    A copy or a pickle made meanwhile gets the plain ``forward`` back.
    """

    def __init__(
        self,
        module: nn.Module,
        sides: dict[str, list[Any]],
        clone: bool,
        missing: set[tuple[nn.Module, str]] | None,
    ) -> None:
        self.module = module
        self.forward = module.forward
        self.sides = sides
        self.clone = clone
        self.missing = missing
        self.calls: dict[str, list[Any]] = {side: [] for side in sides}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if 'input' in self.sides:
            self._keep('input', (args, kwargs))
        output = self.forward(*args, **kwargs)
        if 'output' in self.sides:
            self._keep('output', output)
        return output

    @torch.compiler.disable  # type: ignore
    def _keep(self, side: str, value: Any) -> None:
        value = _read_of(value, self.sides[side])
        if self.clone:
            value = _map_tensors(value, torch.clone)
        self.calls[side].append(_versioned(value))
        if self.missing is not None:
            self.missing.discard((self.module, side))
            if not self.missing:
                raise Enough

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return _own_forward(copy.deepcopy(self.module, memo))

    def __reduce__(self) -> Any:
        return _own_forward, (self.module,)


def _own_forward(module: nn.Module) -> MethodType:
    return MethodType(type(module).forward, module)


class Enough(BaseException):
    """Ends a forward that has no more to give; no ``except Exception`` stops it."""


class Recorder:
    """Keep what the modules named in ``paths`` take or return inside ``with``.

    Args:
        model: The model whose modules are watched.
        paths: What to keep; see the module's docstring for their form.
        cloned: Paths whose values are copied at once, because a later operation
            (an in-place ReLU) overwrites them.
        enough: Raise :class:`Enough` as soon as everything has run once.

    Examples:
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> with Recorder(model, ['0', '1:input']) as recorder:
        ...     _ = model(torch.ones(1, 2))
        >>> recorder['0'][0].shape
        torch.Size([1, 3])
    """

    def __init__(
        self,
        model: nn.Module,
        paths: Iterable[str],
        cloned: Iterable[str] = (),
        enough: bool = False,
    ) -> None:
        self.model = model
        self.enough = enough
        self.paths = tuple(dict.fromkeys(paths))
        self.cloned = {parse(path).module for path in cloned}
        self.wrappers: dict[str, _Wrapper] = {}

    def __enter__(self) -> Recorder:
        sides: dict[str, dict[str, list[Any]]] = {}
        for path in self.paths:
            tap = parse(path)
            own = sides.setdefault(tap.module, {}).setdefault(tap.side, [])
            own.append(tap.part[0] if tap.part and tap.side == 'output' else None)
        modules = {name: find_module(self.model, name) for name in sides}
        missing = {(modules[name], side) for name, own in sides.items() for side in own}
        for name, module in modules.items():
            wrapper = _Wrapper(
                module,
                sides[name],
                name in self.cloned,
                missing if self.enough else None,
            )
            self.wrappers[name] = module.__dict__['forward'] = wrapper
        return self

    def __exit__(self, *_: object) -> None:
        for wrapper in self.wrappers.values():
            own = wrapper.forward
            if getattr(own, '__func__', None) is type(wrapper.module).forward:
                del wrapper.module.__dict__['forward']
            else:  # somebody else had put a forward on the instance: put it back
                wrapper.module.__dict__['forward'] = own
            del wrapper.module, wrapper.forward, wrapper.missing

    def fired(self, path: str) -> bool:
        """Whether the module of ``path`` ran at all."""
        tap = parse(path)
        return bool(self.wrappers[tap.module].calls[tap.side])

    def once(self) -> set[str]:
        """The modules that ran exactly once."""
        return {
            name
            for name, wrapper in self.wrappers.items()
            if all(len(calls) == 1 for calls in wrapper.calls.values())
        }

    def to_float(self) -> None:
        """Give floating-point values in fp32, whatever they were recorded in."""
        for wrapper in self.wrappers.values():
            for calls in wrapper.calls.values():
                for i, (value, versions) in enumerate(calls):
                    if not _stale(value, versions):
                        calls[i] = _versioned(_map_tensors(value, _in_float))

    def overwritten(self, path: str) -> bool:
        """Whether a later operation changed the kept values in place."""
        tap = parse(path)
        return any(_stale(*call) for call in self.wrappers[tap.module].calls[tap.side])

    def __getitem__(self, path: str) -> list[Tensor]:
        """The levels kept for ``path``; raises if there are none."""
        tap = parse(path)
        calls = self.wrappers[tap.module].calls[tap.side]
        if not calls:
            raise RuntimeError(
                f"'{path}': the module exists in {type(self.model).__name__} but did "
                'not run in this step. Tap a module that runs during training.'
            )
        if tap.call is None and len(calls) > 1:
            raise RuntimeError(
                f"'{path}' ran {len(calls)} times in this step: write '{tap.module}@-1'"
                f" for the last call or '{tap.module}@*' for all, as levels."
            )
        try:
            chosen = calls if tap.call == '*' else [calls[int(tap.call or 0)]]
        except IndexError:
            raise RuntimeError(
                f"'{path}': there were only {len(calls)} calls in this step."
            ) from None
        levels = [
            level for value, _ in chosen for level in _levels(_pick(value, tap, path))
        ]
        if not levels or not all(isinstance(level, Tensor) for level in levels):
            kinds = ', '.join(sorted({type(level).__name__ for level in levels}))
            raise RuntimeError(
                f"'{path}' is not a tensor or a tuple of tensors (found: "
                f"{kinds or 'nothing'}). Choose a part of it, as in '{path}[0]'."
            )
        if any(_stale(value, versions) for value, versions in chosen):
            raise RuntimeError(
                f"'{path}' was overwritten by a later in-place operation (a ReLU with "
                'inplace=True?). Set clone=True in the term to keep a copy.'
            )
        return levels


def _read_of(value: Any, keys: list[Any]) -> Any:
    """A tuple whose items that no key picks are None, so that they do not stay alive.

    Args:
        value: What a module returned.
        keys: An index, a slice, or None for all of it; one for each path.
    """
    if type(value) not in (list, tuple):
        return value
    read: set[int] = set()
    for key in keys:
        try:
            found = range(len(value))[key]
        except (IndexError, TypeError, ValueError):  # all of it, or no such item
            return value
        read.update([found] if isinstance(found, int) else found)
    return type(value)(x if i in read else None for i, x in enumerate(value))


def _pick(value: Any, tap: Tap, path: str) -> Any:
    """Take the argument and the index of ``tap`` from what was kept."""
    try:
        if tap.side == 'input':
            args, kwargs = value
            if isinstance(tap.argument, str):
                value = kwargs[tap.argument]
            else:
                value = [*args, *kwargs.values()][tap.argument]
        for key in tap.part:
            if isinstance(value, Tensor):
                raise TypeError('it is one tensor, whose items are images, not levels')
            value = value[key]
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise RuntimeError(
            f"'{path}': no such part in what '{tap.module}' "
            f'{"takes" if tap.side == "input" else "returns"} ({error}).'
        ) from None
    return value


def _levels(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return [level for item in value for level in _levels(item)]
    return [value]


def _map_tensors(value: Any, function: Any) -> Any:
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, (list, tuple)):
        items = [_map_tensors(item, function) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict):
        return {key: _map_tensors(item, function) for key, item in value.items()}
    return value


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def _versioned(value: Any) -> tuple[Any, list[int]]:
    """A value, and how often each of its tensors has been written to."""
    versions: list[int] = []
    _map_tensors(value, lambda tensor: versions.append(_version(tensor)))
    return value, versions


def _in_float(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _stale(value: Any, versions: list[int]) -> bool:
    return _versioned(value)[1] != versions
