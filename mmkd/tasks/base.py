"""Task: what a distiller must know of classification, detection or segmentation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmkd.paths import Player, parse
from mmkd.recorder import Recorder
from mmkd.registry import TASK_UTILS
from mmkd.targets import Targets

Samples = list[Any]


@TASK_UTILS.register_module()
class Task:
    """What any ``BaseModel`` offers; an adapter does better for its package."""

    package = 'mmengine'

    def targets(self, student: nn.Module, data_samples: Samples | None) -> Targets:
        """The ground truth of the batch."""
        return Targets()

    def classes(self, model: nn.Module) -> int | None:
        """How many classes a model tells apart; None if it does not say."""
        return None

    def roles(self, model: nn.Module, role: str) -> Player:
        """What plays a role in a model: 'logits', 'stages', 'pyramid' or 'pooled'.

        Returns:
            A path, of whose levels an index picks some ('neck' for ``<pyramid>[:4]``);
            or modules, of which it picks some.
        """
        found = self.players(model)
        if role in found:
            return found[role]
        raise ValueError(
            f"nothing in {type(model).__name__} plays '{role}'; it has "
            f'{sorted(found) or "no roles"}. Write a path instead, as in '
            "'backbone.layer3'."
        )

    def players(self, model: nn.Module) -> dict[str, Player]:
        """What plays which role; an adapter knows it for its package."""
        return stages_of(model)

    def needs(self, student: nn.Module, paths: Sequence[str]) -> list[str]:
        """Paths to record in the student so that :meth:`run` can run the teacher."""
        return []

    def run(
        self,
        model: nn.Module,
        inputs: Tensor,
        data_samples: Samples | None,
        paths: Sequence[str],
        student: Recorder | None = None,
    ) -> None:
        """Run ``model`` so far that every one of ``paths`` fires, and no further.

        Args:
            model: A teacher; or the student, when shapes are looked up.
            inputs: Images as the data preprocessor made them.
            data_samples: The batch's samples.
            paths: What will be read.
            student: What the student did, if :meth:`needs` asked for it.
        """
        model(inputs, data_samples, mode='tensor')

    def example(
        self, size: tuple[int, int], device: torch.device
    ) -> tuple[Tensor, Samples]:
        """Two images and their samples, to look up shapes with."""
        return torch.zeros(2, 3, *size, device=device), []

    def task_loss(
        self, student: nn.Module, output: Any, data_samples: Samples
    ) -> dict[str, Tensor]:
        """The task's own loss for the output of a self-teacher."""
        raise NotImplementedError(
            f'{type(self).__name__} has no loss for a self-teacher: write task_loss()'
        )


def stages_of(model: nn.Module) -> dict[str, Player]:
    """The stages of a backbone: a ResNet's, those in a list, or what it returns."""
    backbone = getattr(model, 'backbone', None)
    if backbone is None:
        return {}
    layers = [n for n, _ in backbone.named_children() if re.fullmatch(r'layer\d+', n)]
    if layers:
        return {'stages': [f'backbone.{name}' for name in layers]}
    stages = getattr(backbone, 'stages', None)
    if isinstance(stages, (nn.ModuleList, nn.Sequential)):
        return {'stages': [f'backbone.stages.{i}' for i in range(len(stages))]}
    return {'stages': 'backbone'}


def classes_of(head: Any) -> int | None:
    """How many classes a head tells apart; of a cascade the last one's."""
    head = head[-1] if isinstance(head, nn.ModuleList) else head
    number = getattr(head, 'num_classes', None)
    return number if isinstance(number, int) else None


def last_of(model: nn.Module, name: str) -> str:
    """A head's path; of a cascade that of the last one."""
    head = model.get_submodule(name)
    return f'{name}.{len(head) - 1}' if isinstance(head, nn.ModuleList) else name


def modules_of(paths: Sequence[str]) -> set[str]:
    """The top-level modules that the paths are in: {'backbone', 'neck', …}."""
    return {parse(path).module.partition('.')[0] for path in paths}


def image_sizes(data_samples: Samples) -> list[tuple[int, int]]:
    """Height and width of each image, without padding."""
    return [tuple(sample.get('img_shape', ())[:2]) for sample in data_samples]


def sample_ids(data_samples: Samples) -> list[Any]:
    """What tells the images apart: the data set's index, or the file."""
    keys = ('sample_idx', 'img_id', 'img_path')
    return [next((s.get(key) for key in keys if key in s), None) for s in data_samples]
