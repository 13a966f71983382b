"""Is every number finite? What is said and done where a loss is not.

A NaN in one term reaches every weight in one step, and a run that goes on trains
nothing. So each step's losses are looked at before the gradients are made; all ranks
come to the same decision.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from mmengine.dist import all_gather_object, all_reduce
from mmengine.logging import MessageHub, print_log
from torch import Tensor, nn

from mmkd.checkpoints.broken import (
    SLOWER,
    broken_teachers,
    broken_weights,
    first_of,
    statistics,
)

IN_A_ROW = 10  # so many steps left out one after another, and a run stops all the same
HALF = "Where numbers are 'float16', 'bfloat16' does not overflow."


class Tapped(NamedTuple):
    """What a term compares on one side.

    Args:
        side: 'student', or the name of the teacher.
        path: Where it was recorded.
        levels: What was.
    """

    side: str
    path: str
    levels: Sequence[Tensor]


class Seen(NamedTuple):
    """What is known of a step.

    Args:
        losses: All of them, by name.
        taps: For every term that counts, what it compares.
        inputs: The images (N, C, H, W).
        data_samples: The batch's samples.
    """

    losses: Mapping[str, Any]
    taps: Mapping[str, list[Tapped]]
    inputs: Any
    data_samples: Any


class Guard:
    """Looks at the losses of every step, and acts where one is not finite.

    It costs one number from the device in every step, and with several processes one
    number that they share.

    Args:
        choice: 'stop' raises an error that names the loss and the layers. 'skip' takes
            the step out: running statistics are as before, the gradient is zero
            (momentum and weight decay go on); ten steps in a row stop the run. 'ignore'
            does not look.
    """

    def __init__(self, choice: str) -> None:
        self.choice = choice
        self.skipped = 0
        self.kept: list[tuple[Tensor, Tensor]] = []

    @torch.compiler.disable  # type: ignore
    def begin(self, model: nn.Module) -> None:
        """Keep the running statistics, if the step may have to be taken out."""
        if self.choice == 'skip':
            self.kept = [(now, now.clone()) for _, now in statistics(model)]

    @torch.compiler.disable  # type: ignore
    def finds(self, losses: Mapping[str, Any]) -> bool:
        """Whether the sum of the losses is not finite, here or on another rank."""
        values = [x for name in losses for x in _numbers(name, losses[name])]
        if self.choice == 'ignore' or not values:
            return False
        bad = ~torch.stack(values).sum().isfinite()
        found = bad.float()
        all_reduce(found, op='max')
        if not found:
            self.skipped = 0
            return False
        return True

    @torch.compiler.disable  # type: ignore
    def act(self, model: nn.Module, seen: Seen) -> dict[str, Any]:
        """Raise, or return losses that change no weight."""
        for buffer, kept in self.kept:
            buffer.copy_(kept)
        # The running statistics may be broken by this very step.
        broken, frozen = broken_weights(model, running=False), broken_teachers(model)
        here = explain(seen, broken, frozen), bool(broken or frozen)
        ranks = all_gather_object(here)
        texts = [
            f'On rank {rank}:\n{text}' if len(ranks) > 1 else text
            for rank, (text, _) in enumerate(ranks)
            if text
        ]
        iteration = MessageHub.get_current_instance().get_info('iter')
        when = 'A step' if iteration is None else f'Iteration {iteration + 1}'
        text = '\n'.join([f'{when}: a loss is not finite.', *texts])
        self.skipped += 1
        lost = any(weights for _, weights in ranks)
        if self.choice == 'stop':
            text += '\nThe step has changed no weight, and nothing of it is saved.'
            text += '' if lost else " model.nonfinite='skip' leaves such steps out."
        elif not lost and self.skipped < IN_A_ROW:
            print_log(f'{text}\nIt is left out.', 'current', logging.WARNING)
            return _without_gradient(model, seen.losses)
        elif not lost:
            text += f'\nIt is number {IN_A_ROW} in a row: the run stops.'
        raise FloatingPointError(text)


def explain(seen: Seen, broken: Sequence[str] = (), frozen: Sequence[str] = ()) -> str:
    """Which losses are not finite, from where, and what may help; '' if all are.

    Args:
        seen: What is known of the step.
        broken: Names of weights that are not finite.
        frozen: Likewise, of weights of the frozen teachers.
    """
    lines, sides = [], set()
    for name, value in seen.losses.items():
        numbers = _numbers(name, value)
        if not numbers or torch.stack(numbers).sum().isfinite():
            continue
        own = '' if name in seen.taps else ", not a term's"
        lines.append(f'  {name} = {float(sum(numbers)):g}{own}')
        for side, path, levels in seen.taps.get(name, ()):
            odd = {i: counts(x) for i, x in enumerate(levels) if counts(x)}
            sides |= {side} if odd else set()
            where = [
                f'{text}{f" (level {i})" if len(levels) > 1 else ""}'
                for i, text in odd.items()
            ]
            lines.append(f"    {side} '{path}': {', '.join(where) or 'finite'}")
    if not lines:
        return ''
    return '\n'.join([*lines, _advice(seen, broken, frozen, sides)])


def _advice(
    seen: Seen, broken: Sequence[str], frozen: Sequence[str], sides: set[str]
) -> str:
    """The likely cause and the way out, by what came first."""
    images = _odd_images(seen)
    if broken:
        return (
            f'Weights are not finite already: {first_of(broken)}. The gradient of an '
            f'earlier step did that. Go on from an earlier checkpoint, with {SLOWER}.'
        )
    if frozen:
        return (
            f'Weights of a frozen teacher are not finite: {first_of(frozen)}. Training '
            f"does not change them: does its dtype hold its file's values? {HALF}"
        )
    if images:
        return f'The images are not finite: {first_of(images)}. Look at their pipeline.'
    if sides and 'student' not in sides:
        return (
            'The teacher alone is not finite. Is it fed as it was trained (its '
            f'data_preprocessor), and with the right weights? {HALF}'
        )
    if sides:
        return (
            f'The student is not finite, its weights are. What helps: {SLOWER}. {HALF}'
        )
    return (
        'The images, the weights and all that was tapped are finite: it arises in the '
        f'loss, in its connector, or in the labels. What helps: {SLOWER}.'
    )


def _odd_images(seen: Seen) -> list[str]:
    """Which images of the batch are not finite; by file, if that is known."""
    if not isinstance(seen.inputs, Tensor):
        return []
    found = []
    for i, image in enumerate(seen.inputs):
        if counts(image):
            sample = seen.data_samples[i] if seen.data_samples else None
            found.append(str(getattr(sample, 'img_path', None) or f'number {i}'))
    return found


def counts(x: Tensor) -> str:
    """How many values of a tensor are not finite; '' if all are."""
    nan, inf = int(x.isnan().sum()), int(x.isinf().sum())
    parts = [f'{n} {kind}' for n, kind in ((nan, 'nan'), (inf, 'inf')) if n]
    return f'{" and ".join(parts)} of {x.numel()} values' if parts else ''


def _numbers(name: str, value: Any) -> list[Tensor]:
    """What mmengine adds up of a loss, or of a list of them as mmdet's heads give."""
    if 'loss' not in name:
        return []
    items = value if isinstance(value, (list, tuple)) else [value]
    numbers = [x.detach().float() for x in items if isinstance(x, Tensor)]
    return [x.mean() if x.ndim else x for x in numbers]


def _without_gradient(model: nn.Module, losses: Mapping[str, Any]) -> dict[str, Any]:
    """The same values, and gradients of zero for every weight: DDP waits for them."""
    nothing: Any = sum(p.sum() * 0.0 for p in model.parameters() if p.requires_grad)
    result: dict[str, Any] = {}
    for name, value in losses.items():
        several = isinstance(value, (list, tuple))
        items = [x.detach() for x in (value if several else [value])]
        if _numbers(name, value):
            items[0], nothing = items[0] + nothing, 0.0
        result[name] = items if several else items[0]
    return result
