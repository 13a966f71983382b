"""SAKD-style (reconstructed): match uniform vectors, and how they are classified.

Guo et al., Semantic-aware knowledge distillation with parameter-free feature
uniformization, Visual Intelligence 1:6, 2023.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmkd.arguments import Count, Positive, Weight, check_arguments
from mmkd.loss import Levels, Loss, Site, exact, in_fp32
from mmkd.losses.functional import kl_divergence
from mmkd.losses.sakd_branch import HSAKD, Branch, Limits
from mmkd.prelude import read_recipe
from mmkd.regions import regions
from mmkd.registry import MODELS, make
from mmkd.targets import Targets

NONE: Mapping[str, Any] = MappingProxyType({})


class Vectors(nn.Module):
    """One vector a region (R, D), made of all levels together.

    Args:
        uniformize: As of a loss.
        stride: Likewise.
    """

    def __init__(self, uniformize: Mapping[str, Any], stride: int) -> None:
        super().__init__()
        config: dict[str, Any] = {'type': 'mmkd.Uniformize', 'size': 4, **uniformize}
        self.size = config.pop('size')
        check_arguments('uniformize', dict(size=self.size), _sized)
        self.uniformize = make('uniformize', {**config, 'size': None})
        self.stride = stride

    def forward(
        self, levels: Levels, targets: Targets | None
    ) -> tuple[Tensor, Tensor | None]:
        """The vectors of maps (N, C, H, W), and the labels as far as they are known."""
        odd = [tuple(x.shape) for x in levels if x.ndim != 4]
        if odd:
            raise ValueError(f'SAKD needs maps (N, C, H, W), not {odd}')
        crops, labels = self._crops([in_fp32(x) for x in levels], targets)
        joined = torch.cat([self.uniformize(crop, like=crop) for crop in crops], 1)
        return joined, labels

    def _sizes(self, count: int) -> list[int]:
        """The size of a crop of each level."""
        sizes = [self.size] if isinstance(self.size, int) else list(self.size)
        return (sizes[:1] * count + sizes)[-count:]

    def _crops(
        self, levels: list[Tensor], targets: Targets | None
    ) -> tuple[list[Tensor], Tensor | None]:
        """The regions of every level (R, C, size, size)."""
        sizes = self._sizes(len(levels))
        if targets is not None and targets.seg_maps is not None:
            return self._masks(levels, sizes, targets)
        if targets is not None and targets.boxes is not None:
            pairs = [regions(x, targets, n) for x, n in zip(levels, sizes)]
            return [crops for crops, _ in pairs], pairs[0][1]  # same[0 -> -1]: equal
        # The whole image: it needs no hard label, so Mixup and CutMix are welcome.
        known = None
        if targets is not None:
            known = targets.labels if targets.scores is None else targets.scores
        return [F.adaptive_avg_pool2d(x, n) for x, n in zip(levels, sizes)], known

    def _masks(
        self, levels: list[Tensor], sizes: list[int], targets: Targets
    ) -> tuple[list[Tensor], Tensor]:
        """The same of segmentation: all levels at once, for each size."""
        assert targets.seg_maps is not None
        # same[0 -> -1]: the label maps of a batch have one size
        shape = [math.ceil(n / self.stride) for n in targets.seg_maps[0].shape]
        joined, widths = _joined(levels, shape), [x.shape[1] for x in levels]
        made = {size: regions(joined, targets, size) for size in set(sizes)}
        crops = [torch.split(made[n][0], widths, 1)[i] for i, n in enumerate(sizes)]
        return crops, made[sizes[0]][1]  # same[0 -> -1]: equal


def _sized(size: Count | Sequence[Count]) -> None:
    """What ``uniformize.size`` may be."""


def _joined(levels: list[Tensor], shape: Sequence[int]) -> Tensor:
    """All maps at one size, their channels in a row."""
    # same[2 -> 1, 2 -> 3, align_corners]: only speed, and the default
    same = [
        x
        if list(x.shape[2:]) == list(shape)
        else F.interpolate(x, tuple(shape), mode='bilinear', align_corners=False)
        for x in levels
    ]
    return torch.cat(same, 1)


class _OnRegions(Loss):
    """A loss on one vector a region.

    A region is the whole image, a ground-truth box, or the mask of a class; outside
    classification that is an extension, not in the paper. Its crop of every level is
    uniformized, and the results are joined end to end.

    Args:
        uniformize: Changes to ``dict(type='mmkd.Uniformize', size=4)``. Its ``size`` is
            that of a crop; several are those of the last levels, and the first of them
            also that of all before: [4, 8] is 8 for the last level and 4 for others.
        stride: In segmentation all maps are first brought to the size of the label map
            over ``stride``, so that the same classes are found in every one.
    """

    joint = True
    same_shape = False

    def __init__(self, uniformize: Mapping[str, Any] = NONE, stride: Count = 8) -> None:
        super().__init__()
        self.vectors = Vectors(uniformize, stride)

    @exact
    def forward(
        self, student: Levels, teacher: Levels, targets: Targets | None = None
    ) -> Tensor:
        """Compare the levels of both sides, maps (N, C, H, W)."""
        s, labels = self.vectors(student, targets)
        t, _ = self.vectors(teacher, targets)
        return self.compare(s, t, labels)

    def compare(
        self, student: Tensor, teacher: Tensor, labels: Tensor | None
    ) -> Tensor:
        """Compare vectors (R, D) of R regions with their labels (R,) or (R, K)."""
        raise NotImplementedError


@MODELS.register_module()
class SAKDMatch(_OnRegions):
    r"""SAKD-style (reconstructed): the vector match.

    .. math:: \frac{1}{R} \sum_r \Big\lVert \frac{u^s_r}{\lVert u^s_r \rVert}
        - \frac{u^t_r}{\lVert u^t_r \rVert} \Big\rVert_2^2

    Summed over dimensions, averaged over the R regions; zero if there are none. In
    distributed training each rank counts its own R, and the mean over ranks is taken.
    RECONSTRUCTION: all of it. That the vectors have one length is confirmed, that they
    are compared is not. Weight 10 was chosen by us.

    Args:
        uniformize: As for :class:`SAKDBranch`.
        stride: Likewise.
    """

    def compare(
        self, student: Tensor, teacher: Tensor, labels: Tensor | None
    ) -> Tensor:
        """Squared distance of unit vectors (R, D)."""
        # A constant map gives a vector of rounding errors: no direction to learn.
        # same[dim]: the default
        s, t = (F.normalize(x, dim=1, eps=1e-3) for x in (student, teacher))
        return (s - t).square().sum() / max(1, len(s))


@MODELS.register_module()
class SAKDBranch(_OnRegions):
    r"""SAKD-style (reconstructed): the standalone feature-based classification branch.

    A linear classifier of the teacher's vectors is trained before the student starts,
    by the hook :class:`mmkd.hooks.TrainPreludes`, and then stays as it is. It guides
    the student, whose vectors it judges as well:

    .. math:: \frac{1}{R} \sum_r \Big( \tau^2 \, \mathrm{KL}\big( \mathrm{softmax}(
        b^t_r / \tau) \,\Vert\, \mathrm{softmax}(b^s_r / \tau) \big)
        + \lambda \, \mathrm{CE}(b^s_r, y_r) \Big)

    Zero if there are no regions. In distributed training each rank counts its own R,
    and the mean over ranks is taken; the branch's own training counts over all. That
    there is such a branch is confirmed by the abstract; RECONSTRUCTION: what it looks
    like, how it is trained, and this loss.

    Args:
        tau: Temperature.
        shared: Let the teacher's branch judge the student too. False: the student gets
            a linear classifier of its own, which learns with it.
        label_weight: The lambda: cross-entropy of the student's branch.
        classes: Number of classes. None asks the student's head.
        recipe: How the teacher's branch is trained: changes to HSAKD's recipe, see
            :class:`mmkd.prelude.Recipe`. 'random' says that an untrained one is meant
            (in tests).
        limits: When to warn of it; changes to :class:`mmkd.losses.sakd_branch.Limits`.
        uniformize: Changes to ``dict(type='mmkd.Uniformize', size=4)``. Its ``size`` is
            that of a crop; several are those of the last levels, and the first of them
            also that of all before: [4, 8] is 8 for the last level and 4 for others.
        stride: In segmentation all maps are first brought to the size of the label map
            over ``stride``, so that the same classes are found in every one.
    """

    prelude: Branch

    def __init__(  # noqa: PLR0913
        self,
        tau: Positive | None = None,
        shared: bool = True,
        label_weight: Weight = 0.0,
        classes: Count | None = None,
        recipe: Mapping[str, Any] | Literal['random'] = NONE,
        standardize: Weight = 5.0,
        limits: Mapping[str, Any] = NONE,
        uniformize: Mapping[str, Any] = NONE,
        stride: Count = 8,
    ) -> None:
        super().__init__(uniformize, stride)
        self.tau = tau
        self.shared = shared
        self.label_weight = label_weight
        self.standardize = standardize
        self.classes = classes
        self.recipe = read_recipe(recipe, HSAKD)
        check_arguments('limits', limits, Limits)
        self.limits = Limits(**limits)

    def build(self, site: Site) -> None:
        """Make both branches for example features."""
        count = self.classes or site.classes
        if count is None:
            raise ValueError(
                'SAKDBranch cannot tell the number of classes from the student: set '
                'classes in its config.'
            )
        example = self.vectors(site.teachers, None)[0]
        self.prelude = Branch(
            self.vectors, self.standardize, example, count, self.recipe, self.limits
        )
        self.own = None
        if not self.shared:
            self.own = nn.Linear(example.shape[1], count).to(example)

    def compare(
        self, student: Tensor, teacher: Tensor, labels: Tensor | None
    ) -> Tensor:
        """Classify vectors (R, D) on both sides."""
        self.prelude.ready()
        if self.own is None:
            logits = self.prelude(student)
        else:
            logits = self.own(self.prelude.standardized(student))
        guide = self.prelude(teacher)
        tau = self.prelude.scale if self.tau is None else self.tau
        total = kl_divergence(logits / tau, guide / tau, 1.0, dim=1).sum() * tau**2
        if self.label_weight:
            if labels is None:
                raise ValueError('label_weight: this batch has no labels.')
            cross = F.cross_entropy(logits, labels, reduction='sum')
            total = total + self.label_weight * cross
        return total / max(1, len(logits))
