"""BatchNorms of a frozen model, folded into the convolutions before them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmengine.logging import print_log
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights


def fold_batch_norms(
    model: nn.Module, run: Callable[[], object], tapped: set[str]
) -> None:
    """Put BatchNorms into the convolutions whose output they take.

    Which these are is seen while the model runs, not guessed from names. What is tapped
    stays as it is.
    """
    pairs = _pairs(model, run, tapped)
    for conv_name, norm_name in pairs:
        conv: Any = model.get_submodule(conv_name)
        norm: Any = model.get_submodule(norm_name)
        conv.weight, conv.bias = fuse_conv_bn_weights(
            conv.weight,
            conv.bias,
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight,
            norm.bias,
        )
        parent, _, own = norm_name.rpartition('.')
        setattr(model.get_submodule(parent), own, nn.Identity().eval())
    model.requires_grad_(False)
    print_log(f'Folded {len(pairs)} BatchNorms of the teacher.', 'current')


def _pairs(
    model: nn.Module, run: Callable[[], object], tapped: set[str]
) -> list[tuple[str, str]]:
    """(convolution, BatchNorm) where one feeds the other and both run once."""
    made: dict[int, tuple[str, Tensor]] = {}  # the tensors stay, and so do their ids
    ran: list[str] = []
    found: list[tuple[str, str]] = []
    hooks = []

    def after_conv(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, __: Any, output: Tensor) -> None:
            ran.append(name)
            made[id(output)] = name, output

        return hook

    def before_norm(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            ran.append(name)
            if id(args[0]) in made:
                found.append((made[id(args[0])][0], name))

        return hook

    for name, module in model.named_modules():
        if type(module) is nn.Conv2d:  # a subclass may do more with its weight
            hooks.append(module.register_forward_hook(after_conv(name)))
        elif isinstance(module, _BatchNorm) and module.running_mean is not None:
            hooks.append(module.register_forward_pre_hook(before_norm(name)))
    run()
    for hook in hooks:
        hook.remove()
    return [
        pair
        for pair in found
        if all(ran.count(name) == 1 and name not in tapped for name in pair)
    ]
