"""Uniformize: no parameters, one length, and what must leave the vector as it is."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
import zoo
from torch import Tensor

from mmkd.connectors import Uniformize
from mmkd.registry import make

FORMS = ('u1', 'u2', 'u3')
# Stage maps of the CIFAR networks that the KD literature uses (C, H, W).
MAPS = [(16, 32, 32), (64, 8, 8), (256, 8, 8), (512, 4, 4), (48, 4, 4), (960, 4, 4)]


def vector(x: Tensor, form: str, **settings) -> Tensor:
    return Uniformize(form=form, **settings)(x, like=x)


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('shape', MAPS)
def test_one_length_and_no_parameters(form: str, shape: tuple[int, ...]):
    module = Uniformize(shape, shape, form=form)
    assert not list(module.parameters()) and not module.state_dict()
    x = torch.randn(2, *shape)
    assert module(x, like=x).shape == (2, 240 if form == 'u2' else 16)
    assert vector(x, 'u2', diagonal=True).shape == (2, 256)


@pytest.mark.parametrize('form', FORMS)
def test_order_of_channels_does_not_matter(form: str):
    x = torch.randn(2, 64, 8, 8)
    mixed = x[:, torch.randperm(64)]
    assert torch.allclose(vector(x, form), vector(mixed, form), atol=1e-5)


@pytest.mark.parametrize('form', ['u2', 'u3'])
def test_rotating_channels_does_not_matter(form: str):
    x = torch.randn(2, 64, 8, 8)
    rotation, _ = torch.linalg.qr(torch.randn(64, 64))
    turned = torch.einsum('dc,nchw->ndhw', rotation, x)
    assert torch.allclose(vector(x, form), vector(turned, form), atol=1e-5)
    assert torch.allclose(vector(x, form), vector(3 * x, form), atol=1e-5)


@pytest.mark.parametrize('diagonal', [False, True])
def test_u2_naive(diagonal: bool):
    """Position by position, with itself or without."""
    x = torch.randn(2, 3, 2, 3)
    for i, tokens in enumerate(x.flatten(2).mT):
        expected = []
        for j, a in enumerate(tokens):
            others = [b for k, b in enumerate(tokens) if diagonal or k != j]
            cos = [float(a @ b / a.norm() / b.norm()) for b in others]
            total = sum(math.exp(c / 0.25) for c in cos)
            expected += [len(others) * math.exp(c / 0.25) / total - 1 for c in cos]
        found = vector(x, 'u2', diagonal=diagonal)[i].tolist()
        assert found == pytest.approx(expected, abs=1e-5)


def test_the_diagonal_is_much_the_same_in_all_images():
    """Of a random network most of the vector; without it images differ more."""
    shares = []
    for diagonal in (True, False):
        found = vector(torch.randn(64, 64, 4, 4).relu(), 'u2', diagonal=diagonal)
        shares.append(
            float(found.mean(0).square().sum() / found.square().sum(1).mean())
        )
    assert shares[0] > 0.9 and shares[1] < 0.1


def test_one_position_has_no_others():
    x = torch.randn(2, 3, 1, 1)
    assert not vector(x, 'u2', diagonal=True).any()
    with pytest.raises(ValueError, match='one position has no others'):
        vector(x, 'u2')


def test_u3_naive():
    x = torch.randn(1, 3, 2, 2)
    tokens = x.flatten(2)[0].T
    query = tokens.mean(0)
    cos = [float(query @ b / query.norm() / b.norm()) for b in tokens]
    total = sum(math.exp(c / 0.25) for c in cos)
    expected = [4 * math.exp(c / 0.25) / total - 1 for c in cos]
    assert vector(x, 'u3')[0].tolist() == pytest.approx(expected, abs=1e-5)


def test_u1_naive():
    x = torch.randn(1, 3, 2, 3)
    rows = x.flatten(2)[0]
    rows = (rows - rows.mean()) / (rows.var(correction=0) + 1e-5).sqrt()
    expected = torch.zeros(6)
    for a in rows:
        weight = torch.softmax(torch.stack([a @ b / 6**0.5 for b in rows]), 0)
        expected += sum(w * b for w, b in zip(weight, rows)) / 3
    assert vector(x, 'u1')[0].tolist() == pytest.approx(expected.tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ('form', 'pair', 'angles'),
    [
        ('u2', (1e-7, -1e-7), [0.04, -0.04, -0.04, 0.04]),  # 0.1 * 0.1 / tau
        ('u3', (1.0, 2e-7 - 1.0), [0.4, -0.4]),  # the mean is 1e-7: 0.1 / tau
    ],
)
def test_what_is_hardly_there_counts_little(form: str, pair: tuple, angles: list):
    """A token of a tenth of 1e-6 is a tenth as long as others."""
    x = torch.tensor(pair, dtype=torch.float64).view(1, 1, 1, 2)
    found = vector(x, form, diagonal=True).atanh()  # of two, 2 softmax - 1 is a tanh
    assert found[0].tolist() == pytest.approx(angles, rel=1e-6)


@pytest.mark.parametrize('form', FORMS)
def test_images_do_not_see_each_other(form: str):
    x = torch.randn(3, 8, 4, 4)
    alone = torch.cat([vector(one, form) for one in x.split(1)])
    assert torch.allclose(vector(x, form), alone, atol=1e-5)


@pytest.mark.parametrize(
    ('shape', 'pooled'),
    [
        ((3, 8, 8), (4, 4)),  # fewer channels than the size
        ((8, 5, 8), (4, 4)),
        ((8, 4, 8), (4, 4)),
        ((8, 8, 2), (4, 2)),
        ((8, 4, 4), (4, 4)),
        ((8, 3, 2), (3, 2)),
    ],
)
def test_longer_sides_are_pooled(shape: tuple, pooled: tuple):
    x = torch.randn(2, *shape)
    same = F.adaptive_avg_pool2d(x, pooled)
    assert torch.equal(vector(x, 'u2', size=4), vector(same, 'u2', size=None))


def test_u2_rows_sum_to_zero():
    x = torch.randn(2, 8, 4, 4)
    for length, diagonal in ((15, False), (16, True)):
        rows = vector(x, 'u2', diagonal=diagonal).view(2, 16, length)
        assert torch.allclose(rows.sum(2), torch.zeros(2, 16), atol=1e-5)


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('fill', [0.0, 1.0])
def test_constant_maps_have_finite_gradients(form: str, fill: float):
    x = torch.full((1, 8, 4, 4), fill, requires_grad=True)
    vector(x, form).square().sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()


@pytest.mark.parametrize('form', FORMS)
def test_half_precision_is_computed_in_full(form: str):
    x = torch.randn(2, 8, 8, 8).bfloat16()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = vector(x, form)
    assert half.dtype == torch.float32
    assert torch.equal(half, vector(x.float(), form))


@pytest.mark.parametrize('form', FORMS)
def test_gradient(form: str):
    x = torch.randn(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda y: vector(y, form), x)


def test_tokens_and_size():
    x = torch.randn(2, 8, 6, 6)
    tokens = vector(x.flatten(2).mT, 'u2')
    assert torch.equal(tokens, vector(x, 'u2', size=None)) and tokens.shape == (
        2,
        36 * 35,
    )
    with pytest.raises(ValueError, match="form: 'u4' is not 'u1' or 'u2' or 'u3'"):
        make('connector', dict(type='mmkd.Uniformize', form='u4'))


@pytest.mark.parametrize('kind', zoo.KINDS)
def test_in_a_term_between_other_widths(kind: str):
    """The vector match of SAKD on every task."""
    term = dict(
        student='backbone[-1]',
        connector=dict(type='mmkd.Uniformize', size=2),
        teacher_connector=dict(type='mmkd.Uniformize', size=2),
        loss=dict(type='mmkd.MSE'),
    )
    distiller = zoo.distiller(kind, terms=dict(loss_vector=term)).train()
    assert not list(distiller.terms.parameters())
    data = distiller.data_preprocessor(zoo.batch(kind))
    losses = distiller(**data, mode='loss')
    losses['loss_vector'].backward()
    assert distiller.student.backbone.layer4[0].conv1.weight.grad.abs().sum() > 0
