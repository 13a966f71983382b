"""FRSKD (2103.08273) with self-supervised label augmentation (SLA, 1910.05872)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkd.arguments import Count, Positive, Weight
from mmkd.networks.bifpn import Features, Shape, make_head
from mmkd.networks.frskd import FRSKDTeacher
from mmkd.registry import MODELS
from mmkd.targets import Targets


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
