"""How a step grows with the batch, the images, the terms and the classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mmkd.yardstick import pairs, steps
from mmkd.yardstick.clock import Row

AXES = ('batch', 'size', 'terms', 'classes')
SMALL = {
    'batch': (2, 4, 8, 16),
    'size': (32, 64, 96, 128),
    'terms': (1, 2, 4, 8),
    'classes': (10, 100, 1000, 10000),
}
LARGE = {
    'batch': (16, 32, 64, 128),
    'size': (128, 192, 256, 320),
    'terms': (1, 2, 4, 8, 16),
    'classes': (10, 100, 1000, 10000),
}


def read_axes(words: Sequence[str], on_gpu: bool) -> dict[str, tuple[int, ...]]:
    """What is to grow: 'batch', or 'batch=2,4,8'; nothing means all."""
    usual = LARGE if on_gpu else SMALL
    axes = {}
    for word in words or AXES:
        name, _, values = word.partition('=')
        if name not in AXES:
            raise ValueError(f"--grow {word}: '{name}' is none of {', '.join(AXES)}")
        given = [value for value in values.split(',') if value]
        if not all(value.isdecimal() and int(value) for value in given):
            raise ValueError(f'--grow {word}: write {name}=1,2,4')
        axes[name] = tuple(map(int, given)) or usual[name]
    return axes


def measure(
    name: str, method: str, setting: steps.Setting, axes: dict[str, tuple[int, ...]]
) -> Iterator[Row]:
    """A row as of :func:`steps.measure` for every value on every axis."""
    for axis, values in axes.items():
        for value in values:
            here, classes = setting, None
            if axis == 'classes':
                classes = value
            else:
                here = setting._replace(**{axis: value})  # type: ignore[arg-type]
            pair = pairs.find_pair(name, here.size, here.device, classes)
            yield dict(steps.measure(pair, method, here), axis=axis, value=value)
