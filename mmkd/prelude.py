"""Prelude: what is trained on the frozen teacher before the student starts.

A loss that needs such a part holds it as ``prelude``; the hook
:class:`mmkd.hooks.TrainPreludes` trains it on what the loss will see of the teacher,
and the loss asks :meth:`Prelude.ready` for it at every step::

    class Paraphraser(Prelude):
        def objective(self, teacher, targets):
            return F.mse_loss(self.net(teacher), teacher, reduction='sum'), len(teacher)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mmkd.arguments import Count, Positive, Share, Weight, check_arguments
from mmkd.targets import Targets

# What the loss gets for its teacher's side, and the ground truth.
Seen = tuple[Any, Targets]


@dataclass(frozen=True)
class Recipe:
    """How a prelude is trained, with SGD, in batches of the run's own size.

    Args:
        epochs: Passes through the training data.
        iters: Iterations instead.
        lr: Learning rate.
        momentum: Of SGD.
        weight_decay: Of all its weights.
        nesterov: Whether the momentum is Nesterov's.
        milestones: Shares of the training after which the learning rate falls.
        gamma: By what it is multiplied there.
    """

    epochs: Count = 1
    iters: Count | None = None
    lr: Positive = 0.05
    momentum: Weight = 0.9
    weight_decay: Weight = 5e-4
    nesterov: bool = False
    milestones: tuple[Share, ...] = ()
    gamma: Weight = 0.1


def read_recipe(
    config: Mapping[str, Any] | Literal['random'], usual: Mapping[str, Any]
) -> Recipe | None:
    """The recipe of a prelude, as a loss's argument ``recipe`` has it.

    Args:
        config: Changes to what is usual. 'random' says that untrained weights are
            meant (in tests).
        usual: What the method's authors do.

    Returns:
        None for 'random'.
    """
    if isinstance(config, str):
        return None
    check_arguments('recipe', config, Recipe)
    return Recipe(**{**usual, **config})


class Prelude(nn.Module):
    """A network that learns from the frozen teacher first, and then stays as it is.

    A subclass writes :meth:`objective`; the rest is optional. Its weights are turned
    into buffers: they are saved with the distiller, follow it to other devices and into
    EMA copies, and are in no optimizer. But for its own training it is in eval mode,
    and no weight requires a gradient: gradients go through it to the student.

    Args:
        net: What is to learn.
        recipe: How. None: it is meant to stay as it is built.
    """

    done: Tensor  # saved as well, so that a resumed run knows
    # Set by the hook in the last epoch of the training: the time to count what
    # a report will say.
    closing = False

    def __init__(self, net: nn.Module, recipe: Recipe | None) -> None:
        super().__init__()
        self.learned = [name for name, _ in net.named_parameters()]
        self.net = _as_buffers(net).eval()
        self.recipe = recipe
        self.register_buffer('done', torch.tensor(recipe is None))
        self._found_done = False

    # -- what a subclass writes -------------------------------------------------------

    def prepare(self, batches: Iterable[Seen]) -> None:
        """Look at the training data before learning; at most one epoch of them.

        Args:
            batches: Pairs as :meth:`objective` gets them, without gradients, of this
                rank. Nothing is read that is not asked for.
        """

    def objective(self, teacher: Any, targets: Targets) -> tuple[Tensor, int]:
        """What is to become small, summed over what is counted, and the count.

        The hook divides the sum over all ranks by their count.

        Args:
            teacher: What the loss's ``forward`` gets as ``teacher``: a level; of a
                joint loss all levels, in a list or, where the config has names, a dict.
            targets: The ground truth.
        """
        raise NotImplementedError

    def review(self, batches: Iterable[Seen]) -> None:
        """Draw conclusions after learning; called on all ranks.

        Args:
            batches: The validation data, likewise; nothing if the run has none.
        """

    def report(self) -> list[str]:
        """What it can do now, for the log."""
        return []

    def doubts(self) -> list[str]:
        """What speaks against learning from it: warnings for the log."""
        return []

    # -- for losses and the hook ------------------------------------------------------

    def ready(self) -> None:
        """Raise if it is not trained, and was meant to be."""
        self._found_done = self._found_done or bool(self.done)
        if not self._found_done:
            raise RuntimeError(
                f"{type(self).__name__} is not trained: add dict(type='mmkd.Train"
                "Preludes') to custom_hooks (or, in a trial, set recipe='random' in "
                'the loss).'
            )

    @property
    def weights(self) -> list[Tensor]:
        """What learns of the net."""
        return [self.net.get_buffer(name) for name in self.learned]

    @contextmanager
    def learning(self) -> Iterator[list[Tensor]]:
        """Its weights, which may learn meanwhile; its norms are in training mode."""
        weights = self.weights
        try:
            self.net.train()
            for weight in weights:
                weight.requires_grad_(True)
            yield weights
        finally:
            for weight in weights:
                weight.requires_grad_(False)
                weight.grad = None
            self.net.eval()

    def train(self, mode: bool = True) -> Prelude:
        """Stay in eval mode whatever the distiller is in."""
        super().train(False)
        return self


def _as_buffers(net: nn.Module) -> nn.Module:
    """The same net, whose parameters are buffers with the same names."""
    for module in net.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, weight.detach().clone())
    return net
