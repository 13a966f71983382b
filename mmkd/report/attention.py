"""Where networks look."""

from __future__ import annotations

from collections.abc import Sequence

from mmkd.report.answers import Array, array
from mmkd.report.features import Layer, attention, look
from mmkd.report.images import Images
from mmkd.report.subjects import ANY, Subject, line


def attend(
    subjects: Sequence[Subject],
    images: Images,
    layers: Sequence[Layer],
    chosen: Sequence[int],
    notes: list[str],
) -> tuple[str, dict[str, list[Array]]]:
    """Attention maps of the first layer that is a map in all networks, by network."""
    levels: dict[str, str] = {}
    for layer in layers:
        maps: dict[str, list[Array]] = {}
        for subject in subjects:
            path = layer.teacher if subject.role == 'teacher' else layer.student
            for index in chosen:
                try:
                    seen = look(subject, images.batch(index, index + 1), [path])
                except ANY as error:
                    notes.append(f'{subject.label}, {path}: {line(error)}')
                    break
                last = seen[path][-1] if path in seen else None
                if last is None or last.ndim != 4 or last.shape[2] * last.shape[3] < 4:
                    break
                maps.setdefault(subject.label, []).append(array(attention(last)[0]))
                if len(seen[path]) > 1:
                    levels[path] = f'{path}[{len(seen[path]) - 1}]'
        maps = {name: m for name, m in maps.items() if len(m) == len(chosen)}
        if maps and len(maps) >= min(2, len(subjects)):
            return levels.get(layer.student, layer.student), maps
    return '', {}
