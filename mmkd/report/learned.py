"""The page's section on what the student learned: features, attention, predictions."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from mmkd.report.answers import Sample
from mmkd.report.content import Content
from mmkd.report.curves import colours
from mmkd.report.images import Images
from mmkd.report.parts import figure, note_list, plain_table, tone_of
from mmkd.report.pictures import (
    PALETTE,
    data_uri,
    draw_answer,
    draw_attention,
    enlarge,
)
from mmkd.report.study import Study
from mmkd.report.subjects import BEFORE


def learned(content: Content) -> str:
    """The section."""
    study = content.study
    notes = [*content.notes.get('learned', []), *(study.notes if study else [])]
    html = ''
    if study and content.similarity:
        html += (
            '<h3>Features</h3><p>Linear CKA: 1 means the same features up to rotation '
            'and scale, 0 nothing in common; estimates without bias can fall a little '
            'below 0. From '
            f'{study.counted:,} validation images.</p>{_marks(content, study)}'
            f'<div class="split">{figure(content.similarity)}{_likeness(study)}</div>'
        )
    if study and content.images and any(s.attention for s in study.samples):
        html += (
            f'<h3>Attention</h3><p>Where <code>{escape(study.seen)}</code> is active: '
            'the mean of the squares over its channels, each map from its least (dark) '
            'to its largest value.</p>'
        )
        html += ''.join(
            _attention(sample, i) for i, sample in enumerate(study.samples[:4])
        )
    if study and content.images and any(s.answers for s in study.samples):
        html += '<h3>Predictions</h3>' + _predictions(content, study, content.images)
    return html + note_list(notes)


def _marks(content: Content, study: Study) -> str:
    palette = colours(content.comparison)
    labels = dict.fromkeys(label for _, _, row in study.layers for label in row)
    items = ''.join(
        f'<li><span class="dot{" hollow" if label == BEFORE else ""}" '
        f'{tone_of(palette[label])}></span>{escape(label)}&emsp;</li>'
        for label in labels
    )
    return f'<ul class="legend">{items}</ul>'


def _likeness(study: Study) -> str:
    """The figure's numbers."""
    labels = list(dict.fromkeys(label for _, _, row in study.layers for label in row))
    rows = [
        (name, *(f'{row[n]:.2f}' if n in row else '–' for n in labels))
        for _, name, row in study.layers
    ]
    return plain_table('', ('layer', *labels), rows, 'numbers', code=[0])


def _attention(sample: Sample, number: int) -> str:
    cells = [('image', enlarge(sample.image))]
    cells += [(k, draw_attention(sample.image, m)) for k, m in sample.attention.items()]
    return _row(cells, f'Attention, image {number + 1}', ' small')


def _predictions(content: Content, study: Study, images: Images) -> str:
    if any(a.scores is not None for s in study.samples for a in s.answers.values()):
        cards = ''.join(_card(content, sample, images) for sample in study.samples)
        text = f'{len(study.samples)} of {study.asked:,} validation images.'
        if study.outcomes:
            both, base, ours, neither = study.outcomes
            text = (
                f'Of {study.asked:,} validation images the student alone and the '
                f'distilled one both read {both:,} rightly, only the distilled one '
                f'{ours:,}, only the student alone {base:,}, neither {neither:,}. '
                'Shown are up to three, two and one of the last three kinds.'
            )
        return f'<p>{text}</p><div class="answers">{cards}</div>'
    html = '<p>The first of the validation images that were looked at'
    boxes = any(s.truth.boxes is not None for s in study.samples)
    html += '; boxes with a confidence of at least 0.3.</p>' if boxes else '.</p>'
    for number, sample in enumerate(study.samples[:4]):
        cells = [('ground truth', draw_answer(sample, sample.truth, images))]
        cells += [
            (k, draw_answer(sample, a, images)) for k, a in sample.answers.items()
        ]
        html += _row(cells, f'Predictions, image {number + 1}')
    return html + _classes(study, images)


def _classes(study: Study, images: Images) -> str:
    """The colours of the classes, where pixels have them."""
    if all(sample.truth.segments is None for sample in study.samples):
        return ''
    colours = images.palette or PALETTE
    items = ''.join(
        f'<li><span class="dot" style="--tone:rgb{tuple(colours[i % len(colours)])}">'
        f'</span>{escape(name)}&emsp;</li>'
        for i, name in enumerate(images.classes[:30])
    )
    return f'<ul class="legend muted" aria-label="Classes">{items}</ul>'


def _row(cells: Sequence[tuple[str, Any]], what: str, kind: str = '') -> str:
    return (
        f'<div class="sample{kind}">'
        + ''.join(
            f'<figure><img src="{data_uri(picture)}" width="{picture.width}" '
            f'height="{picture.height}" alt="{escape(f"{what}: {name}")}">'
            f'<figcaption>{escape(name)}</figcaption></figure>'
            for name, picture in cells
        )
        + '</div>'
    )


def _card(content: Content, sample: Sample, images: Images) -> str:
    """An image with the most probable classes, network by network."""
    palette = colours(content.comparison)

    def name(label: int) -> str:
        return images.classes[label] if label < len(images.classes) else str(label)

    true = int(sample.truth.labels[0]) if sample.truth.labels is not None else -1
    rows = ''
    for label, answer in sample.answers.items():
        if answer.scores is None:
            continue
        for place, i in enumerate(answer.scores.argsort()[::-1][:2]):
            share = float(answer.scores[i])
            first = f'<th scope="rowgroup" rowspan="2">{escape(label)}</th>'
            mark = ' class="right"' if int(i) == true else ''
            rows += (
                f'<tr{"" if place else " class=first"}>{"" if place else first}'
                f'<td{mark}>{escape(name(int(i)))}{" ✓" if int(i) == true else ""}</td>'
                f'<td class="bars"><span class="bar" style="width:{100 * share:.1f}%;'
                f'{tone_of(palette[label])[7:-1]}"></span></td>'
                f'<td>{100 * share:.0f} %</td></tr>'
            )
    truth = escape(name(true)) if true >= 0 else 'unknown'
    return (
        f'<div class="card"><figure><img src="{data_uri(enlarge(sample.image))}" '
        f'alt="Validation image of class {truth}" width="84"><figcaption>is {truth}'
        '</figcaption></figure><table><caption class="visually-hidden">Most probable '
        f'classes of an image of {truth}</caption><tbody>{rows}</tbody></table></div>'
    )
