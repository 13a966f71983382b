"""Pieces of the page that its sections share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from mmkd.report.drawing import VARIABLES, Drawing


def figure(drawing: Drawing | None) -> str:
    """One figure."""
    return f'<figure>{drawing.svg}</figure>' if drawing else ''


def figures(drawings: Iterable[Drawing]) -> str:
    """Several figures."""
    return ''.join(figure(drawing) for drawing in drawings)


def note_list(notes: Iterable[str]) -> str:
    """What a reader should know, each thing once; nothing if there is nothing."""
    items = ''.join(f'<li>{note}</li>' for note in dict.fromkeys(notes))
    return f'<ul class="notes">{items}</ul>' if items else ''


def plain_table(
    caption: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    kind: str = '',
    code: Sequence[int] = (),
) -> str:
    """A table of texts; the first cell of a row names it, some columns are of code."""
    head = ''.join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = ''
    for row in rows:
        first, *cells = (_cell(text, i in code) for i, text in enumerate(row))
        body += f'<tr><th scope="row">{first}</th>'
        body += ''.join(f'<td>{cell}</td>' for cell in cells) + '</tr>'
    title = f'<caption>{escape(caption)}</caption>' if caption else ''
    return (
        f'<div class="scroll"><table class="plain {kind}">{title}'
        f'<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _cell(text: str, code: bool) -> str:
    if not code:
        return escape(text)
    return (
        f'<code>{escape(text)}</code>' if text else '<span class="muted">not set</span>'
    )


def tone_of(colour: str) -> str:
    """The attribute that gives an element a colour of the figures."""
    return f'style="--tone:var(--{VARIABLES[colour]})"'


def spread(value: dict[str, Any] | None, unit: str = '', digits: int = 1) -> str:
    """Mean ± deviation, and the unit."""
    if value is None:
        return '–'
    if value['mean'] is None:
        return 'NaN'
    text = f'{value["mean"]:,.{digits}f}'
    if value['sd'] is not None:
        text += f'<small>\u2009±\u2009{value["sd"]:.{digits}f}</small>'
    return f'{text}\u202f{unit}' if unit else text


def lower(name: str) -> str:
    """A metric's name inside a sentence."""
    return name[0].lower() + name[1:] if name[1:2].islower() or '-' in name else name


def duration(seconds: float) -> str:
    """0.4 ms, 12 s, 3 min, 5 h 12 min."""
    if seconds < 1:
        return f'{1000 * seconds:.3g} ms'
    if seconds < 120:
        return f'{seconds:.1f} s'
    minutes = round(seconds / 60)
    return (
        f'{minutes} min' if minutes < 120 else f'{minutes // 60} h {minutes % 60} min'
    )
