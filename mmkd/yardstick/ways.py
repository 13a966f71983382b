"""One step in each way: alone, by hand and in mmkd, with equal weights."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn

from mmkd.yardstick import by_hand
from mmkd.yardstick.clock import Log, Step
from mmkd.yardstick.pairs import BY_HAND, Pair, distiller_config

WAYS = ('plain', 'hand', 'mmkd')


class Ways(NamedTuple):
    """One step in each way, and mmkd's distiller with its optimizer."""

    steps: dict[str, Step]
    distiller: Any
    optimizer: Any


def build(
    pair: Pair, method: str, times: int, device: torch.device, several: bool = False
) -> Ways:
    """The three students, equal; the two teachers, equal.

    Args:
        pair: Which models.
        method: One of ``BY_HAND``, then there are three ways, or another one.
        times: How often its first term is there.
        device: Where the models are to be.
        several: Whether they are trained by all processes of a group, with DDP.
    """
    from mmkd.build import build_model

    with quiet():
        distiller, term = build_distiller(pair, method, times, device)
        alone = build_model(pair.student, 'student').to(device).train()
    alone.load_state_dict(distiller.student.state_dict(), strict=False)
    theirs = keep_total(sgd(alone.parameters()))
    ours = keep_total(sgd(p for p in distiller.parameters() if p.requires_grad))
    runs, teaches = (distribute(m) if several else m for m in (alone, distiller))

    def plain_step(data: dict[str, Any]) -> Log:
        runs.train_step(data, theirs)
        return {'loss': theirs.total}

    def our_step(data: dict[str, Any]) -> Log:
        log = teaches.train_step(data, ours)
        terms = [log[term.raw_name] for term in distiller.terms.values()]
        return {'loss': ours.total, 'term': sum(terms)}

    steps: dict[str, Step] = {'plain': plain_step}
    if method in BY_HAND:
        loop = write_by_hand(pair, method, times, distiller, term)
        if several:
            loop.distribute()
        steps['hand'] = loop.step
    return Ways({**steps, 'mmkd': our_step}, distiller, ours)


def sgd(parameters: Any) -> torch.optim.Optimizer:
    """The same for all."""
    return torch.optim.SGD(parameters, lr=1e-4, momentum=0.9, weight_decay=1e-4)


def keep_total(optimizer: torch.optim.Optimizer) -> Any:
    """A wrapper that keeps the loss: a classifier's log calls its own part 'loss'."""
    from mmengine.optim import OptimWrapper

    class Optimizer(OptimWrapper):  # type: ignore[misc]
        def backward(self, loss: torch.Tensor, **kwargs: Any) -> None:
            self.total = loss.detach()
            super().backward(loss, **kwargs)

    return Optimizer(optimizer)


def distribute(model: nn.Module) -> nn.Module:
    """A model as mmengine's Runner distributes it."""
    from mmengine.model import MMDistributedDataParallel

    wrapped: nn.Module = MMDistributedDataParallel(model, broadcast_buffers=False)
    return wrapped


def write_by_hand(
    pair: Pair, method: str, times: int, distiller: Any, term: dict[str, Any]
) -> by_hand.Loop:
    """The loop by hand, with the weights of a distiller that has such a term."""
    from mmkd.build import build_model

    device = next(distiller.parameters()).device
    with quiet():
        models = [build_model(m, 'model') for m in (pair.student, pair.teacher)]
    for model, like in zip(models, (distiller.student, distiller.teacher)):
        model.to(device).load_state_dict(like.state_dict())
    weight = next(iter(distiller.terms.values())).weight
    tau = term['loss'].get('tau', 1.0)
    loop: by_hand.Loop = by_hand.LOOPS[pair.kind](*models, method, weight, tau, times)
    loop.projections.to(device)
    weights, likes = loop.projections.parameters(), distiller.terms.parameters()
    for parameter, like in zip(weights, likes):
        parameter.data.copy_(like)
    loop.optimizer = sgd(loop.parameters())
    return loop


def build_distiller(
    pair: Pair, method: str, times: int, device: torch.device
) -> tuple[Any, dict[str, Any]]:
    """The distiller for a method, and its first term, which is there so many times."""
    from mmkd.registry import MODELS

    model = distiller_config(pair, method, times)
    torch.manual_seed(0)
    distiller = MODELS.build(model)  # torch's own initial weights will do
    return distiller.to(device).train(), next(iter(model['terms'].values()))


@contextmanager
def quiet() -> Iterator[None]:
    """Without what mmengine logs of every weight that it initialises."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)
