"""Images for the page: boxes, masks, segments and attention drawn onto them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from PIL import Image, ImageDraw, ImageFont

from mmkd.report.answers import Answer, Array, Sample
from mmkd.report.images import Images

WIDTH = 440
SURE = 0.3  # boxes that a network is less sure of are not drawn
MOST = 20
IGNORED = 255
Colour = tuple[int, int, int]
# Okabe and Ito; used in turn where a data set has no colours of its own.
PALETTE: tuple[Colour, ...] = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
    (240, 228, 66),
)


def enlarge(image: Array) -> Image.Image:
    """An image of the width that all have here; tiny ones keep their pixels."""
    picture = Image.fromarray(image)
    height = max(1, round(WIDTH * picture.height / picture.width))
    kind = Image.Resampling.NEAREST if picture.width <= 64 else Image.Resampling.LANCZOS
    return picture.resize((WIDTH, height), kind)


def draw_answer(sample: Sample, answer: Answer, images: Images) -> Image.Image:
    """The image with boxes and masks, or with segments."""
    if answer.segments is not None:
        return _draw_segments(sample.image, answer.segments, images)
    picture = enlarge(sample.image)
    if answer.boxes is None or answer.labels is None:
        return picture
    sure = np.arange(len(answer.boxes))
    if answer.confidences is not None:
        sure = sure[answer.confidences >= SURE]
        sure = sure[np.argsort(-answer.confidences[sure])][:MOST]
    if answer.masks is not None:
        chosen = [(answer.masks[i], int(answer.labels[i])) for i in sure]
        picture = _draw_masks(picture, chosen)
    scale = picture.width / sample.image.shape[1]
    pen = ImageDraw.Draw(picture)
    for i in sure[::-1]:  # the surest on top
        label = int(answer.labels[i])
        name = images.classes[label] if label < len(images.classes) else str(label)
        if answer.confidences is not None:
            name += f' {answer.confidences[i]:.2f}'
        _draw_box(pen, [float(x) * scale for x in answer.boxes[i]], name, label)
    return picture


def _draw_box(
    pen: ImageDraw.ImageDraw, box: Sequence[float], name: str, label: int
) -> None:
    colour = PALETTE[label % len(PALETTE)]
    x, y, right, bottom = box
    if right <= x or bottom <= y:
        return
    pen.rectangle((x, y, right, bottom), outline=colour, width=3)
    font = ImageFont.load_default(15)
    left, top, end, base = pen.textbbox((0, 0), name, font=font)
    height = base - top + 6
    top_edge = y - height if y >= height else y
    pen.rectangle((x, top_edge, x + end - left + 8, top_edge + height), fill=colour)
    dark = sum(colour) < 400
    pen.text((x + 4, top_edge + 3 - top), name, 'white' if dark else 'black', font=font)


def _draw_masks(picture: Image.Image, masks: list[tuple[Array, int]]) -> Image.Image:
    pixels = np.asarray(picture).astype(float)
    for mask, label in masks:
        shape = Image.fromarray(np.asarray(mask).astype(np.uint8) * 255)
        inside = np.asarray(shape.resize(picture.size)) > 127
        pixels[inside] = 0.5 * pixels[inside] + 0.5 * np.array(
            PALETTE[label % len(PALETTE)]
        )
    return Image.fromarray(pixels.astype(np.uint8))


def _draw_segments(image: Array, segments: Array, images: Images) -> Image.Image:
    colours = np.array(images.palette or PALETTE, dtype=float)
    tinted = colours[segments.astype(int) % len(colours)]
    tint = Image.fromarray(tinted.astype(np.uint8))
    picture = enlarge(image)
    layer = np.asarray(tint.resize(picture.size, Image.Resampling.NEAREST))
    blank = Image.fromarray((segments == IGNORED).astype(np.uint8) * 255)
    ignored = np.asarray(blank.resize(picture.size, Image.Resampling.NEAREST)) > 0
    mixed = 0.4 * np.asarray(picture) + 0.6 * layer
    mixed[ignored] = 0.4 * np.asarray(picture)[ignored]
    return Image.fromarray(mixed.astype(np.uint8))


def draw_attention(image: Array, attention: Array) -> Image.Image:
    """The map from its least to its largest value, smoothly over the image."""
    low, high = float(attention.min()), float(attention.max())
    level = (attention - low) / max(high - low, 1e-12)
    picture = enlarge(image).convert('L').convert('RGB')
    heat = Image.fromarray((level * 255).astype(np.uint8)).resize(
        picture.size, Image.Resampling.BICUBIC
    )
    coloured = colormaps['inferno'](np.asarray(heat) / 255)[..., :3] * 255
    mixed = 0.35 * np.asarray(picture) + 0.65 * coloured
    return Image.fromarray(mixed.astype(np.uint8))


def data_uri(picture: Image.Image) -> str:
    """A picture as an address that holds it."""
    buffer = io.BytesIO()
    picture.convert('RGB').save(buffer, 'JPEG', quality=82, optimize=True)
    return 'data:image/jpeg;base64,' + base64.b64encode(buffer.getvalue()).decode()


def write_sheet(file: Path, rows: Sequence[Sequence[tuple[str, Image.Image]]]) -> None:
    """All pictures on one sheet, with their names, as PNG; the SVG holds the same."""
    gap, line = 12, 26
    heights = [max(p.height for _, p in row) + line + gap for row in rows]
    width = max(len(row) for row in rows) * (WIDTH + gap) + gap
    sheet = Image.new('RGB', (width, sum(heights) + gap), 'white')
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(17)
    y = gap
    for row, height in zip(rows, heights):
        for i, (name, picture) in enumerate(row):
            x = gap + i * (WIDTH + gap)
            pen.text((x, y), name, 'black', font=font)
            sheet.paste(picture, (x, y + line))
        y += height
    sheet.save(file.with_suffix('.png'), optimize=True)
    size = f'width="{sheet.width}" height="{sheet.height}"'
    file.with_suffix('.svg').write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
        f'<image {size} href="{data_uri(sheet)}"/></svg>'
    )
