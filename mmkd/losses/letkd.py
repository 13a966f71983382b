"""letKD: Knowledge Distillation Layer that Lets the Student Decide (BMVC 2023,
2309.02843): what the scores of the student's KD layers are compared with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmkd.arguments import Count, Positive
from mmkd.codebook import file
from mmkd.codebook.features import pool
from mmkd.codebook.maths import distances, nearest_within
from mmkd.fingerprint import data_fingerprint, describe, teacher_fingerprint
from mmkd.loss import Loss, Site, exact, in_fp32
from mmkd.regions import NOTHING, label_map
from mmkd.registry import MODELS
from mmkd.targets import Targets

RANDOM = 'random'
# same: only memory
LARGEST = 2**26  # numbers in a chunk of a (positions, templates) matrix


class CodebookLoss(Loss):
    """KL(target || softmax of scores), the target made from a codebook.

    A subclass has ``part``, what it reads in the file, and writes :meth:`random` and
    :meth:`rows`. The tensors are in no checkpoint: the file is read again.

    Args:
        codebook: A file of ``tools/build_codebook.py``. 'random' says that a
            meaningless one is meant (in tests).
        other_data: Take the codebook though it was made from other data than the run
            trains on.
    """

    same_shape = False
    part: str

    def __init__(self, codebook: str | None, other_data: bool) -> None:
        super().__init__()
        self.codebook = codebook
        self.other_data = other_data
        self.meta: dict[str, Any] = {}
        self.names: list[str] = []
        if codebook is not None and codebook != RANDOM:
            content = file.read(codebook, self.part)
            self.meta = content['meta']
            self._take(content[self.part])

    def _take(self, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor, persistent=False)
        self.names = list(tensors)

    def build(self, site: Site) -> None:
        """Check the codebook against the place, before training begins."""
        ((student, teacher),) = zip(site.students, site.teachers)
        if self.codebook == RANDOM and not self.names:
            self._take(self.random(student.shape[1], teacher.shape[1]))
        self._check_sizes(student, teacher)
        scores = in_fp32(student)
        self._take({name: getattr(self, name).to(scores) for name in self.names})
        if site.teacher is not None:
            self._check_teacher(site.teacher, site.paths[1])

    def _check_teacher(self, teacher: nn.Module, paths: Sequence[str]) -> None:
        """Raise if the codebook is of another teacher, or of another layer of it."""
        if not self.meta:
            return
        own = self.meta['paths'][self.part]
        if list(paths) != own:
            raise ValueError(f"'{self.codebook}' is of {own}, the term of {paths}.")
        if self.meta['teacher'] != teacher_fingerprint(teacher):
            raise ValueError(
                f"The codebook '{self.codebook}' was made from other weights than this "
                f'teacher has. Make it again: {file.MAKE}'
            )

    def check_data(self, dataset: Any) -> None:
        """Raise if the codebook is of other data than a run's."""
        if not self.meta or self.other_data:
            return
        made, here = self.meta['data'], data_fingerprint(dataset)
        if made != here:
            raise ValueError(
                f"The codebook '{self.codebook}' was made from {describe(made)}, "
                f'and this run trains on {describe(here)}. Make it again: '
                f"{file.MAKE}. Or, if that is meant, set other_data=True in the term's "
                'loss.'
            )

    def random(self, templates: int, channels: int) -> dict[str, Tensor]:
        """A meaningless codebook."""
        raise NotImplementedError

    def rows(self, features: Tensor, labels: Tensor | None) -> Tensor:
        """Targets (P, K), as probabilities, of features (P, C) with labels (P,)."""
        raise NotImplementedError

    def _check_sizes(self, student: Tensor, teacher: Tensor) -> None:
        if not self.names:
            raise ValueError(
                f'{type(self).__name__} needs a codebook: a file of '
                "tools/build_codebook.py (or 'random', if that is meant, which build() "
                'makes).'
            )
        sizes = (student.shape[1], teacher.shape[1])
        has = (self.templates, self.channels)
        if has != sizes:
            raise ValueError(
                f"The codebook '{self.codebook}' has {has[0]} templates and "
                f'{has[1]} channels. The student has {sizes[0]} templates '
                f'(templates=…), and the teacher {sizes[1]} channels.'
            )

    @property  # same[property]: it is abstract
    def templates(self) -> int:
        """K."""
        raise NotImplementedError

    @property  # same[property]: it is abstract
    def channels(self) -> int:
        """Those of the teacher's map."""
        raise NotImplementedError

    def compare(
        self, student: Tensor, teacher: Tensor, labels: Tensor | None
    ) -> Tensor:
        """The mean over positions of KL, in chunks that are made again for gradients.

        Args:
            student: Scores (N, K, H, W).
            teacher: A map (N, C, H, W).
            labels: The class of each position (N, H, W); only those that have one
                count. None: all count.
        """
        scores, features = _positions(student), _positions(teacher)
        kept = None if labels is None else labels.flatten()
        if kept is not None and not (known := kept != NOTHING).all():
            scores, features, kept = scores[known], features[known], kept[known]
        size = max(1, LARGEST // self.templates)
        # same[number]: a sum of nothing, times anything
        total = scores.new_zeros(()) if len(scores) else scores.sum() * 0.0
        for start in range(0, len(scores), size):
            part = slice(start, start + size)
            own = None if kept is None else kept[part]
            several = len(scores) > size and torch.is_grad_enabled()
            chunk = (scores[part], features[part], own)
            total = total + (
                checkpoint(self._sum, *chunk, use_reentrant=False)
                if several
                else self._sum(*chunk)
            )
        return total / max(1, len(scores))

    def _sum(self, scores: Tensor, features: Tensor, labels: Tensor | None) -> Tensor:
        with torch.no_grad():
            target = self.rows(features, labels)
        return F.kl_div(F.log_softmax(scores, 1), target, reduction='sum')


@MODELS.register_module()
class LetKDPenultimate(CodebookLoss):
    r"""Predict, at every position, which of the teacher's visual words is there.

    .. math:: \frac{1}{N H W} \sum_{n,i}
        \mathrm{KL}(p^t_{ni} \| \mathrm{softmax}(s_{ni})), \quad
        p^t = \mathrm{softmax}_k(-\tau \|z - \rho_k\|^2)

    s are the scores of a KD layer; z is the teacher's last map; the words \rho are the
    centres of k-means on it. This is QuEST (1912.01540), whose tau is 5. A teacher's
    map of another size is average-pooled to the student's; for sizes that are not twice
    the student's this is a RECONSTRUCTION. The paper's weight is 1.

    Args:
        codebook: A file of ``tools/build_codebook.py``, or 'random' (in tests).
        tau: How sharp the targets are.
        other_data: See :class:`CodebookLoss`.
    """

    part = 'penultimate'
    centers: Tensor

    def __init__(
        self, codebook: str | None = None, tau: Positive = 1.0, other_data: bool = False
    ) -> None:
        super().__init__(codebook, other_data)
        self.tau = tau

    @property
    def templates(self) -> int:
        """How many words there are."""
        return len(self.centers)

    @property
    def channels(self) -> int:
        """Those of a word."""
        return self.centers.shape[1]

    def random(self, templates: int, channels: int) -> dict[str, Tensor]:
        """Words from anywhere."""
        generator = torch.Generator().manual_seed(0)  # same[number]: any will do
        return {'centers': torch.randn(templates, channels, generator=generator)}

    def rows(self, features: Tensor, labels: Tensor | None) -> Tensor:
        """The words of features (P, C), as (P, K)."""
        return F.softmax(-self.tau * distances(features, self.centers), 1)

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        """Compare scores (N, K, H, W) with a map (N, C, H', W')."""
        self._check_sizes(student, teacher)
        return self.compare(student, pool(teacher, student.shape[2:]), None)


@MODELS.register_module()
class LetKDIntermediate(CodebookLoss):
    r"""Decide as the teacher does, with what it confuses.

    .. math:: \frac{1}{M} \sum_m \mathrm{KL}(S_{a(m)} \| \mathrm{softmax}(s_m)), \quad
        a = \arg\min_{k \in \mathrm{sub}(y)} \|W^\top (f - \bar f) - \rho_k\|^2

    Each class has sub-classes, centres \rho in the space of an LDA of the teacher's
    map f. a is the nearest centre within the class y of the position, and row a of the
    table S tells how often the positions of a are nearest to each sub-class of any
    class. s are the scores of a KD layer.

    M counts the positions that have a class: all in classification; as extensions, not
    in the paper, those in a box in detection, and those with a label in segmentation.
    In distributed training each rank counts its own, and the mean over ranks is taken.
    Sizes are as in :class:`LetKDPenultimate`. The paper's weight is 1.

    Args:
        codebook: A file of ``tools/build_codebook.py``, or 'random' (in tests).
        subclasses: Of each class, in a random codebook.
        other_data: See :class:`CodebookLoss`.
    """

    part = 'intermediate'
    weight: Tensor
    bias: Tensor
    centers: Tensor
    table: Tensor

    def __init__(
        self,
        codebook: str | None = None,
        subclasses: Count = 8,
        other_data: bool = False,
    ) -> None:
        super().__init__(codebook, other_data)
        self.subclasses = int(self.meta.get('subclasses', subclasses))

    @property
    def templates(self) -> int:
        """Sub-classes of all classes."""
        return len(self.centers)

    @property
    def channels(self) -> int:
        """Those of the map before the LDA."""
        return self.weight.shape[1]

    def random(self, templates: int, channels: int) -> dict[str, Tensor]:
        """A space of two dimensions, and a table that confuses everything a little."""
        generator = torch.Generator().manual_seed(0)  # same[number]: any will do
        table = torch.full((templates, templates), 0.1 / templates)
        table.diagonal().add_(0.9)
        return {
            'weight': torch.randn(2, channels, generator=generator),
            'bias': torch.zeros(2),
            'centers': torch.randn(templates, 2, generator=generator),
            'table': table,
        }

    def nearest(self, features: Tensor, labels: Tensor) -> Tensor:
        """The sub-class (P,) of features (P, C) within their classes (P,)."""
        z = F.linear(features, self.weight, self.bias)
        return nearest_within(z, labels, self.centers, self.subclasses)

    def rows(self, features: Tensor, labels: Tensor | None) -> Tensor:
        """Rows of the table (P, K)."""
        assert labels is not None
        return self.table[self.nearest(features, labels)]

    @exact
    def forward(
        self, student: Tensor, teacher: Tensor, targets: Targets | None = None
    ) -> Tensor:
        """Compare scores (N, K, H, W) with a map (N, C, H', W')."""
        self._check_sizes(student, teacher)
        if targets is None:
            raise ValueError('LetKDIntermediate needs the ground truth.')
        teacher = pool(teacher, student.shape[2:])
        labels = label_map(teacher, targets)
        classes = self.templates // self.subclasses
        if labels.max() >= classes:
            raise ValueError(
                f'There are labels up to {int(labels.max())}, and {self.templates} '
                f'templates: {self.subclasses} for each of {classes} classes.'
            )
        return self.compare(student, teacher, labels)


def _positions(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).flatten(0, 2)
