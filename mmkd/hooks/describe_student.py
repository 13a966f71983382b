"""DescribeStudent: what layers cost that a method puts into the student for good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from mmkd.build import model_of
from mmkd.randomness import own_randomness
from mmkd.registry import HOOKS
from mmkd.rehearsal import image_size, rehearsing


@HOOKS.register_module()
class DescribeStudent(Hook):  # type: ignore[misc]
    """Log the parameters and the multiplications of layers that stay in the student.

    Such a layer is a module with a method ``macs(positions)``: how many multiplications
    it does on so many positions of a map. It does nothing where there is none.
    """

    def before_train(self, runner: Runner) -> None:
        """Run the student on one image of the training set."""
        model = model_of(runner)
        student = getattr(model, 'student', None)
        if student is None or not layers_of(student):
            return
        with own_randomness():
            height, width = image_of(model, runner.train_dataloader.dataset).shape[2:]
        cost = overhead(student, (height, width))
        runner.logger.info(describe(cost, (height, width)))


def image_of(model: Any, dataset: Any) -> Tensor:
    """The first of a data set, as the images (1, 3, H, W) that models are given."""
    batch = {key: [value] for key, value in dataset[0].items()}
    images: Tensor = model.data_preprocessor(batch, False)['inputs']
    return images


def layers_of(model: nn.Module) -> list[nn.Module]:
    """The layers of a model that say what they cost."""
    return [module for module in model.modules() if hasattr(type(module), 'macs')]


def overhead(model: nn.Module, size: int | tuple[int, int]) -> dict[str, int]:
    """What the layers that a method has put into a model cost, for one image.

    Args:
        model: A model with layers.
        size: Height and width of the image.

    Returns:
        Parameters of the model without and with them ('plain', 'layered'), and the
        multiplications that the layers add ('macs').
    """
    layers = layers_of(model)
    macs = 0

    def count(layer: Any, inputs: tuple[Tensor]) -> None:
        nonlocal macs
        macs += layer.macs(inputs[0].shape[2:].numel())

    handles = [layer.register_forward_pre_hook(count) for layer in layers]
    image = next(model.parameters()).new_zeros(1, 3, *image_size(model, size))
    try:
        with rehearsing(model):
            model.extract_feat(image)  # type: ignore[operator]
    finally:
        for handle in handles:
            handle.remove()
    layered = sum(p.numel() for p in model.parameters())
    own = {p for layer in layers for p in layer.parameters()}
    plain = layered - sum(p.numel() for p in own)
    return dict(plain=plain, layered=layered, macs=macs)


def describe(cost: Mapping[str, int], size: tuple[int, int]) -> str:
    """What :func:`overhead` found for images of a size, in words."""
    more = cost['layered'] - cost['plain']
    return (
        f'The student has {cost["plain"] / 1e6:.3f} M parameters, and '
        f'{more / 1e6:.3f} M in layers that stay in it '
        f'(+{more / cost["plain"]:.0%}), which add {cost["macs"] / 1e6:.1f} M '
        f'multiplications at {size[0]}x{size[1]}.'
    )
