"""The stages of a backbone, whatever its package calls them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from mmkd.paths import Player

Size = tuple[int, ...]


def stages_of(model: nn.Module, images: Tensor) -> Player:
    """What plays ``<stages>`` in a model with a backbone.

    - Of a ResNet, and of what is built like one, its layers: 'backbone.layer1', …
    - Of a backbone that says which of its ``stages`` they are (``ends``), those.
    - Otherwise what the backbone returns, if that is maps of several sizes.
    - Otherwise, of the layers that it lists (``stages`` or ``layers``), the last one at
      each size; a transformer without stages has one, its last layer.
    - Otherwise the only map that it returns.

    Args:
        model: The model, in eval mode.
        images: Examples (N, 3, H, W).
    """
    backbone: Any = model.backbone
    if getattr(backbone, 'res_layers', None):
        return [f'backbone.{name}' for name in backbone.res_layers]
    if getattr(backbone, 'ends', None):
        return [f'backbone.stages.{i}' for i in backbone.ends]
    last: dict[Size, str] = {}

    def note(path: str, output: Any) -> None:
        if isinstance(output, Tensor):
            last[_size(output)] = path
        elif isinstance(output, (list, tuple)) and isinstance(output[0], Tensor):
            last[_size(output[0])] = f'{path}[0]'  # tokens, and how they lie

    hooks = [
        layer.register_forward_hook(lambda _, __, output, path=path: note(path, output))
        for path, layer in _listed(backbone)
    ]
    try:
        returned = backbone(images)
    finally:
        for hook in hooks:
            hook.remove()
    maps = returned if isinstance(returned, (list, tuple)) else [returned]
    sizes = {_size(x) for x in maps if isinstance(x, Tensor) and x.ndim == 4}
    return 'backbone' if len(sizes) > 1 or not last else list(last.values())


def _listed(backbone: Any) -> Iterator[tuple[str, nn.Module]]:
    """The layers that a backbone lists: modules, or the names of some."""
    for name in ('stages', 'layers'):
        listed = getattr(backbone, name, None)
        if isinstance(listed, (nn.ModuleList, nn.Sequential)):
            for i, layer in enumerate(listed):
                yield f'backbone.{name}.{i}', layer
        elif isinstance(listed, (list, tuple)):
            for layer in listed:
                if isinstance(layer, str) and hasattr(backbone, layer):
                    yield f'backbone.{layer}', getattr(backbone, layer)


def _size(x: Tensor) -> Size:
    """Height and width of a map (N, C, H, W); the number of tokens (N, L, C)."""
    return tuple(x.shape[2:] if x.ndim == 4 else x.shape[1:-1])
