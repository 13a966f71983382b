"""GradientShare: how much of the student's gradient each loss is responsible for."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import Tensor

from mmkd.build import model_of
from mmkd.registry import HOOKS

PREFIX = 'grad_share/'


@HOOKS.register_module()
class GradientShare(Hook):  # type: ignore[misc]
    r"""Log ``grad_share/<name>``: the share of every loss in the student's gradient.

    .. math:: g_i = \| \nabla_\theta L_i \|_2, \quad \mathrm{share}_i = g_i / \sum_j g_j

    over the student's parameters and the weighted losses: each term; the student's own
    losses together, called ``task``; those of a self-teacher, called ``teacher``.
    Training does not change by a bit: no random number is drawn, and no ``.grad`` is
    touched. It costs one backward pass per loss at every measured iteration. Under DDP
    the logged shares are those of the first rank's batch.

    Networks that recompute activations (``with_cp``, ``activation_checkpointing``) are
    not measured, since every backward pass would run their forward again.

    Args:
        interval: Measure at every so manieth iteration. A multiple of the logger's
            interval puts the numbers beside the losses of the same iteration.
    """

    def __init__(self, interval: int = 50) -> None:
        if interval < 1:
            raise ValueError(f'GradientShare: interval={interval}: at least 1')
        self.interval = interval
        self.scale = 1.0
        self.broken = False
        self.hub: Any = None

    def before_train(self, runner: Runner) -> None:
        """Look whether the model can be measured."""
        model = model_of(runner)
        recomputes = runner.cfg.get('activation_checkpointing') is not None or any(
            getattr(module, 'with_cp', False) for module in model.modules()
        )
        if recomputes:
            self._give_up('the model recomputes activations')

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Let the distiller show its losses in this iteration, if it is due."""
        model = model_of(runner)
        if not hasattr(type(model), 'watch') or self.broken:
            return
        due = self.every_n_train_iters(runner, self.interval)
        model.watch = self.watch if due else None
        self.hub = runner.message_hub
        # Half-precision gradients of unscaled losses would be rounded to zero.
        scaler = getattr(runner.optim_wrapper, 'loss_scaler', None)
        self.scale = float(scaler.get_scale()) if scaler is not None else 1.0

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Look away again."""
        model = model_of(runner)
        if hasattr(type(model), 'watch'):
            model.watch = None

    @torch.compiler.disable  # type: ignore
    def watch(self, model: Any, parts: Mapping[str, Mapping[str, Any]]) -> None:
        """Measure and log the parts of a step's loss.

        Args:
            model: The distiller.
            parts: Name -> losses; what is not called a loss does not count.
        """
        weights = [p for p in model.student.parameters() if p.requires_grad]
        totals = {name: model.parse_losses(part)[0] for name, part in parts.items()}
        try:
            norms = {
                name: gradient_norm(total * self.scale, weights) / self.scale
                for name, total in totals.items()
            }
        except RuntimeError as error:  # never at the cost of the training
            self._give_up(str(error).splitlines()[0])
            return
        whole = sum(norms.values())
        if not math.isfinite(whole) or not whole:
            return
        for name, norm in norms.items():
            self.hub.update_scalar(f'train/{PREFIX}{name}', norm / whole)

    def _give_up(self, why: str) -> None:
        self.broken = True
        text = f'GradientShare does not measure this run: {why}.'
        print_log(text, 'current', logging.WARNING)


def gradient_norm(loss: Any, weights: list[Tensor]) -> float:
    """Length of the gradient of ``loss`` in ``weights``; the graph stays usable."""
    if not isinstance(loss, Tensor) or not loss.requires_grad:
        return 0.0
    with torch.autocast(loss.device.type, enabled=False):
        found = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    norms = [torch.linalg.vector_norm(g.float()) for g in found if g is not None]
    return float(torch.stack(norms).norm()) if norms else 0.0
