"""Reading a recording in place of running the teacher."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmkd.datasets.view_sampler import ViewSampler
from mmkd.datasets.views import ReplayedViews
from mmkd.recorder import Recorder
from mmkd.recording.arrays import Meta
from mmkd.recording.folder import open_files, read_meta
from mmkd.recording.origin import differences, of_data

MAKE = 'python tools/record_teacher.py'


class Recording:
    """Read what a teacher said.

    Copies share it; each process opens the files anew.

    Args:
        folder: What tools/record_teacher.py has made.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser()
        file = self.folder / 'meta.json'
        if not file.is_file():
            raise FileNotFoundError(
                f"There is no recording '{folder}'. Make it: {MAKE} CONFIG {folder}"
            )
        self.meta = read_meta(file)
        done, self.checks, self.levels = open_files(self.folder, self.meta, 'r')
        if not done.all():
            raise ValueError(
                f"The recording '{folder}' is not complete: {done.sum()} of "
                f'{len(done)} blocks. The same command goes on with it: {self.command}'
            )

    def __deepcopy__(self, _: dict[int, Any]) -> Recording:
        return self

    def __reduce__(self) -> Any:
        return Recording, (str(self.folder),)

    @property
    def command(self) -> str:
        """The command that made it."""
        return str(self.meta['command'])

    def check(self, now: Meta) -> None:
        """Raise if it was made from something else, naming what.

        Args:
            now: What there is at present, of :mod:`mmkd.recording.origin`.
        """
        changed = differences(self.meta['made_from'], now)
        if changed:
            raise ValueError(
                f"The recording '{self.folder}' was made from something else:\n  "
                + '\n  '.join(changed)
                + f'\nMake a new one, in another folder: {self.command}'
            )

    def check_paths(self, paths: Iterable[str]) -> None:
        """Raise if one of the paths was not recorded."""
        for path in paths:
            if path not in self.levels:
                raise ValueError(
                    f"The recording '{self.folder}' has no '{path}', only "
                    f'{sorted(self.levels)}. With this term in the config, make a new '
                    f'one, in another folder: {self.command}'
                )

    def check_data(self, loader: Any) -> None:
        """Raise if a dataloader gives other views than the recorded."""
        dataset = loader.dataset
        if not isinstance(dataset, ReplayedViews):
            raise ValueError(self._unwrapped())
        self.check(of_data(dataset))
        sampler = getattr(loader.batch_sampler, 'sampler', loader.sampler)
        if dataset.views > 1 and not isinstance(sampler, ViewSampler):
            raise ValueError(
                f"The recording '{self.folder}' has {dataset.views} views of an image, "
                f'but a {type(sampler).__name__} only shows the first: wrap it, '
                "sampler=dict(type='mmkd.ViewSampler', sampler=…)"
            )

    def read(
        self, paths: Iterable[str], samples: Sequence[Any] | None, device: torch.device
    ) -> Replay:
        """What the teacher said at ``paths`` to the images of a batch."""
        found = [sample.get('view') for sample in samples or ()]
        if not found or None in found:
            raise ValueError(self._unwrapped())
        views = np.array(found)
        rows = views[:, 1] * self.meta['images'] + views[:, 0]
        if rows.max() >= len(self.checks):
            raise ValueError(f'{self._name}: it has no row {rows.max()}.')
        wrong = self.checks[rows] != views[:, 2]
        if wrong.any():
            index, view, _ = found[int(wrong.argmax())]
            raise ValueError(
                f'{self._name}: view {view} of image {index} is not the image that '
                'the teacher saw. The files, the pipeline or the packages that read '
                'and turn images have changed, or the pipeline draws numbers of its '
                f'own. Make a new one, in another folder: {self.command}'
            )
        return Replay(
            {
                path: [level.read(rows).to(device) for level in self.levels[path]]
                for path in paths
            }
        )

    @property
    def _name(self) -> str:
        return f"The recording '{self.folder}'"

    def _unwrapped(self) -> str:
        made = self.meta['made_from']
        return (
            f'{self._name} is of certain views, and the training set has others. Train '
            f"with '{self.folder / self.meta['config']}', which has them, or write "
            "train_dataloader=dict(dataset=dict(type='mmkd.ReplayedViews', "
            f'views={made["views"]}, seed={made["view seed"]}, dataset=…), '
            "sampler=dict(type='mmkd.ViewSampler', sampler=…))."
        )


class Replay(Recorder):
    """What the recorder would hold, had the teacher run."""

    def __init__(self, levels: dict[str, list[Tensor]]) -> None:
        super().__init__(nn.Module(), levels)
        self.levels = levels

    def __getitem__(self, path: str) -> list[Tensor]:
        return self.levels[path]

    def overwritten(self, path: str) -> bool:
        """Nothing is."""
        return False
