"""The losses again, in the cheapest ways that we found: nothing of mmkd is used here.

tools/benchmark.py --losses compares them with mmkd's. A loss may have several forms,
since what is cheap on a CPU may be dear on a GPU. Gradients go to the student alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Levels = Sequence[Tensor]


def kl_plain(student: Tensor, teacher: Tensor, tau: float, dim: int) -> Tensor:
    """As torch has it: summed over ``dim``."""
    log_student = F.log_softmax(student / tau, dim)
    log_teacher = F.log_softmax(teacher / tau, dim)
    terms = F.kl_div(log_student, log_teacher, reduction='none', log_target=True)
    return terms.sum(dim) * tau**2


def kl_identity(student: Tensor, teacher: Tensor, tau: float, dim: int) -> Tensor:
    """With logsumexp: sum p_t (t - s) + logsumexp(s) - logsumexp(t)."""
    s, t = student / tau, teacher / tau
    apart = (F.softmax(t, dim) * (t - s)).sum(dim)
    return (apart + s.logsumexp(dim) - t.logsumexp(dim)) * tau**2


class _GradientNow(torch.autograd.Function):
    """KL whose gradient, softmax(s) - softmax(t), is made in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any, student: Tensor, teacher: Tensor, tau: float, dim: int
    ) -> Tensor:
        s = F.log_softmax(_cooled(student, tau), dim)
        t = F.log_softmax(_cooled(teacher, tau), dim)
        p = t.exp()
        value = t.sub_(s).mul_(p).sum(dim)
        ctx.save_for_backward(s.exp_().sub_(p))
        ctx.tau, ctx.dim = tau, dim
        return value * tau**2

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (apart,) = ctx.saved_tensors
        return apart * (gradient * ctx.tau).unsqueeze(ctx.dim), None, None, None


def _cooled(x: Tensor, tau: float) -> Tensor:
    return x if tau == 1 else x / tau


def kl_gradient_now(student: Tensor, teacher: Tensor, tau: float, dim: int) -> Tensor:
    """The least that is kept for the backward pass: one map."""
    value: Tensor = _GradientNow.apply(student, teacher, tau, dim)  # type: ignore
    return value


KL = {
    'plain': kl_plain,
    'identity': kl_identity,
    'gradient now': kl_gradient_now,
}


def kd(kl: Callable[..., Tensor], tau: float) -> Callable[..., Tensor]:
    """KD of logits (N, K) or (N, K, H, W); with labels (N, h, w), less those of 255."""

    def loss(student: Tensor, teacher: Tensor, labels: Tensor | None = None) -> Tensor:
        values = kl(student, teacher, tau, 1)
        if labels is None:
            return values.mean()
        small = F.interpolate(labels[:, None].float(), values.shape[1:])[:, 0]
        valid = small != 255
        mean: Tensor = (values * valid).sum() / valid.sum()
        return mean

    return loss


def cwd(kl: Callable[..., Tensor], tau: float) -> Callable[..., Tensor]:
    """CWD of maps (N, C, H, W)."""

    def loss(student: Tensor, teacher: Tensor) -> Tensor:
        return kl(student.flatten(2), teacher.flatten(2), tau, 2).mean()

    return loss


def sigmoid_kd(student: Tensor, teacher: Tensor, tau: float = 1.0) -> Tensor:
    """KL of Bernoullis, whose two logarithms are taken together."""
    s, t = student / tau, teacher / tau
    apart = (s - t) * torch.sigmoid(-t) - F.logsigmoid(s) + F.logsigmoid(t)
    return apart.sum(1).mean() * tau**2


def mse_mean(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared error."""
    return F.mse_loss(student, teacher)


def mse_batch(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared error, summed over all but the images."""
    return F.mse_loss(student, teacher, reduction='sum') / len(student)


def attention_squares(student: Tensor, teacher: Tensor) -> Tensor:
    """AT with squares of the maps."""
    s, t = (F.normalize(x.square().sum(1).flatten(1)) for x in (student, teacher))
    return F.mse_loss(s, t)


def attention_norm(student: Tensor, teacher: Tensor) -> Tensor:
    """AT with lengths over the channels, which need no map of squares."""
    lengths = (torch.linalg.vector_norm(x, dim=1) for x in (student, teacher))
    s, t = (F.normalize(x.square().flatten(1)) for x in lengths)
    return F.mse_loss(s, t)


def overhaul(student: Levels, teacher: Levels) -> Tensor:
    """OD: where nothing counts, the student is compared with itself."""
    total: Any = 0.0
    for i, (s, t) in enumerate(zip(student, teacher), start=1):
        t = t.clamp(min=-math.sqrt(2 / math.pi))
        t = torch.where((s > t) | (t > 0), t, s.detach())
        total = total + F.mse_loss(s, t, reduction='sum') / (
            len(s) * 2 ** (len(student) - i)
        )
    summed: Tensor = total
    return summed


def words(scores: Tensor, features: Tensor, centers: Tensor) -> Tensor:
    """The penultimate loss of letKD: distances by one matrix product."""
    with torch.no_grad():
        x = features.permute(0, 2, 3, 1).flatten(0, 2)
        near = torch.addmm(centers.square().sum(1), x, centers.T, alpha=-2).neg_()
        target = F.log_softmax(near, 1)
    log = F.log_softmax(scores.permute(0, 2, 3, 1).flatten(0, 2), 1)
    return F.kl_div(log, target, reduction='batchmean', log_target=True)


def words_in_place(scores: Tensor, features: Tensor, centers: Tensor) -> Tensor:
    """The same without turning the scores around."""
    with torch.no_grad():
        x, rho = features.flatten(2), centers.square().sum(1)[:, None]
        target = F.log_softmax(torch.baddbmm(rho, centers.expand(len(x), -1, -1), x,
            alpha=-2).neg_(), 1)  # fmt: skip
    log = F.log_softmax(scores.flatten(2), 1)
    value = F.kl_div(log, target, reduction='sum', log_target=True)
    return value / (log.shape[0] * log.shape[2])


def subclasses(
    scores: Tensor, features: Tensor, labels: Tensor, book: dict[str, Tensor]
) -> Tensor:
    """The intermediate loss of letKD, for one label an image."""
    with torch.no_grad():
        x = F.linear(
            features.permute(0, 2, 3, 1).flatten(0, 2), book['weight'], book['bias']
        )
        own = labels.repeat_interleave(features.shape[2] * features.shape[3])
        group = book['centers'].view(-1, 8, book['centers'].shape[1])[own]
        apart = group.square().sum(2) - 2 * (group @ x[:, :, None])[:, :, 0]
        target = book['table'][own * 8 + apart.argmin(1)]
    log = F.log_softmax(scores.permute(0, 2, 3, 1).flatten(0, 2), 1)
    return F.kl_div(log, target, reduction='batchmean')
