"""Maths that several losses share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Forward = Callable[..., Tensor]


def exact(forward: Forward) -> Forward:
    """Decorate a loss's ``forward(self, student, teacher, targets=None)``.

    Inside, half precision is cast to fp32, autocast is off and the teacher is detached.
    So no loss can forget it.
    """

    @functools.wraps(forward)
    def wrapped(
        self: Any, student: Tensor, teacher: Tensor, *args: Any, **kw: Any
    ) -> Tensor:
        with torch.autocast(student.device.type, enabled=False):
            return forward(self, full(student), full(teacher.detach()), *args, **kw)

    return wrapped


def full(x: Tensor) -> Tensor:
    """Half precision to fp32; fp32 and fp64 stay."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def kl_divergence(student: Tensor, teacher: Tensor, tau: float, dim: int) -> Tensor:
    """KL(teacher || student) of softmaxes at temperature ``tau``, summed over ``dim``.

    The factor tau^2 is in it: gradients keep their size when tau changes.
    """
    log_student = F.log_softmax(student / tau, dim)
    log_teacher = F.log_softmax(teacher / tau, dim)
    terms = F.kl_div(log_student, log_teacher, reduction='none', log_target=True)
    return terms.sum(dim) * tau**2
