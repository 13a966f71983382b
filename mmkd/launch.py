"""What the command-line tools share: short errors, options that change a config."""

from __future__ import annotations

import argparse
import difflib
import inspect
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from mmkd.arguments import naming
from mmkd.build import read_config
from mmkd.checks import LEGACY
from mmkd.mixin import distill

# What a user's mistake ends in: wrong values, files, packages, checkpoints.
MISTAKES: tuple[type[Exception], ...] = (ValueError, OSError, ImportError, RuntimeError)

# What mmengine and the packages raise, too, where a config does not fit them.
BUILDING = (KeyError, TypeError, AttributeError, AssertionError)


@contextmanager
def short_errors(*more: type[Exception]) -> Iterator[None]:
    """End on a user's mistake with its message and exit code 2, without a traceback.

    An error that comes out of another one's code is shown with the place.

    Args:
        *more: Kinds that are a user's mistake here, beside ``MISTAKES``.
    """
    try:
        yield
    except (*MISTAKES, *more) as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        told = isinstance(cause, MISTAKES) and str(cause) in str(error)
        if not told and cause.__traceback__ is not None:
            *_, last = traceback.extract_tb(cause.__traceback__)
            place = f'{last.filename}:{last.lineno}'
            print(f'  because of {cause!r}, in {place}', file=sys.stderr)
        print(f'mmkd: error: {_text(error)}', file=sys.stderr)
        sys.exit(2)


def _text(error: Exception) -> str:
    """What an error says; mmengine's are KeyErrors and TypeErrors."""
    said = error.args[0] if isinstance(error, KeyError) and error.args else error
    return str(said) or repr(error)


def compose(args: argparse.Namespace) -> Config:
    """The config that is named, a distillation if ``--method`` says so, with options.

    Args:
        args: With ``config``, ``method``, ``teacher``, ``teacher_ckpt``, ``kind``,
            ``pair`` and ``cfg_options``, as tools/train.py has them.
    """
    config = read_config(args.config, 'model')
    if args.method:
        teacher = (args.teacher, args.teacher_ckpt)
        config = distill(config, args.method, *teacher, args.kind, args.pair)
        for key in ('teacher', 'teacher_ckpt'):
            if key not in config.model and wants_teacher(config.model):
                option = f'--{key.replace("_", "-")}'
                raise ValueError(f'--method {args.method} needs {option} as well.')
    merge_options(config, args.cfg_options)
    return config


def wants_teacher(model: Mapping[str, Any]) -> bool:
    """Whether a distiller's arguments leave it to the user to give a teacher.

    A method may bring its own or several, or say that there is none: ``teacher=None``.
    """
    one = 'teachers' not in model and model.get('teacher', '') is not None
    return one and model['type'] == 'mmkd.Distiller'


def merge_options(config: Config, pairs: Sequence[str]) -> None:
    """Merge what ``--cfg-options`` got, 'key.key=value', into a config."""
    for pair in pairs:
        key, found, _ = pair.partition('=')
        if not found:
            raise ValueError(f"--cfg-options: '{pair}' is not of the form KEY=VALUE")
        _check_top(key.partition('.')[0], config)
    parser = argparse.ArgumentParser()  # mmengine's reading of values is an action
    parser.add_argument('pairs', nargs='*', action=DictAction, default={})
    options = parser.parse_args(list(pairs)).pairs
    if options:
        with naming(f'--cfg-options {" ".join(pairs)}'):
            config.merge_from_dict(options)


def _check_top(key: str, config: Config) -> None:
    """Raise where a new setting looks like a misspelt one: nobody would read it."""
    known = {*config, *inspect.signature(Runner.__init__).parameters}
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.8)
    if key not in known | set(LEGACY) and close:
        raise ValueError(
            f"--cfg-options: the config has no '{key}'; did you mean '{close[0]}'?"
        )
