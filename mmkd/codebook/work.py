"""The folder of a codebook in the making: what waits on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmkd.checkpoints.read import read_checkpoint
from mmkd.checkpoints.whole import save, whole
from mmkd.codebook.maths import Chunks


class Work:
    """The folder of a run: features, and the results of the stages that are done."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / 'settings.json'
        settings = json.loads(json.dumps(settings))
        if file.is_file() and json.loads(file.read_text()) != settings:
            raise ValueError(
                f"'{folder}' holds what another run, with other settings, has left. "
                'Delete it or give another --work-dir.'
            )
        self.write('settings.json', json.dumps(settings))

    def write(self, name: str, text: str) -> None:
        """Write a file that is either whole or not there."""
        with whole(self.folder / name) as part:
            part.write_text(text)

    def append(self, name: str, array: np.ndarray[Any, Any]) -> None:
        """Add rows to a file."""
        with open(self.folder / name, 'ab') as file:
            file.write(array.tobytes())

    def load(self, name: str) -> Any:
        """What a stage has saved, or None."""
        file = self.folder / f'{name}.pth'
        return read_checkpoint(file)[0] if file.is_file() else None

    def save(self, name: str, content: Any) -> None:
        """Keep what a stage has made."""
        save(content, self.folder / f'{name}.pth')

    def state(self, parts: list[str]) -> dict[str, Any]:
        """How far the features are; what was written behind that is cut off."""
        state: dict[str, Any]
        state = {'images': 0, 'rows': dict.fromkeys(parts, 0), 'channels': {}}
        if (self.folder / 'state.json').is_file():
            state = json.loads((self.folder / 'state.json').read_text())
        for part in parts:
            channels = state['channels'].get(part, 0)
            for kind, width in (('features', channels), ('labels', 1)):
                with open(self.folder / f'{part}.{kind}', 'ab') as file:
                    file.truncate(state['rows'][part] * width * 4)
        return state

    def rows(self, part: str) -> tuple[Any, Any]:
        """Features (P, C) and labels (P,), on disk."""
        state = json.loads((self.folder / 'state.json').read_text())
        count, channels = state['rows'][part], state['channels'][part]
        if not count:
            raise ValueError(f'{part}: no position of the training set has a class.')
        x = np.memmap(self.folder / f'{part}.features', 'float32', 'r')
        y = np.memmap(self.folder / f'{part}.labels', 'int32', 'r')
        return x[: count * channels].reshape(count, channels), y[:count]

    def chunks(
        self, part: str, device: Any, project: Callable[[Tensor], Tensor] | None = None
    ) -> Chunks:
        """Read them in pieces; perhaps projected."""
        x, y = self.rows(part)

        def read(size: int) -> Iterator[tuple[Tensor, Tensor]]:
            for i in range(0, len(x), size):
                piece = torch.tensor(x[i : i + size], device=device)
                labels = torch.tensor(y[i : i + size].astype('int64'), device=device)
                yield (project(piece) if project else piece), labels

        return read
