"""What an argument may be: checked against signatures, in errors that name the key.

Annotations say it, so that a class need not say it again::

    def __init__(self, tau: Positive = 4.0, activation: str = 'softmax') -> None:

``tau='4'``, ``tau=0``, ``tau=nan`` and ``taw=4`` then end in a ValueError that says so
and where, before anything is built.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

Count = int  # 1 or more
Natural = int  # 0 or more
Positive = float  # more than 0
Weight = float  # 0 or more
Share = float  # from 0 to 1
Config = Mapping[str, Any]
Shape = tuple[int, ...]  # of a feature, without the batch: (C, H, W), (L, C) or (C,)

_Test = Callable[[Any], bool]
_SIMPLE = (bool, int, float, str, bytes, list, tuple, dict, type(None))


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    """Not inf and not nan, which no setting means."""
    return _is_int(value) or (isinstance(value, float) and math.isfinite(value))


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


# Names in annotations -> what is meant, and how to tell.
_KINDS: dict[str, tuple[str, _Test]] = {
    'None': ('None', lambda value: value is None),
    'bool': ('True or False', lambda value: isinstance(value, bool)),
    'int': ('a whole number', _is_int),
    'float': ('a number', _is_number),
    'str': ('a text', lambda value: isinstance(value, str)),
    'Count': ('a count, 1 or more', lambda value: _is_int(value) and value > 0),
    'Natural': ('a count, 0 or more', lambda value: _is_int(value) and value >= 0),
    'Positive': ('a number above 0', lambda value: _is_number(value) and value > 0),
    'Weight': ('a number, 0 or more', lambda value: _is_number(value) and value >= 0),
    'Share': (
        'a share from 0 to 1',
        lambda value: _is_number(value) and 0 <= value <= 1,
    ),
    'Mapping': ('a dict', _is_mapping),
    'dict': ('a dict', _is_mapping),
    'Config': ('a dict', _is_mapping),
    'ModelConfig': ('a dict', _is_mapping),
    'Module': ('a module', lambda value: not isinstance(value, _SIMPLE)),
    'Path': ('a path', lambda value: not isinstance(value, _SIMPLE)),
}
_LISTS = ('Sequence', 'list', 'tuple')


def check_arguments(
    where: str, config: Any, target: Callable[..., Any], given: Collection[str] = ()
) -> None:
    """Raise a ValueError unless ``config`` has what ``target`` takes.

    Args:
        where: What the config is called in messages: 'terms.loss_kd.loss'.
        config: A dict of arguments.
        target: A class or a function.
        given: Arguments that it gets from elsewhere.
    """
    if not isinstance(config, Mapping):
        raise ValueError(f'{where}: {config!r} is not a dict.')
    parameters, open_ended = _parameters(target)
    known = [key for key in parameters if key not in given]
    for key, value in config.items():
        if key not in known:
            if open_ended:
                continue
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f'known: {known}'
            raise ValueError(f"{where}: nobody reads the key '{key}'; {hint}")
        meant = unlike(value, parameters[key].annotation)
        if meant:
            raise ValueError(f'{where}.{key}: {_short(value)} is not {meant}.')
    needed = {key for key in known if parameters[key].default is inspect._empty}
    if needed - set(config):
        raise ValueError(f'{where}: missing {sorted(needed - set(config))}')


def _parameters(target: Any) -> tuple[dict[str, inspect.Parameter], bool]:
    """What a callable takes by name, its bases behind ``**settings`` included."""
    owners = target.__mro__ if inspect.isclass(target) else (target,)
    found: dict[str, inspect.Parameter] = {}
    rest = False
    for owner in owners:
        if inspect.isclass(owner) and (
            owner is object or '__init__' not in vars(owner)
        ):
            continue
        function = owner.__init__ if inspect.isclass(owner) else owner
        rest = False
        for key, parameter in inspect.signature(function).parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                rest = True
            elif key != 'self' and parameter.kind is not parameter.VAR_POSITIONAL:
                found.setdefault(key, parameter)
        if not rest:
            return found, False
    return found, rest


def unlike(value: Any, annotation: Any) -> str:
    """What an annotation asks for, in words, if the value is not that; else ''."""
    if annotation is inspect._empty:
        return ''
    text = getattr(annotation, '__name__', None) or str(annotation)
    text = annotation if isinstance(annotation, str) else text
    meant = []
    for part in _split(text, '|'):
        words, fits = _kind(value, part)
        if fits:
            return ''
        meant.append(words)
    return ' or '.join(dict.fromkeys(meant))


def _kind(value: Any, annotation: str) -> tuple[str, bool]:
    """Words for one kind, and whether a value is of it. An unknown kind fits all."""
    head, _, rest = annotation.partition('[')
    head, inner = head.rpartition('.')[2], _split(rest.removesuffix(']'), ',')
    if head == 'Literal':
        allowed = [ast.literal_eval(word) for word in inner]
        return ' or '.join(map(repr, allowed)), value in allowed
    if head in _LISTS:
        items = value if isinstance(value, (list, tuple)) else None
        if head == 'tuple' and inner[-1] != '...':
            words = f'a list of {len(inner)}'
            same = items is not None and len(items) == len(inner)
            pairs = list(zip(items or (), inner)) if same else []
        else:
            words, same = 'a list', items is not None
            pairs = [(item, inner[0]) for item in items or ()]
        return words, same and not any(unlike(item, one) for item, one in pairs)
    words, test = _KINDS.get(head, ('', None))
    return words, test is None or test(value)


def _split(text: str, mark: str) -> list[str]:
    """Split an annotation, but not inside of its brackets."""
    parts, depth = [''], 0
    for letter in text:
        depth += (letter == '[') - (letter == ']')
        if letter == mark and depth == 0:
            parts.append('')
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _short(value: Any) -> str:
    text = re.sub(r'\s+', ' ', repr(value))
    return text if len(text) <= 120 else f'{text[:117]}…'


@contextmanager
def naming(where: str) -> Iterator[None]:
    """Say in an error's message where it happened.

    KeyError and the like, whose messages say little, become a ValueError.
    """
    try:
        yield
    except Exception as error:
        kinds = (FileNotFoundError, ImportError, RuntimeError)
        kind = next((kind for kind in kinds if isinstance(error, kind)), ValueError)
        if type(error) is kind and where in str(error):
            raise
        said = error.args[0] if isinstance(error, KeyError) and error.args else error
        clear = isinstance(error, (*kinds, OSError, ValueError))
        text = str(said) if clear else f'{type(error).__name__}: {said}'
        raise kind(f'{where}: {text}') from error
