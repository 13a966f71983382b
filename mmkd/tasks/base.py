"""Task: what a distiller must know of classification, detection or segmentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mmkd.paths import Player, parse
from mmkd.recorder import Recorder
from mmkd.registry import TASK_UTILS
from mmkd.targets import Targets
from mmkd.tasks.stages import stages_of

Samples = list[Any]
# Finds what plays a role, with example images and their samples.
Find = Callable[[Tensor, Samples], Player]


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

    def roles(
        self, model: nn.Module, role: str, size: tuple[int, int] = (128, 128)
    ) -> Player:
        """What plays a role in a model: 'logits', 'stages', 'pyramid' or 'pooled'.

        Args:
            model: The model.
            role: The role.
            size: Height and width of the images that it is shown, if that is needed.

        Returns:
            A path, of whose levels an index picks some ('neck' for ``<pyramid>[:4]``);
            or modules, of which it picks some.
        """
        found = self.players(model)
        if role not in found:
            raise ValueError(
                f"nothing in {type(model).__name__} plays '{role}'; it has "
                f'{sorted(found) or "no roles"}. Write a path instead, as in '
                "'backbone.layer3'."
            )
        player = found[role]
        return self._shown(model, role, player, size) if callable(player) else player

    def _shown(
        self, model: nn.Module, role: str, find: Find, size: tuple[int, int]
    ) -> Player:
        """What plays a role, found with an example."""
        device = next((p.device for p in model.parameters()), torch.device('cpu'))
        training = model.training
        try:
            model.eval()
            with torch.no_grad():
                return find(*self.example(size, device))
        except Exception as error:
            raise ValueError(
                f"what plays '{role}' in {type(model).__name__} is found with images "
                f'of {size}, and that failed: {error}\nIf it needs another size, set '
                'input_size. Or write a path instead.'
            ) from error
        finally:
            model.train(training)

    def players(self, model: nn.Module) -> dict[str, Player | Find]:
        """What plays which role; an adapter knows it for its package.

        Returns:
            Role -> who plays it, or a function that finds it with example images and
            their samples, while the model is in eval mode.
        """
        if getattr(model, 'backbone', None) is None:
            return {}
        return {'stages': lambda images, _: stages_of(model, images)}

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


def indices(data_samples: Samples) -> Tensor | None:
    """The place of each image in its data set (N,), if the pipeline packs it."""
    found = [sample.get('sample_idx') for sample in data_samples]
    return torch.tensor(found) if all(isinstance(i, int) for i in found) else None


@contextmanager
def standing_in(
    module: nn.Module, method: str, function: Callable[..., Any]
) -> Iterator[None]:
    """Let a function stand in for a method of a module."""
    own = module.__dict__
    before = {method: own[method]} if method in own else {}
    own[method] = function
    try:
        yield
    finally:
        del own[method]
        own.update(before)
