"""Distillation loops as one writes them by hand: nothing of mmkd is in this file.

tools/benchmark.py lets mmkd do the same and compares losses, time and memory. There is
one loop a task, each for four methods: 'kd' (1503.02531), 'cwd' (2011.13256), 'fitnet'
(1412.6550) and 'cwt' (2303.13212).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


def kd(student: Tensor, teacher: Tensor, tau: float) -> Tensor:
    """KL of softened class probabilities (N, K)."""
    log_student = F.log_softmax(student / tau, 1)
    log_teacher = F.log_softmax(teacher / tau, 1)
    loss = F.kl_div(log_student, log_teacher, reduction='batchmean', log_target=True)
    return loss * tau**2


def pixel_kd(student: Tensor, teacher: Tensor, tau: float, labels: Tensor) -> Tensor:
    """The same for every pixel (N, K, H, W) whose label (N, 1, h, w) is not 255."""
    log_student = F.log_softmax(student / tau, 1)
    log_teacher = F.log_softmax(teacher / tau, 1)
    loss = F.kl_div(log_student, log_teacher, reduction='none', log_target=True).sum(1)
    valid = F.interpolate(labels.float(), loss.shape[1:], mode='nearest')[:, 0] != 255
    value: Tensor = (loss * valid).sum() / valid.sum() * tau**2
    return value


def cwd(student: Tensor, teacher: Tensor, tau: float) -> Tensor:
    """KL of where each channel of a map (N, C, H, W) is active."""
    log_student = F.log_softmax(student.flatten(2) / tau, 2)
    log_teacher = F.log_softmax(teacher.flatten(2) / tau, 2)
    loss = F.kl_div(log_student, log_teacher, reduction='sum', log_target=True)
    return loss * tau**2 / (student.shape[0] * student.shape[1])


def cwt(inside: int, outside: int) -> nn.Module:
    """What CWT puts behind the student's map."""
    return nn.Sequential(
        nn.Conv2d(inside, outside, 1),
        nn.ReLU(inplace=True),
        nn.Conv2d(outside, outside, 1),
    )


class Loop:
    """What the loops share: a frozen teacher, what hooks saw, one step.

    Args:
        student: A model of mmpretrain, mmdet or mmseg.
        teacher: Another one.
        method: 'kd', 'cwd', 'fitnet' or 'cwt'.
        weight: Of the distillation loss.
        tau: Temperature, where the method has one.
        times: How many times the loss is added.
    """

    taps: dict[str, str] = {}

    def __init__(  # noqa: PLR0913
        self,
        student: nn.Module,
        teacher: nn.Module,
        method: str,
        weight: float,
        tau: float = 1.0,
        times: int = 1,
    ) -> None:
        self.student: Any = student.train()
        self.teacher: Any = teacher.eval().requires_grad_(False)
        self.method, self.weight, self.tau, self.times = method, weight, tau, times
        self.seen: dict[str, Any] = {}
        self.projections = nn.ModuleList(self.project() for _ in range(times))
        self.watch(self.taps[method])
        self.optimizer: torch.optim.Optimizer | None = None
        self.compute: Callable[[dict[str, Any]], tuple[Tensor, Tensor]] = self.losses

    def distribute(self) -> None:
        """Let all processes of the group train together."""
        self.compute = DistributedDataParallel(_Whole(self), broadcast_buffers=False)

    def parameters(self) -> list[nn.Parameter]:
        """What the optimizer is to train."""
        return [*self.student.parameters(), *self.projections.parameters()]

    def project(self) -> nn.Module:
        """What stands behind the student's map: where its channels differ, or CWT's."""
        if self.method == 'kd':
            return nn.Identity()
        inside, outside = self.channels()
        if self.method == 'cwt':
            return cwt(inside, outside)
        return nn.Identity() if inside == outside else nn.Conv2d(inside, outside, 1)

    def channels(self) -> tuple[int, int]:
        """Those of the student's map and of the teacher's."""
        raise NotImplementedError

    def watch(self, name: str) -> None:
        """Keep what a module of the student takes and returns."""

        def keep(_: nn.Module, args: Any, output: Any) -> None:
            self.seen[name] = args, output

        self.student.get_submodule(name).register_forward_hook(keep)

    def step(self, data: dict[str, Any]) -> dict[str, Tensor]:
        """One step of training; returns the whole loss and the unweighted term."""
        total, term = self.compute(self.student.data_preprocessor(data, True))
        assert self.optimizer is not None
        total.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.optimizer.zero_grad()
        return {'loss': total.detach(), 'term': term.detach()}

    def losses(self, data: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """The same two, before the backward pass; nothing else is kept for it."""
        inputs, samples = data['inputs'], data['data_samples']
        knowledge = self.ask_teacher(inputs)
        own, _ = self.student.parse_losses(self.student.loss(inputs, samples))
        term: Any = sum(self.compare(knowledge, samples, p) for p in self.projections)
        self.seen.clear()
        return own + self.weight * term, term

    def ask_teacher(self, inputs: Tensor) -> Any:
        """What the teacher says of the images (N, 3, H, W)."""
        raise NotImplementedError

    def compare(self, knowledge: Any, samples: list[Any], project: nn.Module) -> Tensor:
        """The distillation loss, without its weight."""
        raise NotImplementedError

    def compare_maps(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The loss of a method that compares feature maps."""
        if self.method == 'cwd':
            return cwd(student, teacher, self.tau)
        if self.method == 'cwt':
            return F.mse_loss(student, teacher, reduction='sum') / len(student)
        return F.mse_loss(student, teacher)


class Classification(Loop):
    """Logits, or the last feature map."""

    taps = {
        'kd': 'head.fc',
        'cwd': 'backbone',
        'fitnet': 'backbone',
        'cwt': 'backbone',
    }

    def channels(self) -> tuple[int, int]:
        """Those that the heads take."""
        return self.student.head.in_channels, self.teacher.head.in_channels

    @torch.no_grad()
    def ask_teacher(self, inputs: Tensor) -> Any:
        """Its logits (N, K), or its map."""
        if self.method == 'kd':
            return self.teacher(inputs)
        return self.teacher.backbone(inputs)[-1]

    def compare(self, knowledge: Any, samples: list[Any], project: nn.Module) -> Tensor:
        """With what the student said."""
        _, output = self.seen[self.taps[self.method]]
        if self.method == 'kd':
            return kd(output, knowledge, self.tau)
        return self.compare_maps(project(output[-1]), knowledge)


class Detection(Loop):
    """Classes of the regions that the student sampled, or every level of the FPN."""

    taps = {
        'kd': 'roi_head.bbox_head',
        'cwd': 'neck',
        'fitnet': 'neck',
        'cwt': 'neck',
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.method == 'kd':
            self.watch('roi_head.bbox_roi_extractor')

    def project(self) -> nn.Module:
        """For CWT one for each level that a convolution made; FPN pools the last."""
        if self.method != 'cwt':
            return nn.Identity()
        sides = self.student.neck.out_channels, self.teacher.neck.out_channels
        return nn.ModuleList(cwt(*sides) for _ in self.student.neck.fpn_convs)

    @torch.no_grad()
    def ask_teacher(self, inputs: Tensor) -> Any:
        """Its FPN levels."""
        return self.teacher.extract_feat(inputs)

    def compare(self, knowledge: Any, samples: list[Any], project: nn.Module) -> Tensor:
        """With what the student said."""
        _, output = self.seen[self.taps[self.method]]
        if self.method == 'kd':
            return kd(output[0], self.judge(knowledge), self.tau)
        if self.method == 'cwt':
            output = [own(level) for own, level in zip(project, output)]
        levels = zip(output, knowledge)
        total: Tensor = sum(self.compare_maps(*pair) for pair in levels)  # type: ignore
        return total

    @torch.no_grad()
    def judge(self, features: tuple[Tensor, ...]) -> Any:
        """The teacher's class scores (n, K + 1) of the student's regions; once."""
        if 'scores' not in self.seen:
            (_, rois), _ = self.seen['roi_head.bbox_roi_extractor']
            head = self.teacher.roi_head
            used = features[: head.bbox_roi_extractor.num_inputs]
            self.seen['scores'], _ = head.bbox_head(head.bbox_roi_extractor(used, rois))
        return self.seen['scores']


class Segmentation(Loop):
    """Logits before upsampling, or the last feature map."""

    taps = {
        'kd': 'decode_head.conv_seg',
        'cwd': 'decode_head.conv_seg',
        'fitnet': 'backbone',
        'cwt': 'backbone',
    }

    def channels(self) -> tuple[int, int]:
        """Those that the heads take, or their classes."""
        heads = self.student.decode_head, self.teacher.decode_head
        if self.method == 'cwd':
            return heads[0].num_classes, heads[1].num_classes
        return heads[0].in_channels, heads[1].in_channels

    @torch.no_grad()
    def ask_teacher(self, inputs: Tensor) -> Any:
        """Its logits (N, K, H, W), or its map."""
        features = self.teacher.extract_feat(inputs)
        if self.method in ('fitnet', 'cwt'):
            return features[-1]
        return self.teacher.decode_head(features)

    def compare(self, knowledge: Any, samples: list[Any], project: nn.Module) -> Tensor:
        """With what the student said."""
        _, output = self.seen[self.taps[self.method]]
        if self.method == 'kd':
            labels = torch.stack([sample.gt_sem_seg.data for sample in samples])
            return pixel_kd(output, knowledge, self.tau, labels)
        if self.method == 'cwd':
            return cwd(output, knowledge, self.tau)
        return self.compare_maps(project(output[-1]), knowledge)


class _Whole(nn.Module):
    """What DDP wraps: all that is trained, in one forward."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self.student, self.projections = loop.student, loop.projections
        self.losses = loop.losses

    def forward(self, data: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """The whole loss and the unweighted term."""
        return self.losses(data)


LOOPS = {'cls': Classification, 'two_stage': Detection, 'seg': Segmentation}
