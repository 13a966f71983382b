"""Empty modules for what mmrazor imports and distillation does not use.

What it searches, prunes and quantizes with does not import beside torch 2.1 or 2.5.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import types
from typing import Any

UNUSED = (
    *('engine', 'implementations', 'structures.quantization', 'models.fake_quants'),
    *('models.mutables', 'models.mutators', 'models.observers', 'models.quantizers'),
    *('models.algorithms.nas', 'models.algorithms.pruning'),
    *('models.algorithms.quantization', 'models.task_modules.tracer'),
    *('models.architectures.backbones', 'models.architectures.classifiers'),
    *('models.architectures.dynamic_ops', 'models.architectures.generators'),
    *('models.architectures.heads', 'models.architectures.necks'),
    *('models.architectures.ops', 'models.architectures.utils'),
)


class Absent(types.ModuleType):
    """A module that has any class one asks it for."""

    __all__: list[str] = []
    __path__: list[str] = []

    def __getattr__(self, name: str) -> type:
        if name.startswith('__'):
            raise AttributeError(name)
        return type(name, (), {})


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds :class:`Absent` where something unused is imported."""

    def find_spec(
        self, name: str, path: Any, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """One for each of the unused."""
        if not name.startswith(tuple(f'mmrazor.{unused}' for unused in UNUSED)):
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> Absent:
        """An empty one."""
        return Absent(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing is in it."""
