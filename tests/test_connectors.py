"""Connectors: the shapes they promise, and CWT's properties."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmkd.connectors import CWT, Align
from mmkd.connectors.align import resize
from mmkd.losses import MSE
from mmkd.registry import make

SHAPES = [
    ((4, 8, 8), (4, 8, 8)),
    ((4, 8, 8), (6, 8, 8)),
    ((4, 8, 8), (6, 16, 16)),
    ((4, 16, 16), (6, 8, 8)),
    ((4, 13, 7), (6, 25, 14)),  # odd sizes, as in multi-scale training
    ((4, 16, 4), (6, 8, 8)),  # larger one way, smaller the other
    ((16, 4), (6, 4, 4)),  # tokens to map
    ((17, 4), (6, 8, 8)),  # with a class token
    ((4, 8, 8), (16, 6)),  # map to tokens
    ((4, 8, 8), (17, 6)),
    ((16, 4), (64, 6)),  # tokens to tokens
    ((32, 4), (6, 8, 16)),  # not square: in the proportions of the other side
    ((4,), (6,)),
    ((4,), (6, 4, 4)),
    ((4, 8, 8), (6,)),
]


@pytest.mark.parametrize(('source', 'target'), SHAPES)
def test_align_gives_the_target_shape(source: tuple[int, ...], target: tuple[int, ...]):
    like = torch.randn(2, *target)
    connector = Align(source, target)
    result = connector(torch.randn(2, *source, requires_grad=True), like=like)
    assert result.shape == like.shape
    result.sum().backward()


def test_align_does_nothing_where_shapes_agree():
    x = torch.randn(2, 4, 5, 5)
    connector = Align((4, 5, 5), (4, 5, 5))
    assert torch.equal(connector(x, like=x), x) and not list(connector.parameters())


def test_align_finds_another_size_than_at_build_time():
    connector = Align((4, 8, 8), (6, 16, 16))
    x, like = torch.randn(1, 4, 13, 9), torch.randn(1, 6, 26, 17)
    assert connector(x, like=like).shape == like.shape


def test_align_pools_and_interpolates():
    """Down: averages of blocks. Up: bilinear. Tokens: row by row."""
    x = torch.arange(16.0).view(1, 1, 4, 4)
    down = Align((1, 4, 4), (1, 2, 2))(x, like=torch.zeros(1, 1, 2, 2))
    assert down.flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    tokens = Align((1, 4, 4), (16, 1))(x, like=torch.zeros(1, 16, 1))
    assert tokens.flatten().tolist() == x.flatten().tolist()
    back = Align((16, 1), (1, 4, 4))(tokens, like=x)
    assert torch.equal(back, x)


@pytest.mark.parametrize(
    ('settings', 'kinds'),
    [
        (dict(), [nn.Conv2d]),
        (dict(norm=True), [nn.Conv2d, nn.BatchNorm2d]),
        (dict(norm=True, relu=True), [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]),
    ],
)
def test_align_layers(settings: dict[str, bool], kinds: list[type]):
    layers = Align((4, 8, 8), (6, 8, 8), **settings).project
    assert [type(layer) for layer in layers] == kinds


def test_align_always():
    assert list(Align((4, 8, 8), (4, 8, 8), always=True).parameters())
    for settings, count in ((dict(), 4 * 6 + 6), (dict(bias=False), 4 * 6)):
        module = Align((4, 8, 8), (6, 8, 8), **settings)
        assert sum(p.numel() for p in module.parameters()) == count


def test_align_names_the_grid_that_is_impossible():
    connector = Align((7, 4), (4, 4, 4))
    with pytest.raises(ValueError, match='7 tokens'):
        connector(torch.randn(1, 7, 4), like=torch.randn(1, 4, 4, 4))


def test_align_names_the_space_that_there_is_not():
    config = dict(type='mmkd.Align', space='crop')
    with pytest.raises(ValueError, match="connector.space: 'crop' is not 'auto' or"):
        make('connector', config, source=(4, 8, 8), target=(4, 8, 8))


@pytest.mark.parametrize(
    ('tokens', 'like'),
    [
        (12, (4, 4, 4)),  # 3 x 4 is not square
        (4, (4, 1, 100)),  # less than one row
    ],
)
def test_align_wants_the_proportions_of_the_other_side(tokens: int, like: tuple):
    connector = Align((tokens, 4), like)
    with pytest.raises(ValueError, match=f'{tokens} tokens do not form a grid'):
        connector(torch.randn(1, tokens, 4), like=torch.randn(1, *like))


def test_align_leaves_the_class_token_out_and_makes_one():
    """Also of one position, which is not two."""
    x = torch.arange(10.0).view(1, 5, 2)
    grid = Align((5, 2), (2, 2, 2))(x, like=torch.zeros(1, 2, 2, 2))
    assert torch.equal(grid, x[:, 1:].mT.reshape(1, 2, 2, 2))
    back = Align((2, 2, 2), (5, 2))(grid, like=x)
    assert torch.equal(back[:, 1:], x[:, 1:])
    assert torch.equal(back[:, 0], x[:, 1:].mean(1))
    one = Align((2, 2), (2, 1, 1))(x[:, :2], like=torch.zeros(1, 2, 1, 1))
    assert one.flatten().tolist() == [2, 3]


@pytest.mark.parametrize(
    ('before', 'after', 'pools'),
    [
        ((6, 6), (6, 2), True),
        ((6, 6), (2, 6), True),
        ((6, 2), (2, 6), False),  # larger one way only
        ((2, 6), (6, 2), False),
        ((2, 6), (3, 6), False),
        ((6, 2), (6, 3), False),
    ],
)
def test_align_pools_where_nothing_grows(before: tuple, after: tuple, pools: bool):
    x, like = torch.randn(1, 1, *before), torch.zeros(1, 1, *after)
    result = Align((1, *before), (1, *after))(x, like=like)
    if pools:
        expected = F.adaptive_avg_pool2d(x, after)
    else:
        expected = F.interpolate(x, after, mode='bilinear', align_corners=False)
    assert torch.equal(result, expected)
    kept = Align((1, *before), (1, *after), space='keep')(x, like=like)
    assert torch.equal(kept, x)


@pytest.mark.parametrize('before', [(4, 4), (2, 8)])
@pytest.mark.parametrize(
    'after', [(2, 2), (8, 8), (2, 8), (4, 8), (1, 8), (8, 1), (3, 3), (4, 6)]
)
def test_align_projects_the_smaller_map(before: tuple, after: tuple):
    """With a ReLU it makes a difference which comes first."""
    x, like = torch.randn(2, 4, *before), torch.zeros(2, 6, *after)
    connector = Align((4, *before), (6, *after), relu=True)
    if after[0] * after[1] < before[0] * before[1]:
        expected = connector.project(resize(x, after))
    else:
        expected = resize(connector.project(x), after)
    assert torch.allclose(connector(x, like=like), expected, atol=1e-6)


def cwt(inside: int = 4, outside: int = 6, **settings) -> CWT:
    return CWT((inside, 8, 8), (outside, 8, 8), **settings)


def test_cwt_commutes_with_permuting_positions():
    x = torch.randn(2, 4, 8, 8)
    order = torch.randperm(64)

    def permute(y: Tensor) -> Tensor:
        return y.flatten(2)[..., order].view_as(y)

    module = cwt()
    a, b = module(permute(x), like=x), permute(module(x, like=x))
    assert torch.allclose(a, b, atol=1e-6)


def test_cwt_can_be_the_identity():
    """Then the loss is the plain sum of squares over the batch."""
    module = cwt(4, 4)
    for conv in (module.mlp[0], module.mlp[2]):
        conv.weight.data.copy_(torch.eye(4)[:, :, None, None])
    x, t = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    module.mlp[0].bias.data.fill_(20.0)  # signed features: shift over the ReLU and back
    module.mlp[2].bias.data.fill_(-20.0)
    y = module(x, like=t)
    assert torch.allclose(y, x, atol=1e-5)
    expected = ((x - t) ** 2).sum() / 2
    assert MSE('batch')(y, t).item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize(
    ('inside', 'outside', 'settings', 'count'),
    [
        (256, 256, dict(), 131_584),  # 0.13 M
        (512, 512, dict(), 525_312),  # 0.53 M
        (512, 2048, dict(), 5_246_976),  # 5.25 M
        (1024, 2048, dict(), 6_295_552),  # 6.30 M
        (4, 6, dict(depth=0), 4 * 6 + 6),
        (4, 6, dict(depth=2, bias=False), 4 * 6 + 6 * 6 + 6 * 6),
        (4, 6, dict(expand_ratio=0.5), 4 * 3 + 3 + 3 * 6 + 6),
        (4, 6, dict(expand_ratio=0.01), 4 + 1 + 6 + 6),  # at least one
    ],
)
def test_cwt_parameters(inside: int, outside: int, settings: dict, count: int):
    module = cwt(inside, outside, **settings)
    assert sum(p.numel() for p in module.parameters()) == count


def test_cwt_linear_form_is_linear():
    module = cwt(nonlinear=False, bias=False)
    x, y = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    both = module(x, like=x) + module(y, like=y)
    assert torch.allclose(module(x + y, like=x), both, atol=1e-5)
    assert not any(isinstance(layer, nn.ReLU) for layer in module.modules())


def test_cwt_on_tokens_is_the_same_map():
    module = cwt()
    x = torch.randn(2, 4, 8, 8)
    tokens = module(x.flatten(2).mT, like=x)
    assert torch.allclose(tokens, module(x, like=x).flatten(2).mT, atol=1e-6)


@pytest.mark.parametrize('kind', [Align, CWT])
def test_autocast(kind: type[nn.Module]):
    module = kind((4, 8, 8), (6, 8, 8))
    x = torch.randn(2, 4, 8, 8)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        y = module(x, like=x.new_zeros(2, 6, 8, 8))
    assert y.dtype == torch.bfloat16
    assert torch.allclose(y.float(), module(x, like=y), atol=0.05)
