"""A frozen teacher made cheap: one config key, ``teacher_options``.

==================  ==================================================================
option              what it does, and what it changes in the loss
==================  ==================================================================
``fold_bn``         BatchNorms go into the convolutions before them. Rounding.
``channels_last``   The memory order that GPUs' tensor cores want. Rounding.
``dtype``           Autocast to 'bfloat16' or 'float16'; the terms get fp32. Rounding to
                    8 or 11 bits.
``compile``         ``torch.compile`` of the parts between the taps. Rounding.
``every``           The teacher's terms only in every k-th iteration, times k.
``recording``       The teacher does not run: see :mod:`mmkd.recording`.
==================  ==================================================================

All are off by default. That a teacher runs no further than the last thing that is
tapped changes nothing, and is always so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

from mmkd.arguments import Count

DTYPES = {'bfloat16': torch.bfloat16, 'float16': torch.float16}
TOLERANCE = 1e-3  # of the largest value, before and after
Run = Callable[[Tensor], list[Tensor]]


@dataclass(frozen=True)
class TeacherOptions:
    """What is done to make a teacher cheap; see the module's docstring.

    Args:
        fold_bn: Fold BatchNorms.
        channels_last: Order the memory so.
        dtype: 'bfloat16' or 'float16'.
        compile: True, or the arguments of ``torch.compile``.
        every: So many iterations from one use of the teacher to the next.
        recording: The folder of a recording, which is used instead of the teacher.
    """

    fold_bn: bool = False
    channels_last: bool = False
    dtype: str | None = None
    compile: bool | Mapping[str, Any] = False
    every: Count = 1
    recording: str | None = None

    def __post_init__(self) -> None:
        if self.dtype is not None and self.dtype not in DTYPES:
            raise ValueError(
                f"teacher_options: dtype='{self.dtype}' is none of {[*DTYPES]}."
            )
        if not isinstance(self.every, int) or self.every < 1:
            raise ValueError(f'teacher_options: every={self.every} is no count.')

    def apply(
        self, model: nn.Module, run: Run, images: Tensor, tapped: set[str]
    ) -> None:
        """Change a frozen model in place; raise if it then says something else.

        Args:
            model: The teacher.
            run: Runs it on images and returns what is tapped.
            images: Some (N, C, H, W), not black.
            tapped: Names of the modules that are tapped.
        """
        if self.fold_bn:
            before = run(images)
            fold_batch_norms(model, lambda: run(images), tapped)
            reason = 'uses what a convolution gives twice'
            _check_same(before, run(images), 'fold_bn', reason)
        if self.channels_last:
            before = run(images)
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            reason = 'has operators that do not know this order'
            _check_same(before, run(self.order(images)), 'channels_last', reason)
        if self.compile:
            settings = {} if self.compile is True else dict(self.compile)
            compile_parts(model, tapped, settings)

    def order(self, images: Tensor) -> Tensor:
        """Images in the teacher's order of memory."""
        if not self.channels_last:
            return images
        return images.contiguous(memory_format=torch.channels_last)

    @contextmanager
    def precision(self, device: torch.device) -> Iterator[None]:
        """Where the teacher runs; without a dtype, in the precision that is on."""
        if self.dtype is None:
            yield
            return
        with torch.autocast(device.type, DTYPES[self.dtype]):
            yield


def _check_same(
    before: list[Tensor], after: list[Tensor], option: str, reason: str
) -> None:
    for old, new in zip(before, after):
        off = float((old - new).abs().max() / old.abs().max().clamp(min=1e-12))
        if not off <= TOLERANCE:
            raise RuntimeError(
                f'teacher_options: with {option} the teacher says something else (off '
                f'by {off:.1%} of the largest value); perhaps it {reason}. Leave '
                f'{option} out.'
            )


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


def compile_parts(
    model: nn.Module, tapped: set[str], settings: Mapping[str, Any]
) -> None:
    """Compile the largest parts that have nothing tapped inside.

    A tap inside would end the graph, and start another one in every step.
    """

    def visit(module: nn.Module, prefix: str) -> None:
        for name, child in module.named_children():
            path = prefix + name
            inside = any(other.startswith(f'{path}.') for other in tapped)
            if inside or isinstance(child, (nn.ModuleList, nn.ModuleDict)):
                visit(child, f'{path}.')
            elif any(True for _ in child.children()):
                own: Any = _with_own_code(child.forward, path)
                child.forward = torch.compile(own, **settings)  # type: ignore

    visit(model, '')


def _with_own_code(forward: Callable[..., Any], path: str) -> Callable[..., Any]:
    """The same function; ``torch.compile`` knows functions by their code.

    It gives up on code that it compiled eight times, and all Sequentials share theirs.
    """

    def part(*args: Any, **kwargs: Any) -> Any:
        return forward(*args, **kwargs)

    part.__code__ = part.__code__.replace(co_name=path.replace('.', '_'))
    return part
