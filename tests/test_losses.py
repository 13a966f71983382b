"""What a loss is: found by its name, computed in full, told where it stands.

What holds for every loss is in tests/test_numbers.py, what is of one in tests/methods.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from harness import wave
from torch import Tensor, nn

from mmkd import losses
from mmkd.loss import Loss, Site, as_loss, exact
from mmkd.registry import MODELS

NAMES = sorted(
    name
    for name, found in MODELS.module_dict.items()
    if found.__module__.startswith('mmkd.losses.')
)


@pytest.mark.parametrize('name', NAMES)
def test_configs_find_it(name: str):
    """And so does who imports it; it says all that a term asks."""
    found = MODELS.get(f'mmkd.{name}')
    assert getattr(losses, name) is found and issubclass(found, Loss)


class Seen(Loss):
    """Keeps what it is given."""

    joint = True

    @exact
    def forward(self, student: Any, teacher: Any, targets: Any = None) -> Tensor:
        self.given = student, teacher, torch.is_autocast_enabled('cpu')
        return torch.zeros(())


FORMS = {
    'tensor': (lambda x: x, lambda x: x),
    'levels': (lambda x: (x, x), lambda found: found[1]),
    'names': (lambda x: dict(a=x, b=(x, x)), lambda found: found['b'][0]),
}


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize(('form', 'part'), FORMS.values(), ids=list(FORMS))
def test_exact(form: Any, part: Any, dtype: torch.dtype):
    """In fp32 or more, without autocast, and of the teacher the values alone."""
    x, loss = wave(2, 3).to(dtype).requires_grad_(), Seen()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss(form(x), form(x), targets=None)
    student, teacher, autocast = loss.given
    assert not autocast
    wanted = torch.float64 if dtype == torch.float64 else torch.float32
    for side, learns in ((student, True), (teacher, False)):
        assert part(side).dtype == wanted and part(side).requires_grad == learns
        assert torch.equal(part(side).to(dtype), x)


def test_a_plain_module_is_a_loss():
    class Plain(nn.Module):
        same_shape = False

        def forward(self, student: Tensor, teacher: Tensor, targets: Any) -> Tensor:
            return (student - teacher).sum()

    loss = as_loss(Plain())
    assert not loss.same_shape and not loss.joint and loss.softmax_at is None
    assert loss(wave(3), wave(3)) == 0
    assert as_loss(loss) is loss


def teacher() -> nn.Module:
    return nn.ModuleDict(dict(neck=nn.BatchNorm1d(3), fc=nn.Linear(3, 2)))


def test_what_is_borrowed_teaches_and_does_not_learn():
    model, x = teacher(), wave(4, 3).float().requires_grad_()
    site = Site([], [], teacher=model, name='loss_x')
    parts = site.borrow('neck', 'fc')
    expected = model.eval()['fc'](model['neck'](x))
    model['fc'].weight.data.zero_()  # it stays as it was
    assert torch.equal(parts(x), expected)
    parts(x).sum().backward()
    assert x.grad.any() and list(site.frozen.values()) == [parts]
    assert not any(p.requires_grad for p in parts.model.parameters())


def test_what_cannot_be_borrowed():
    with pytest.raises(ValueError, match="terms.loss_x: .* no part 'head' to borrow"):
        Site([], [], teacher=teacher(), name='loss_x').borrow('head')
    with pytest.raises(ValueError, match='terms.loss_x: there is no teacher'):
        Site([], [], name='loss_x').borrow('head')
