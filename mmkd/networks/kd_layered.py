"""letKD's layers in any model: built by its config, and inserted behind its modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.registry import MODELS as ROOT_MODELS
from torch import Tensor, nn

from mmkd.arguments import check_arguments, naming
from mmkd.networks.letkd import KDLayer
from mmkd.registry import MODELS
from mmkd.rehearsal import image_size, rehearsing

KEY = 'kd_layers'


class _Behind:
    """A hook that sends what a module returns through a layer.

    A class, and not a function inside another one, so that copies of the model get a
    hook with their own layer.
    """

    def __init__(self, layer: KDLayer) -> None:
        self.layer = layer

    def __call__(self, _: nn.Module, __: Any, output: Any) -> Any:
        if isinstance(output, (list, tuple)):
            return type(output)([*output[:-1], self.layer(output[-1])])
        return self.layer(output)


@MODELS.register_module(name='KDLayered')  # type: ignore[misc]
def kd_layered(
    of: str, layers: Mapping[str, Mapping[str, Any]], **settings: Any
) -> nn.Module:
    """Build a model and insert KD layers into it.

    It is the model that ``of`` names, with its own interface and the same names of its
    weights; so weights of the plain model fit. Those of the layers are under
    ``kd_layers``, in the part that holds the module::

        dict(type='mmkd.KDLayered', of='ImageClassifier', layers=dict(
            intermediate=dict(after='backbone.layer4.0', templates=800),
            penultimate=dict(after='backbone', templates=4096)), backbone=…, head=…)

    A term reads ``backbone.kd_layers.penultimate.match``. One that taps the module
    itself ('backbone') sees the map before the layer.

    Args:
        of: Type of the model.
        layers: Name -> ``after``, the module (of several maps that it returns the last
            one counts), and arguments of :class:`KDLayer`. Its channels are found out.
        **settings: Arguments of the model.
    """
    check_arguments('student', dict(of=of, layers=layers), kd_layered)
    configs: dict[str, dict[str, Any]] = {}
    places: dict[str, str] = {}
    for name, config in layers.items():
        where = f'layers.{name}'
        after = config.get('after') if isinstance(config, Mapping) else None
        if not isinstance(after, str):
            raise ValueError(f"{where}: {config!r} has no 'after' that is a path.")
        configs[name] = {key: value for key, value in config.items() if key != 'after'}
        check_arguments(where, configs[name], KDLayer, given=('channels',))
        places[name] = after
    with naming(f"student.of '{of}'"):
        model: nn.Module = ROOT_MODELS.build(dict(settings, type=of))
    channels = _channels(model, places)
    for name, config in configs.items():
        layer = KDLayer(channels[name], **config)
        part = model.get_submodule(places[name].partition('.')[0])
        if KEY not in dict(part.named_children()):
            part.add_module(KEY, nn.ModuleDict())
        getattr(part, KEY)[name] = layer
        model.get_submodule(places[name]).register_forward_hook(_Behind(layer))
    return model


def _channels(model: nn.Module, places: Mapping[str, str]) -> dict[str, int]:
    """How many channels each module returns, found with two black images."""
    found: dict[str, int] = {}
    handles = []
    for name, path in places.items():
        try:
            module = model.get_submodule(path)
        except AttributeError:
            raise ValueError(
                f"layers.{name}: {type(model).__name__} has no module '{path}'"
            ) from None

        def note(_: nn.Module, __: Any, output: Any, name: str = name) -> None:
            last = output[-1] if isinstance(output, (list, tuple)) else output
            if not isinstance(last, Tensor) or last.ndim != 4:
                raise ValueError(f'layers.{name}: its module returns no map.')
            found[name] = last.shape[1]

        handles.append(module.register_forward_hook(note))
    try:
        with rehearsing(model):
            model.extract_feat(torch.zeros(2, 3, *image_size(model)))  # type: ignore
    finally:
        for handle in handles:
            handle.remove()
    absent = [path for name, path in places.items() if name not in found]
    if absent:
        raise ValueError(f'layers: these modules do not run: {absent}')
    return found
