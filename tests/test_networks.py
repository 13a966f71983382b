"""The networks of the papers: outputs of the original code, sizes, conversion."""

from __future__ import annotations

import math
import re
import runpy
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import torch
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmkd.build import build_model
from mmkd.checkpoints.read import read_checkpoint
from mmkd.registry import MODELS

ROOT = Path(__file__).parents[1]
TOOL = runpy.run_path(str(ROOT / 'tools' / 'convert_repdistiller.py'))

# Generated with https://github.com/HobbitLong/RepDistiller @b84f547: model_dict[…] for
# 100 classes, in double precision, its tensors set by `value` under their new names.
# Name, parameters, three logits, then the means of the stages and of what is pooled.
# (https://github.com/megvii-research/mdistiller @a08d46f has the same networks; from it
# is MobileNetV1, for 1000 classes, on 224x224; it does not give the first stage's map.)
GOLDEN = """
resnet8 83892 0.3404 1.68 -1.2588 0.54848 0.41661 0.37963
resnet14 181108 0.73858 1.6399 -1.0873 0.63611 0.64121 0.61868
resnet20 278324 0.68709 0.29754 -3.1742 0.76526 0.90297 0.93234
resnet32 472756 0.75365 2.7002 -6.1963 0.95381 1.3136 1.2908
resnet44 667188 -3.5384 21.791 -13.493 1.3711 3.5565 4.4134
resnet56 861620 1.3746 30.635 -18.292 1.9367 5.909 8.5729
resnet110 1736564 1713.8 1285.6 -1193.8 14.886 212.88 674.59
resnet8x4 1233540 0.33018 0.41751 -0.15291 0.26826 0.25684 0.21616
resnet32x4 7433860 0.26037 0.82588 -1.0524 0.48948 0.41266 0.34785
resnet50 23705252 -0.48663 -1.2103 -0.252 0.4532 0.50927 0.4548 0.23976
wrn_16_1 180916 0.85137 1.4594 -2.4723 0.022713 -0.053206 -0.47002 0.65641
wrn_16_2 703284 0.74888 -0.94294 0.45331 -0.083264 -0.29746 -0.45072 0.27303
wrn_40_1 569780 3.0005 2.1603 -4.9075 -0.57936 -0.86933 -2.0563 1.0748
wrn_40_2 2255156 0.59636 -1.2415 0.32385 -0.59032 -1.0751 -1.8848 0.45304
vgg8 3965028 -0.046523 -0.37459 0.14521 0.32222 0.28383 0.27225 0.17671 0.099316
vgg11 9277284 -0.088311 -0.097212 0.092207 0.32222 0.28383 0.15125 0.056627 0.039699
vgg13 9462180 -0.063899 -0.076295 0.098061 0.21805 0.15135 0.079063 0.041415 0.039825
vgg16 14774436 -0.13193 -0.10946 0.048715 0.21805 0.15135 0.054654 0.038142 0.037362
vgg19 20086692 -0.042172 -0.077445 0.07495 0.21805 0.15135 0.046089 0.033203 0.036036
mobilenetv2 812836 -4.8415 -0.043886 -3.4 0.037517 0.0071811 -0.9151 -0.37071 1.4946
shufflev1 949258 -4.2567 -2.8809 2.7812 0.38776 1.5125 1.9193
shufflev2 1355528 -0.20629 -0.24717 -0.065516 0.3643 0.23318 0.18401 0.13241
mobilenetv1 4231976 -0.22975 0.038926 0.15904 0.12106 0.076241 0.050152 0.042562
"""
# Modules with tensors in the original code, with {,} as in a shell.
NAMES = {
    'resnet8x4': 'conv1 bn1 layer{1,2,3}.0.{conv,bn}{1,2} '
    'layer{1,2,3}.0.downsample.{0,1} fc',
    'resnet50': 'conv1 bn1 layer{1,2,3,4}.{0,1,2}.{conv,bn}{1,2,3} '
    'layer{2,3}.3.{conv,bn}{1,2,3} layer3.{4,5}.{conv,bn}{1,2,3} '
    'layer{1,2,3,4}.0.shortcut.{0,1} linear',
    'wrn_16_2': 'conv1 block{1,2,3}.layer.{0,1}.{conv,bn}{1,2} '
    'block{1,2,3}.layer.0.convShortcut bn1 fc',
    'vgg13': 'block{0,1,2,3,4}.{0,1,3,4} classifier',
    'mobilenetv2': 'conv1.{0,1} blocks.{0,1,2,3,4,5,6}.0.conv.{0,1,3,4,6,7} '
    'blocks.{1,2,3,4,5}.1.conv.{0,1,3,4,6,7} blocks.{2,3,4,5}.2.conv.{0,1,3,4,6,7} '
    'blocks.3.3.conv.{0,1,3,4,6,7} conv2.{0,1} classifier.0',
    'shufflev1': 'conv1 bn1 layer{1,2,3}.{0,1,2,3}.{conv,bn}{1,2,3} '
    'layer2.{4,5,6,7}.{conv,bn}{1,2,3} linear',
    'shufflev2': 'conv1 bn1 layer{1,2,3}.0.{conv,bn}{1,2,3,4,5} '
    'layer{1,2,3}.{1,2,3}.{conv,bn}{1,2,3} layer2.{4,5,6,7}.{conv,bn}{1,2,3} '
    'conv2 bn2 linear',
}
# Millions of parameters for 10 classes: 1512.03385 (its shortcuts have none) and
# 1605.07146, table 4; for 1000 classes: 1704.04861.
PUBLISHED = {
    'resnet20': 0.27,
    'resnet32': 0.46,
    'resnet44': 0.66,
    'resnet56': 0.85,
    'resnet110': 1.7,
    'wrn_40_1': 0.6,
    'wrn_40_2': 2.2,
    'mobilenetv1': 4.2,
}
# Networks of the papers without a checkpoint to convert: backbone, width, classes.
OTHERS = {
    **{f'resnet{d}': (dict(type='mmkd.CifarResNet', depth=d), 64) for d in (8, 14, 44)},
    **{f'vgg{d}': (dict(type='mmkd.CifarVGG', depth=d), 512) for d in (11, 16, 19)},
    'wrn_16_1': (dict(type='mmkd.WideResNet', depth=16, widen_factor=1), 64),
    'mobilenetv1': (dict(type='mmkd.MobileNetV1'), 1024),
}


def value(name: str, like: Tensor) -> Tensor:
    """Numbers for the tensor of this name: small, and different for each."""
    step = (torch.arange(like.numel()) + crc32(name.encode())) % 10007
    wave = step.double().square().mul(0.1).sin().view(like.shape)
    if name.endswith('running_var'):
        return 1 + wave / 2
    if name.endswith(('bias', 'running_mean')):
        return wave / 10
    if like.ndim < 2:  # of a BatchNorm; or its counter
        return 0.8 + wave / 5 if name.endswith('weight') else like
    return 2 * wave / math.sqrt(like[0].numel())


def image(size: int) -> Tensor:
    wave = torch.arange(3 * size**2).double().square().mul(0.1).sin()
    return wave.view(1, 3, size, size)


def build(arch: str) -> nn.Module:
    if arch not in OTHERS:
        return TOOL['build'](arch)
    backbone, width = OTHERS[arch]
    classes = 1000 if arch == 'mobilenetv1' else 100
    head = dict(type='LinearClsHead', num_classes=classes, in_channels=width)
    neck = dict(type='GlobalAveragePooling')
    model = dict(type='ImageClassifier', backbone=backbone, neck=neck, head=head)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return build_model(model, arch)


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def expand(text: str) -> list[str]:
    """'a{1,2} b' -> a1, a2, b."""
    words = [
        [part.split(',') for part in re.split('[{}]', word)] for word in text.split()
    ]
    return [''.join(parts) for word in words for parts in product(*word)]


def original(arch: str) -> dict[str, Tensor]:
    """What RepDistiller would save, with numbers that tell where they belong."""
    weights = {}
    for name in expand(NAMES[arch]):
        place = TOOL['rename'](f'{name}.weight', arch)[: -len('weight')]
        for key, like in build_once(arch).items():
            if key.startswith(place):
                weights[f'{name}.{key[len(place) :]}'] = value(key, like).to(like.dtype)
    return weights


@cache
def build_once(arch: str) -> dict[str, Tensor]:
    return build(arch).state_dict()


@pytest.mark.parametrize(
    'row', GOLDEN.split('\n')[1:-1], ids=lambda row: row.split()[0]
)
@torch.no_grad()
def test_the_original_codes_outputs(row: str) -> None:
    arch, count, *numbers = row.split()
    model = build(arch)
    assert parameters(model) == int(count)
    state = {key: value(key, like) for key, like in model.state_dict().items()}
    model.double().load_state_dict(state)
    stages = range(len(numbers) - 3)
    model.backbone.out_indices = stages if arch != 'mobilenetv1' else range(1, 5)
    maps = model.eval().backbone(image(224 if arch == 'mobilenetv1' else 32))
    assert len(maps) == len(stages)
    found = [*model.head(model.neck(maps))[0, :3], *(x.mean() for x in maps)]
    expected = torch.tensor([float(number) for number in numbers]).double()
    torch.testing.assert_close(torch.stack(found), expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize('arch', [*TOOL['ARCHS'], *OTHERS])
def test_every_weight_learns(arch: str) -> None:
    model = build(arch).double()
    images = image(64).expand(4, -1, -1, -1) * torch.arange(1, 5).view(4, 1, 1, 1)
    scores = model.head(model.neck(model.backbone(images)))
    (scores * scores.detach().sin()).sum().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None and weight.grad.abs().max() > 0, name


@pytest.mark.parametrize('arch', PUBLISHED)
def test_published_sizes(arch: str) -> None:
    model = build(arch)
    count = parameters(model) - 90 * (model.head.in_channels + 1)
    if arch == 'mobilenetv1':
        count = parameters(model)
    for name, module in model.named_modules():
        count -= parameters(module) if name.endswith('.shortcut') else 0
    digits = len(str(PUBLISHED[arch]).partition('.')[2])
    assert round(count / 1e6, digits) == PUBLISHED[arch]


def test_all_networks_are_compared() -> None:
    compared = {row.split()[0] for row in GOLDEN.split('\n')[1:-1]}
    assert compared == {*TOOL['ARCHS'], *OTHERS}


# -- settings --------------------------------------------------------------------------


def test_out_indices_choose_maps() -> None:
    net = MODELS.build(dict(type='CifarVGG', depth=8, out_indices=(3, 0)))
    assert [x.shape[1:] for x in net(torch.zeros(1, 3, 32, 32))] == [
        (512, 4, 4),
        (64, 32, 32),
    ]
    net = MODELS.build(dict(type='CifarVGG', depth=8, strides=(1, 2, 2, 2, 2)))
    assert net(torch.zeros(1, 3, 64, 64))[0].shape == (1, 512, 4, 4)


@pytest.mark.parametrize(
    ('config', 'words'),
    [
        (dict(type='CifarResNet', depth=18), r'depth=18: must be 6n \+ 2'),
        (dict(type='WideResNet', depth=20), r'depth=20: must be 6n \+ 4'),
        (dict(type='CifarVGG', depth=9), r'depth=9: .*\[8, 11'),
        (dict(type='CifarShuffleNetV2', widen_factor=3), r'widen_factor=3'),
        (
            dict(type='MobileNetV1', out_indices=(5,)),
            r'\[5\]: MobileNetV1 has 5 stages',
        ),
    ],
)
def test_settings_that_do_not_exist(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MODELS.build(config)


@pytest.mark.parametrize(
    ('arch', 'head'), [('resnet8x4', None), ('wrn_16_2', None), ('mobilenetv2', 0.01)]
)
def test_weights_start_as_in_the_original_code(arch: str, head: float | None) -> None:
    model = build(arch)
    own = model.head.fc.weight.std().item()  # of torch
    model.init_weights()
    assert model.head.fc.weight.std().item() == pytest.approx(head or own, rel=0.02)
    weight = max(model.backbone.parameters(), key=Tensor.numel)
    expected = (2 / weight[:, 0].numel()) ** 0.5
    assert weight.std().item() == pytest.approx(expected, rel=0.02)


def test_dropout_of_wrn() -> None:
    net = MODELS.build(dict(type='WideResNet', depth=10, drop_rate=0.5)).train()
    x = torch.randn(2, 3, 8, 8)
    assert not torch.equal(net(x)[0], net(x)[0])
    assert torch.equal(net.eval()(x)[0], net(x)[0])


# -- the converter ---------------------------------------------------------------------


def save(weights: dict[str, Tensor], file: Path) -> str:
    torch.save({'epoch': 240, 'model': weights, 'accuracy': torch.tensor(1.0)}, file)
    return str(file)


@pytest.mark.parametrize('arch', NAMES)
def test_converted_files_hold_everything(arch: str, tmp_path: Path) -> None:
    source, out = (
        save(original(arch), tmp_path / 'in.pth'),
        tmp_path / 'new' / 'out.pth',
    )
    TOOL['main']([source, str(out), '--arch', arch.upper()])
    state = read_checkpoint(out)[0]['state_dict']
    assert state.keys() == build_once(arch).keys()
    for key, tensor in state.items():
        assert torch.equal(tensor, value(key, tensor).to(tensor.dtype))


def test_files_of_torch_04_have_no_counters() -> None:
    weights = original('shufflev2')
    old = {key: x for key, x in weights.items() if 'num_batches' not in key}
    state = TOOL['convert'](old, 'shufflev2')
    assert len(old) < len(weights) == len(state)


def test_another_architecture_is_named() -> None:
    weights = original('resnet8x4')
    with pytest.raises(ValueError) as error:
        TOOL['convert'](weights, 'resnet20')
    text = str(error.value)
    assert re.search(r'\d+ of the 62 tensors \(\d+%\) fit --arch resnet20', text)
    assert text.endswith('The file is of --arch resnet8x4.')
    del weights['fc.bias']
    with pytest.raises(ValueError, match=r'1 are missing .*head\.fc\.bias.*No other'):
        TOOL['convert'](weights, 'resnet8x4')


def test_mistakes_end_with_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = save(original('vgg13'), tmp_path / 'in.pth')
    for out, words in ((source, 'give another file'), ('out.pth', '--arch vgg13')):
        with pytest.raises(SystemExit):
            TOOL['main']([source, str(tmp_path / out), '--arch', 'vgg8'])
        assert words in capsys.readouterr().err
    assert not (tmp_path / 'out.pth').exists()
