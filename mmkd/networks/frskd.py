"""FRSKD: Refine Myself by Teaching Myself, Feature Refinement via Self-Knowledge
Distillation (Ji et al., CVPR 2021, 2103.08273).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmkd.arguments import Count, Positive, Weight
from mmkd.registry import MODELS
from mmkd.targets import Targets

Shape = tuple[int, ...]
Features = Sequence[Tensor]
NORMS: dict[str, Callable[[int], nn.Module]] = {
    'BN': nn.BatchNorm2d,
    'SyncBN': nn.SyncBatchNorm,
    'GN': lambda channels: nn.GroupNorm(math.gcd(32, channels), channels),
}


@MODELS.register_module()
class FRSKDTeacher(nn.Module):
    """A bidirectional feature pyramid over the student's features, with its own head.

    The features are joined from deep to shallow and back by weighted sums and separable
    convolutions, in ``pyramid``. What comes out is of the form of ``target``:

    - (K,): logits, by pooling and a linear layer on the deepest level, in ``head``;
    - (K, H, W): logits, by two 3x3 convolutions on the deepest level or, as in the
      authors' segmentation code, on the shallowest, in ``head``;
    - None: the refined features, for a detector's heads.

    Levels may have any sizes: each goes up and down to the size of its neighbour. Where
    that is a factor of two all is as in the authors' code.

    Args:
        sources: Shapes (C, H, W) of the student's features, shallow to deep.
        target: Shape of the student's logits; None for a detector.
        width: Channels of a refined level over the student's (the paper's BiFPNc).
        channels: Instead, the same number at all levels, without convolutions between
            them (the paper's BiFPN, with 256).
        depth: Separable convolutions in a node.
        repeat: Pyramids one after another.
        from_deepest: Which end the dense logits come from. From the shallowest level,
            the last pyramid has no way back, since nothing would train it.
        relu: Put a ReLU behind the refined features.
        norm: 'BN', 'SyncBN' or 'GN' (of at most 32 groups).
        hidden: Channels between the convolutions of a dense head.
        eps: Of the fusion weights' sum.
    """

    def __init__(  # noqa: PLR0913
        self,
        sources: Sequence[Shape],
        target: Shape | None = None,
        width: Positive = 2.0,
        channels: Count | None = None,
        depth: Count = 2,
        repeat: Count = 1,
        from_deepest: bool = True,
        relu: bool = True,
        norm: str = 'BN',
        hidden: Count = 256,
        eps: Positive = 1e-6,
    ) -> None:
        super().__init__()
        _check(sources, depth, repeat, norm)
        inside = [shape[0] for shape in sources]
        self.widths = [channels or max(1, round(width * c)) for c in inside]
        self.level = -1 if from_deepest or target is None else 0
        layers = []
        for i in range(repeat):
            last = i == repeat - 1
            layer = BiFPN(
                inside if i == 0 else self.widths,
                self.widths,
                depth,
                first=i == 0,
                project=channels is None,
                back=not last or self.level == -1,
                relu=relu or not last,
                norm=norm,
                eps=eps,
            )
            layers.append(layer)
        self.pyramid = nn.Sequential(*layers)
        self.head = make_head(self.widths[self.level], target, norm, hidden)

    def forward(self, features: Features) -> Tensor | Features:
        """Logits of, or else refined, features (N, C, H, W), shallow to deep."""
        refined: Features = self.pyramid(features)
        if self.head is None:
            return refined
        logits: Tensor = self.head(refined[self.level])
        return logits


class BiFPN(nn.Module):
    """One pass from deep to shallow and, with ``back``, one from shallow to deep.

    Args:
        inside: Channels of the levels that come in, shallow to deep.
        outside: Channels of the refined levels.
        depth: Separable convolutions in a node.
        first: Have 1x1 convolutions for what goes in at the way down. Later pyramids
            take it as it is.
        project: Have a 1x1 convolution on the way from one level to the next.
        back: Have the way from shallow to deep.
        relu: Put a ReLU behind the refined features.
        norm: Key of ``NORMS``.
        eps: Of the fusion weights' sum.
    """

    def __init__(  # noqa: PLR0913
        self,
        inside: Sequence[int],
        outside: Sequence[int],
        depth: int,
        first: bool,
        project: bool,
        back: bool,
        relu: bool,
        norm: str,
        eps: float,
    ) -> None:
        super().__init__()

        def between(a: int, b: int) -> nn.Module:
            return _pointwise(a, b, norm) if project else nn.Identity()

        pairs = list(zip(inside, outside))
        steps = list(zip(outside, outside[1:]))
        self.relu = relu
        self.lateral = nn.ModuleList(
            _pointwise(*pair, norm) if first else nn.Identity() for pair in pairs
        )
        self.up = nn.ModuleList(between(deep, shallow) for shallow, deep in steps)
        self.top_down = nn.ModuleList(
            Node(shallow, 2, depth, norm, eps) for shallow, _ in steps
        )
        self.down = nn.ModuleList()
        self.lateral_back = nn.ModuleList()
        self.bottom_up = nn.ModuleList()
        if back:
            self.down.extend(between(shallow, deep) for shallow, deep in steps)
            self.lateral_back.extend(_pointwise(*pair, norm) for pair in pairs[1:])
            self.bottom_up.extend(  # the deepest has no node of its own on the way up
                Node(deep, 2 if i == len(steps) - 1 else 3, depth, norm, eps)
                for i, (_, deep) in enumerate(steps)
            )

    def forward(self, features: Features) -> tuple[Tensor, ...]:
        """Refine features (N, C, H, W), shallow to deep."""
        lateral = [conv(x) for conv, x in zip(self.lateral, features)]
        middle = [lateral[-1]]
        for i in reversed(range(len(self.up))):
            deeper = resize_up(middle[0].relu(), lateral[i].shape[-2:])
            middle.insert(0, self.top_down[i](lateral[i], self.up[i](deeper)))
        refined = middle[:1] if self.bottom_up else middle
        for i, node in enumerate(self.bottom_up, start=1):
            own = [self.lateral_back[i - 1](features[i])]
            if i < len(self.bottom_up):
                own.append(middle[i].relu())
            shallower = resize_down(refined[-1].relu(), features[i].shape[-2:])
            refined.append(node(*own, self.down[i - 1](shallower)))
        return tuple(x.relu() if self.relu else x for x in refined)


class Node(nn.Module):
    """A sum with learned weights, non-negative and normalised; then convolutions.

    Args:
        channels: Of every input and of the output.
        inputs: How many are summed.
        depth: Separable convolutions.
        norm: Key of ``NORMS``.
        eps: Of the weights' sum.
    """

    def __init__(
        self, channels: int, inputs: int, depth: int, norm: str, eps: float
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(inputs))
        self.eps = eps
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [
                nn.ReLU(),
                nn.Conv2d(channels, channels, 3, 1, 1, groups=channels, bias=False),
                nn.Conv2d(channels, channels, 1, bias=False),
                NORMS[norm](channels),
            ]
        self.conv = nn.Sequential(*layers[1:])

    def forward(self, *features: Tensor) -> Tensor:
        """Join features (N, C, H, W) of one size."""
        weight = self.weight.relu()
        weight = weight / (weight.sum() + self.eps)
        joined: Tensor = self.conv(sum(w * x for w, x in zip(weight, features)))
        return joined


@MODELS.register_module()
class FRSKDSLATeacher(FRSKDTeacher):
    r"""FRSKD with self-supervised label augmentation (SLA, 1910.05872).

    Every image is also seen in four rotations, and two linear joint heads, one on the
    student's deepest feature and one on the self-teacher's, tell class and rotation
    apart: logit 4y + j is for class y turned by j quarters. Their mean over matching
    rotations judges y better than a single view does, and teaches it. All of it is in
    training only. :meth:`extra_losses` has what is not a term:

    .. math:: CE(g_c) + CE(g_t) + \lambda [KD(z_c, \bar g_c) + KD(z_t, \bar g_t)]
        + w_{kd} KD(\bar g_c, \bar g_t) + w_{at} \sum_i AT(F_i, T_i)

    with joint logits g, their means :math:`\bar g`, logits z of the single view, and AT
    over the rotated images. The authors average KD over single views and means
    together, and AT over images and rotations together. So with their alpha and beta
    the terms ``loss_kd`` and ``loss_at`` have weights alpha / 2 and beta / 5,
    ``kd_weight`` is alpha / 2 and ``at_weight`` is 4 beta / 5.

    Args:
        sources: Shapes (C, H, W) of the student's features, shallow to deep.
        target: Shape (K,) of the student's logits.
        width: See :class:`FRSKDTeacher`.
        depth: See :class:`FRSKDTeacher`.
        tau: Temperature of every KD.
        sla_weight: The authors' lambda.
        kd_weight: Weight of the aggregates' KD.
        at_weight: Weight of the attention loss on rotated images.
    """

    def __init__(
        self,
        sources: Sequence[Shape],
        target: Shape | None = None,
        width: Positive = 2.0,
        depth: Count = 2,
        tau: Positive = 4.0,
        sla_weight: Weight = 1.0,
        kd_weight: Weight = 1.0,
        at_weight: Weight = 80.0,
    ) -> None:
        super().__init__(sources, target, width, depth=depth)
        if target is None or len(target) != 1:
            raise ValueError(
                f'FRSKDSLATeacher classifies images, by logits (K,), not {target}. '
                "Set teacher_target to the student's: 'head.fc'."
            )
        joint = 4 * target[0]
        self.student_joint = make_head(sources[-1][0], (joint,))
        self.joint = make_head(self.widths[-1], (joint,))
        self.kd = MODELS.build(dict(type='mmkd.KD', tau=tau))
        self.at = MODELS.build(dict(type='mmkd.AT'))
        self.weights = (sla_weight, kd_weight, at_weight)

    def extra_losses(
        self,
        images: Tensor,
        student: Tensor,
        teacher: Tensor,
        read: Callable[[Tensor], Features],
        targets: Targets,
    ) -> dict[str, Tensor]:
        """What the rotations teach.

        Args:
            images: The batch (N, 3, H, W); height and width are equal.
            student: The student's logits (N, K).
            teacher: The self-teacher's logits (N, K).
            read: Runs the student on other images; returns its features.
            targets: The ground truth.
        """
        if targets.labels is None or targets.scores is not None:
            raise ValueError('SLA wants one hard label an image: no Mixup or CutMix.')
        turns = torch.arange(4, device=images.device)
        labels = (4 * targets.labels[:, None] + turns).flatten()
        features = read(rotations(images))
        refined = self.pyramid(features)
        assert self.student_joint is not None and self.joint is not None
        own = self.student_joint(features[-1]), self.joint(refined[-1])
        mean = aggregate(own[0]), aggregate(own[1])
        sla, kd, at = self.weights
        attention = sum(self.at(f, t) for f, t in zip(features, refined))
        return dict(
            loss_joint_student=F.cross_entropy(own[0], labels),
            loss_joint=F.cross_entropy(own[1], labels),
            loss_sla_student=sla * self.kd(student, mean[0]),
            loss_sla=sla * self.kd(teacher, mean[1]),
            loss_kd_joint=kd * self.kd(*mean),
            loss_at_rotated=at * attention,
        )


def rotations(images: Tensor) -> Tensor:
    """Images (N, 3, H, H) by 0, 90, 180 and 270 degrees, image by image (4N, …)."""
    turned = [images.rot90(i, (2, 3)) for i in range(4)]
    return torch.stack(turned, 1).flatten(0, 1)


def aggregate(joint: Tensor) -> Tensor:
    """Joint logits (4N, 4K) to class logits (N, K), the mean of matching rotations."""
    views = joint.view(len(joint) // 4, 4, -1, 4)
    return views.diagonal(dim1=1, dim2=3).mean(-1)


def resize_up(x: Tensor, size: Shape) -> Tensor:
    """Nearest neighbour, where the size differs."""
    return x if x.shape[-2:] == size else F.interpolate(x, size, mode='nearest')


def resize_down(x: Tensor, size: Shape) -> Tensor:
    """Max-pooling: 3x3 with stride 2 where that gives the size, else adaptive.

    As in TensorFlow's 'SAME' an odd size is padded on both sides and an even one at its
    end. The padding's zeros do not matter, since no feature is negative.
    """
    height, width = x.shape[-2:]
    if (height, width) == tuple(size):
        return x
    if (-(-height // 2), -(-width // 2)) != tuple(size):
        return F.adaptive_max_pool2d(x, size)  # type: ignore[arg-type]
    return F.max_pool2d(F.pad(x, (width % 2, 1, height % 2, 1)), 3, 2)


def _pointwise(inside: int, outside: int, norm: str) -> nn.Sequential:
    conv = nn.Conv2d(inside, outside, 1, bias=False)
    return nn.Sequential(conv, NORMS[norm](outside), nn.ReLU())


def make_head(
    inside: int, target: Shape | None, norm: str = 'BN', hidden: int = 0
) -> nn.Sequential | None:
    """What makes logits of shape ``target``, without or with height and width."""
    if target is None:
        return None
    if len(target) == 1:
        linear = nn.Linear(inside, target[0])
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)
    return nn.Sequential(
        nn.Conv2d(inside, hidden, 3, padding=1),
        NORMS[norm](hidden),
        nn.ReLU(),
        nn.Conv2d(hidden, target[0], 3, padding=1),
    )


def _check(sources: Sequence[Shape], depth: int, repeat: int, norm: str) -> None:
    """Raise where no pyramid can be built."""
    if len(sources) < 2 or any(len(shape) != 3 for shape in sources):
        raise ValueError(
            f'FRSKD refines two or more maps (C, H, W), shallow to deep; it was given '
            f'{[tuple(shape) for shape in sources]}. Set teacher_reads, as in '
            "['backbone.layer1', 'backbone.layer2', …]."
        )
    if depth < 1 or repeat < 1:
        raise ValueError(f'FRSKD depth {depth}, repeat {repeat}: at least 1')
    if norm not in NORMS:
        raise ValueError(f"FRSKD norm '{norm}': choose from {sorted(NORMS)}")
