"""Maths that several losses share."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def kl_divergence(student: Tensor, teacher: Tensor, tau: float, dim: int) -> Tensor:
    """KL(teacher || student) of softmaxes at temperature ``tau``, summed over ``dim``.

    The factor tau^2 is in it: gradients keep their size when tau changes.
    """
    values: Tensor = _KL.apply(student, teacher.detach(), float(tau), dim)  # type: ignore
    return values


class _KL(torch.autograd.Function):
    """Keeps one tensor for the backward pass, where torch's operators keep three."""

    @staticmethod  # same[staticmethod]: torch calls it on the class
    def forward(
        ctx: Any, student: Tensor, teacher: Tensor, tau: float, dim: int
    ) -> Tensor:
        """Sum of p_t (log p_t - log p_s) times tau^2."""
        # same[1 -> 0]: only speed
        s = F.log_softmax(student if tau == 1 else student / tau, dim)
        # same[1 -> 0]: only speed
        t = F.log_softmax(teacher if tau == 1 else teacher / tau, dim)
        p = t.exp()
        values = t.sub_(s).mul_(p).sum(dim)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(s.exp_().sub_(p))
        ctx.tau, ctx.dim = tau, dim
        return values * tau**2

    @staticmethod  # same[staticmethod]: torch calls it on the class
    @once_differentiable  # type: ignore
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """Give tau (p_s - p_t) to the student, nothing to the teacher."""
        (apart,) = ctx.saved_tensors
        return apart * (gradient * ctx.tau).unsqueeze(ctx.dim), None, None, None


def without_target(logits: Tensor, labels: Tensor) -> Tensor:
    """Logits (M, K) in which each row's own class (M,) has no share of a softmax."""
    return logits.scatter(1, labels[:, None], -1e9)


def standardised(x: Tensor, dims: tuple[int, ...], eps: float = 1e-6) -> Tensor:
    """With mean 0 and standard deviation 1 over ``dims``.

    The deviation is that of a sample (n - 1 in its square), plus ``eps``; what is
    constant, as a dead channel or a single position, becomes zero.
    """
    several = math.prod(x.shape[dim] for dim in dims) > 1
    std, mean = torch.std_mean(x, dims, unbiased=several, keepdim=True)
    return (x - mean) / (std + eps)


def same_size(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Two maps (N, C, H, W), the larger of them pooled to the size of the other.

    By adaptive average pooling; height and width each where they are larger.
    """
    height, width = map(min, zip(student.shape[2:], teacher.shape[2:]))

    def pooled(x: Tensor) -> Tensor:
        if x.shape[2:] == (height, width):
            return x
        return F.adaptive_avg_pool2d(x, (height, width))

    return pooled(student), pooled(teacher)
