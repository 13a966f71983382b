"""Recorder: keep what named modules take or return, only inside ``with``.

What to keep is said by paths (see :mod:`mmkd.paths`). ``forward`` is wrapped on the
instance: a forward hook would miss the direct calls of ``head.forward(x)`` that
OpenMMLab makes.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from mmkd.paths import Tap, find_method, find_module, parse


class _Wrapper:
    """Stands in for a method of a module while a recorder is open.

    A copy or a pickle made meanwhile gets the plain method back.
    """

    def __init__(
        self,
        module: nn.Module,
        tap: Tap,
        sides: dict[str, list[Any]],
        clone: bool,
        missing: set[tuple[str, str]] | None,
    ) -> None:
        self.module = module
        self.name = tap.method
        self.place = tap.place
        self.sides = sides
        self.clone = clone
        self.missing = missing
        self.calls: dict[str, list[Any]] = {side: [] for side in sides}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if 'input' in self.sides:
            self._keep('input', (args, kwargs))
        output = self.method(*args, **kwargs)
        if 'output' in self.sides:
            self._keep('output', output)
        return output

    # same[decorator]: only torch.compile minds, which a slow test runs
    @torch.compiler.disable  # type: ignore
    def _keep(self, side: str, value: Any) -> None:
        value = _read_of(value, self.sides[side])
        if self.clone:
            value = _map_tensors(value, torch.clone)
        self.calls[side].append(_versioned(value))
        if self.missing is not None:
            self.missing.discard((self.place, side))
            if not self.missing:
                raise Enough

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return _own_method(copy.deepcopy(self.module, memo), self.name)

    def __reduce__(self) -> Any:
        return _own_method, (self.module, self.name)

    def put(self) -> None:
        """Stand in for the method."""
        self.method = find_method(self.module, self.name)
        # A method of the class is not on the instance; somebody may have put one there.
        self.others = self.name in self.module.__dict__
        self.module.__dict__[self.name] = self

    def leave(self) -> None:
        """Put back what was there."""
        if self.others:
            self.module.__dict__[self.name] = self.method
        else:
            del self.module.__dict__[self.name]
        del self.module, self.method, self.missing  # same: only memory


def _own_method(module: nn.Module, name: str) -> Any:
    """The method that a module's class has, whatever is on the instance."""
    kind = type(module)
    return inspect.getattr_static(kind, name).__get__(module, kind)


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
        self.cloned = {parse(path).place for path in cloned}
        self.wrappers: dict[str, _Wrapper] = {}

    def __enter__(self) -> Recorder:
        sides: dict[str, dict[str, list[Any]]] = {}
        taps: dict[str, Tap] = {}
        for path in self.paths:
            tap = parse(path)
            taps[tap.place] = tap
            own = sides.setdefault(tap.place, {}).setdefault(tap.side, [])
            own.append(tap.part[0] if tap.part and tap.side == 'output' else None)
        missing = {(place, side) for place, own in sides.items() for side in own}
        modules = {at: find_module(self.model, tap.module) for at, tap in taps.items()}
        for place, tap in taps.items():  # before anything is wrapped
            find_method(modules[place], tap.method)
        for place, tap in taps.items():
            self.wrappers[place] = wrapper = _Wrapper(
                modules[place],
                tap,
                sides[place],
                place in self.cloned,
                missing if self.enough else None,
            )
            wrapper.put()
        return self

    def __exit__(self, *_: object) -> None:
        # The last first: one module may stand in two paths, under two names.
        for wrapper in reversed(self.wrappers.values()):
            wrapper.leave()

    def fired(self, path: str) -> bool:
        """Whether the module of ``path`` ran at all."""
        tap = parse(path)
        return bool(self.wrappers[tap.place].calls[tap.side])

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
        return any(_stale(*call) for call in self.wrappers[tap.place].calls[tap.side])

    def __getitem__(self, path: str) -> list[Tensor]:
        """The levels kept for ``path``; raises if there are none."""
        tap = parse(path)
        calls = self.wrappers[tap.place].calls[tap.side]
        if not calls:
            raise RuntimeError(
                f"'{path}': the module exists in {type(self.model).__name__} but did "
                'not run in this step. Tap a module that runs during training.'
            )
        if tap.call is None and len(calls) > 1:
            raise RuntimeError(
                f"'{path}' ran {len(calls)} times in this step: write '{tap.place}@-1'"
                f" for the last call or '{tap.place}@*' for all, as levels."
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
            f"'{path}': no such part in what '{tap.place}' "
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
    # same[number]: it is compared with itself
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
