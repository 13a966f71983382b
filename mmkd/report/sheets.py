"""Sheets of pictures: where networks look, and what they answer, on some images."""

from __future__ import annotations

from pathlib import Path

from mmkd.report.images import Images
from mmkd.report.pictures import draw_answer, draw_attention, enlarge, write_sheet
from mmkd.report.study import Study


def write_sheets(study: Study, images: Images, folder: Path) -> None:
    """Attention and answers on some images, as pictures."""
    samples = study.samples[:4]
    maps = [
        [
            ('image', enlarge(s.image)),
            *((k, draw_attention(s.image, m)) for k, m in s.attention.items()),
        ]
        for s in samples
        if s.attention
    ]
    answers = [
        [
            ('ground truth', draw_answer(s, s.truth, images)),
            *((k, draw_answer(s, a, images)) for k, a in s.answers.items()),
        ]
        for s in samples
        if any(a.scores is None for a in s.answers.values())
    ]
    for name, rows in (('attention', maps), ('predictions', answers)):
        if rows:
            write_sheet(folder / name, rows)
