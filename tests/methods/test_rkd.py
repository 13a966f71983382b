"""RKD: values of RepDistiller, mmrazor and by loops; what must not change them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from harness import Case, Golden, wave

from mmkd.losses import RKD

CASES = [
    Case(RKD, (4, 6), (4, 5), batch_coupled=True),
    Case(lambda: RKD(1.0, 2.0, normalise=True), (4, 3, 2, 2), batch_coupled=True),
]
SOURCE = 'github.com/HobbitLong/RepDistiller b84f547: RKDLoss({})'
GOLDEN = [
    Golden(
        RKD,
        (4, 6),
        (4, 5),
        value=6.77411079740153,
        gradient=2.749853801775233,
        source=SOURCE.format(''),
    ),
    Golden(
        RKD,
        (6, 7),
        (6, 4),
        value=7.724312519684478,
        gradient=1.0491482907301757,
        source=SOURCE.format(''),
    ),
    Golden(
        lambda: RKD(0.0, 1.0),
        (6, 7),
        (6, 4),
        value=0.09262073527703747,
        gradient=0.014260718390055369,
        source=SOURCE.format('0, 1'),
    ),
    Golden(
        lambda: RKD(normalise=True),
        (6, 7),
        (6, 4),
        value=7.457820411871176,
        gradient=0.87660465637399,
        source=(
            'github.com/open-mmlab/mmrazor 90c7af1: DistanceWiseRKD() + '
            'AngleWiseRKD(50)'
        ),
    ),
]


def test_naive() -> None:
    s, t = wave(4, 6), wave(4, 5, phase=1)
    n = range(4)

    def far(x: torch.Tensor) -> list[list[float]]:
        rows = [[float((x[i] - x[j]).norm()) for j in n] for i in n]
        return [[d / (sum(map(sum, rows)) / 12) for d in row] for row in rows]

    def cosine(x: torch.Tensor, i: int, j: int, k: int) -> float:
        return float(F.cosine_similarity(x[i] - x[j], x[k] - x[j], 0))

    def huber(x: float) -> float:
        return x * x / 2 if abs(x) < 1 else abs(x) - 0.5

    d_s, d_t = far(s), far(t)
    total = 25 * sum(huber(d_s[i][j] - d_t[i][j]) for i in n for j in n) / 16
    for i in n:
        for j in n:
            angles = [cosine(s, i, j, k) - cosine(t, i, j, k) for k in n]
            total += 50 * sum(map(huber, angles)) / 64
    assert RKD()(s, t).item() == pytest.approx(total)


@pytest.mark.parametrize('loss', [RKD(1.0, 0.0), RKD(0.0, 1.0)])
def test_what_does_not_matter(loss: RKD) -> None:
    """A factor; where the origin is; a rotation; the order of the images."""
    s, t = wave(4, 6), wave(4, 5, phase=1)
    value, order = loss(s, t).item(), [2, 0, 3, 1]
    turn = torch.linalg.qr(wave(6, 6, phase=3))[0]
    for other in (3 * s, s + wave(6), s @ turn):
        assert loss(other, t).item() == pytest.approx(value)
        assert loss(s, other) < 1e-12
    assert loss(s[order], t[order]).item() == pytest.approx(value)


def test_images_that_coincide() -> None:
    """They have no distance and no direction, and the mean leaves them out."""
    x = torch.tensor([[0.0], [0.0], [2.0]], dtype=torch.float64, requires_grad=True)
    t = torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64)
    near, far = (
        3 / 4,
        1 - 3 / 2,
    )  # the teacher's 1 over 4/3; 2 over 2 against 2 over 4/3
    value = RKD(1.0, 0.0)(x, t)
    huber = [near, near, far, far, 1 - near, 1 - near]
    assert value.item() == pytest.approx(sum(h * h / 2 for h in huber) / 9)
    RKD()(x, t).backward()
    assert x.grad.isfinite().all()
