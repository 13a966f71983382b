"""FRSKD: Refine Myself by Teaching Myself, Feature Refinement via Self-Knowledge
Distillation (Ji et al., CVPR 2021, 2103.08273).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mmkd.arguments import Count, Positive
from mmkd.networks.bifpn import NORMS, BiFPN, Features, Shape, make_head
from mmkd.registry import MODELS


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
