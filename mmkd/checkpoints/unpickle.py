"""An unpickler that runs no code of the file.

A ``.pth`` file is a pickle, and a pickle can run code. torch's ``weights_only=True``
refuses the checkpoints that mmengine itself writes (they hold log buffers), so files
are read here with an unpickler that knows tensors, containers, numbers, NumPy arrays
and mmengine's log buffer. Any other class becomes an inert placeholder: none of its
code is imported or run.
"""

from __future__ import annotations

import pickle
import re
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim import OneCycleParamScheduler

_ONE_CYCLE = OneCycleParamScheduler

_HARMLESS = {
    'builtins': 'bool bytearray bytes complex dict float frozenset int list range set '
    'slice str tuple',
    'collections': 'OrderedDict defaultdict',
    '_codecs': 'encode',
    'torch': 'Size device Tensor',
    'torch._utils': '_rebuild_parameter _rebuild_tensor _rebuild_tensor_v2',
    'torch.nn.parameter': 'Parameter',
    'torch.storage': 'TypedStorage UntypedStorage',
    'numpy': 'dtype ndarray',
    'numpy.core.multiarray': '_reconstruct scalar',
    'numpy._core.multiarray': '_reconstruct scalar',
}


class Inert:
    """What stands for an object whose class was not loaded. It does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> Inert:
        """Stand for the result of a call as well."""
        return Inert()

    def __setstate__(self, _: Any) -> None:
        pass

    def __setitem__(self, _: Any, __: Any) -> None:
        pass

    def append(self, _: Any) -> None:
        """Swallow an item of a foreign list."""

    def extend(self, _: Any) -> None:
        """Swallow the items of a foreign list."""

    add = append


class _OneCycle(Inert):
    """Stands for mmengine's scheduler, which saves a function of its own by name."""


class _LogBuffer(HistoryBuffer):  # type: ignore[misc]
    """mmengine's log buffer, whose own ``__setstate__`` takes functions from a file."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        state.pop('statistics_methods', None)
        self.__class__ = HistoryBuffer  # so that it is saved as what it is
        self.__setstate__(state)


_STAND_INS: dict[tuple[str, str], type] = {
    (HistoryBuffer.__module__, 'HistoryBuffer'): _LogBuffer,
    (_ONE_CYCLE.__module__, 'OneCycleParamScheduler'): _OneCycle,
}


def _is_torch_type(name: str) -> bool:
    """A dtype, or a kind of storage."""
    found = getattr(torch, name, None)
    return isinstance(found, torch.dtype) or bool(re.fullmatch(r'\w+Storage', name))


def _in_python_3(module: str, name: str) -> tuple[str, str]:
    """Today's name of a class: torch's files are in the protocol of Python 2."""
    if module != '__builtin__':
        return module, name
    return 'builtins', 'range' if name == 'xrange' else name


def safe_pickle(foreign: set[str]) -> Any:
    """A stand-in for the module ``pickle`` that never imports what a file names."""

    # The one in Python: for a few wrong bytes, the one in C asks for all memory.
    class Unpickler(pickle._Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            """Return what the file names if it is harmless, else Inert."""
            module, name = _in_python_3(module, name)
            if name in _HARMLESS.get(module, '').split():
                return super().find_class(module, name)
            if (module, name) in _STAND_INS:
                return _STAND_INS[module, name]
            if module == 'torch' and _is_torch_type(name):
                return getattr(torch, name)
            if (module, name) == ('builtins', 'getattr'):
                return attribute
            foreign.add(f'{module}.{name}')
            return Inert

    def attribute(owner: Any = None, name: str = '', *_: Any) -> Any:
        """Log buffers and one scheduler save functions of theirs; nothing else."""
        if owner is _LogBuffer and name in HistoryBuffer._statistics_methods:
            return getattr(owner, name)
        if owner is _OneCycle and name in ('_annealing_cos', '_annealing_linear'):
            return getattr(_ONE_CYCLE, name)
        foreign.add('builtins.getattr')
        return Inert

    def load(file: Any, **kwargs: Any) -> Any:
        return Unpickler(file, **kwargs).load()

    return SimpleNamespace(Unpickler=Unpickler, load=load, __name__='mmkd_safe_pickle')


def has_inert(value: Any) -> bool:
    """Whether something in a content of nested containers was not loaded."""
    if isinstance(value, dict):
        return any(map(has_inert, value)) or any(map(has_inert, value.values()))
    if isinstance(value, (list, tuple, set)):
        return any(map(has_inert, value))
    return value is Inert or isinstance(value, Inert)
