"""letKD: Knowledge Distillation Layer that Lets the Student Decide (BMVC 2023,
2309.02843): the layer, and the way it gets into any model.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS as ROOT_MODELS
from torch import Tensor, nn

from mmkd.arguments import Count, check_arguments, naming
from mmkd.loss import in_fp32
from mmkd.registry import MODELS

KEY = 'kd_layers'


class CosineConv(nn.Module):
    """A 1x1 convolution of cosines: input and kernels have length 1, times a gain.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        gain: Where the gain starts. It is one number, learned.
    """

    def __init__(self, inputs: int, outputs: int, gain: float) -> None:
        super().__init__()
        std = (2 / inputs) ** 0.5
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1, 1) * std)
        self.gain = nn.Parameter(torch.tensor([gain]))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, outputs, H, W)."""
        kernels = F.normalize(in_fp32(self.weight), dim=1) * self.gain
        return F.conv2d(_unit(x), kernels.to(x.dtype))


def _unit(x: Tensor) -> Tensor:
    """Length 1 over channels, computed in fp32: zeros stay zeros."""
    return F.normalize(in_fp32(x), dim=1).to(x.dtype)


class KDLayer(nn.Module):
    r"""Match each position with templates, and add what the matches mean.

    .. math:: s = g_1 \langle \hat x, \hat w_k \rangle, \quad
        r = \mathrm{relu}(\mathrm{BN}(s)), \quad
        y = x + \alpha\, g_2 \langle \hat r, \hat u_c \rangle

    A term reads the scores s, that is what ``match`` returns. y goes on through the
    student, in training and at inference.

    Args:
        channels: C of the map.
        templates: How many; K.
        alpha: Factor of what is added.
        gains: Where g_1 and g_2 start.
    """

    def __init__(
        self,
        channels: int,
        templates: Count,
        alpha: float = 1.0,
        gains: Sequence[float] = (3.0, 1.0),
    ) -> None:
        super().__init__()
        self.match = CosineConv(channels, templates, gains[0])
        self.norm = nn.BatchNorm2d(templates)
        self.value = CosineConv(templates, channels, gains[1])
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        # Detectors freeze the statistics of every norm in a pretrained backbone. This
        # one is new.
        self.norm.train(self.training)
        active = F.relu(self.norm(self.match(x)))
        values: Tensor = self.value(active)
        return x + self.alpha * values

    def macs(self, positions: int) -> int:
        """Multiplications of the two convolutions on so many positions."""
        return 2 * self.match.weight.numel() * positions


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
    size = getattr(getattr(model, 'backbone', None), 'img_size', 128)
    height, width = (size, size) if isinstance(size, int) else tuple(size)
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    training = model.training
    try:
        with torch.no_grad():
            model.eval()
            model.extract_feat(torch.zeros(2, 3, height, width))  # type: ignore
    finally:
        model.train(training)
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        for handle in handles:
            handle.remove()
    absent = [path for name, path in places.items() if name not in found]
    if absent:
        raise ValueError(f'layers: these modules do not run: {absent}')
    return found
