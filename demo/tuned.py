"""How the demo runs a method: by its own file, with the numbers of weights.json.

weights.json has, for each task and method, what differs from configs/_base_/methods:
the weights that benchmarks/embedded found best on validation images, and what the size
of the images and networks asks for. See docs/demo.md. A method that is not there runs
with the numbers of its file.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

with contextlib.redirect_stderr(io.StringIO()):  # warnings of torch's own
    from mmkd.build import read_config
    from mmkd.launch import wants_teacher
    from mmkd.mixin import (
        describe,
        distill,
        kinds_of,
        list_methods,
        methods_folder,
        read_method,
    )

if TYPE_CHECKING:
    from mmengine.config import Config

CONFIGS = Path(__file__).resolve().parent.parent / 'configs' / 'demo'
TABLE: dict[str, dict[str, dict[str, Any]]] = json.loads(
    Path(__file__).with_name('weights.json').read_text()
)


def config_of(task: str, name: str) -> Path:
    """The config of a task's student or teacher."""
    return CONFIGS / task / f'{name}.py'


def sources(task: str, name: str) -> list[Path]:
    """The files that say how the teacher, the baseline or a method's student learns."""
    folders = ('det', 'ins') if task == 'ins' else (task,)  # its base
    parts = ('_data', 'student', 'teacher')
    files = [config_of(folder, part) for folder in folders for part in parts]
    files.append(methods_folder() / f'{name}.py')
    return [file for file in files if file.is_file()]


@cache
def kinds(task: str) -> list[str]:
    """The forms of methods that suit a task."""
    return kinds_of(read_config(config_of(task, 'student')))


def methods(task: str) -> list[str]:
    """All methods that have a form for a task."""
    suit = set(kinds(task))
    return [name for name in list_methods() if suit & set(describe(name)['kinds'])]


def needs_teacher(task: str, method: str) -> bool:
    """Whether a method needs the task's teacher, or brings its own, or has none."""
    return wants_teacher({'type': 'mmkd.Distiller', **read_method(method, kinds(task))})


def options(task: str, method: str) -> dict[str, Any]:
    """Settings of the config: 'model.terms.loss_kd.weight' -> 10."""
    own = TABLE[task].get(method, {})
    return {f'model.{key}': value for key, value in own.items()}


def spelt(settings: Mapping[str, Any]) -> list[str]:
    """Settings as a tool is told of them."""
    pairs = [f'{key}={value}' for key, value in settings.items()]
    return ['--cfg-options', *pairs] if pairs else []


def files(method: str, folder: Path) -> dict[str, tuple[Path, dict[str, Path]]]:
    """What must be made before a training with a method.

    Returns:
        Tool -> the file that it makes in ``folder``, and the settings that name it.
    """
    found = {}
    for tool, keys in describe(method).get('before', {}).items():
        file = folder / f'{tool.partition("_")[2]}.pth'  # build_codebook: codebook.pth
        found[tool] = (file, {f'model.{key}': file for key in keys})
    return found


def arguments(task: str, method: str, checkpoint: Path) -> list[str]:
    """What a tool is told beside the student's config, without ``--cfg-options``."""
    given = ['--method', method]
    if needs_teacher(task, method):
        given += ['--teacher', str(config_of(task, 'teacher'))]
        given += ['--teacher-ckpt', str(checkpoint)]
    return given


def distilled(
    task: str, method: str, checkpoint: Path, more: Mapping[str, Any] | None = None
) -> Config:
    """The config that these arguments and options make, and ``more`` settings."""
    given: dict[str, Any] = {}
    if needs_teacher(task, method):
        given = dict(teacher=config_of(task, 'teacher'), teacher_ckpt=str(checkpoint))
    config = distill(config_of(task, 'student'), method, **given)
    config.merge_from_dict({**options(task, method), **(more or {})})
    return config
