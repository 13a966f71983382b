#!/usr/bin/env python3
r"""Turn a checkpoint of RepDistiller or mdistiller into one of a mmpretrain classifier.

RepDistiller's script fetch_pretrained_teachers.sh downloads teachers for CIFAR-100
(https://github.com/HobbitLong/RepDistiller); those of mdistiller are the same networks.

    python tools/convert_repdistiller.py \
        save/models/resnet32x4_vanilla/ckpt_epoch_240.pth \
        checkpoints/repdistiller/resnet32x4.pth --arch resnet32x4

The result fits configs/_base_/students/<network>_1xb64_cifar100.py, which has the
network of that name. No code in the file is run.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:
    from torch import Tensor, nn

sys.path.append(str(Path(__file__).resolve().parent))
from _shared import need_mmkd  # noqa: E402

RECIPES = Path(__file__).resolve().parent.parent / 'configs/_base_/students'


def arch_of(recipe: Path) -> str:
    """RepDistiller's name for a recipe's network: wrn-16-2_… is wrn_16_2."""
    name = recipe.stem.partition('_')[0].replace('shufflenet-', 'shuffle')
    return name.replace('mobilenet-', 'mobilenet').replace('-', '_')


ARCHS = {arch_of(file): file for file in sorted(RECIPES.glob('*_1xb64_cifar100.py'))}

Rule = tuple[str, Union[str, Callable[[re.Match[str]], str]]]


def stage(match: re.Match[str]) -> str:
    """``layer1`` is ``stages.0``."""
    return f'stages.{int(match[1]) - 1}.'


def behind_pool(match: re.Match[str]) -> str:
    """A stage of VGG has its pooling in front."""
    return f'stages.{match[1]}.{int(match[2]) + 1}.'


def numbered(where: str, names: str) -> list[Rule]:
    """Names of layers -> their places in a Sequential; '-' has nothing in the file."""
    layers = enumerate(names.split())
    return [(rf'\.{name}\.', f'.{where}.{i}.') for i, name in layers if name != '-']


STEM: list[Rule] = [(r'^conv1\.', 'stem.0.'), (r'^bn1\.', 'stem.1.')]
STAGES: list[Rule] = [(r'^layer(\d)\.', stage)]
# Stage and row of MobileNetV2's blocks.
BLOCKS = ('0.0', '0.1', '1.0', '2.0', '2.1', '3.0', '3.1')
LINEAR = r'^(fc|linear|classifier(\.0)?)\.(?=(weight|bias)$)'
# Start of an architecture's name -> what to replace in the names of its tensors, one
# rule after the other. What is not of the linear layer belongs to the backbone.
RULES: dict[str, list[Rule]] = {
    'resnet50': [(r'\.shortcut\.', '.downsample.')],
    'resnet': [
        *STEM,
        *STAGES,
        *numbered('body', 'conv1 bn1 - conv2 bn2'),
        (r'\.downsample\.', '.shortcut.'),
    ],
    'wrn': [
        (r'^conv1\.', 'stem.'),
        (r'^bn1\.', 'stages.3.0.'),
        (r'^block(\d)\.layer\.', stage),
        *numbered('activate', 'bn1'),
        *numbered('body', 'conv1 bn2 - - conv2'),
        (r'\.convShortcut\.', '.project.'),
    ],
    'vgg': [(r'^block(\d)\.(\d+)\.', behind_pool)],
    'mobilenetv2': [
        (r'^conv1\.', 'stem.'),
        (r'^conv2\.', 'stages.4.'),
        *(
            (rf'^blocks\.{block}\.(\d)\.conv\.', rf'stages.{place}.\1.body.')
            for block, place in enumerate(BLOCKS)
        ),
    ],
    'shufflev1': [
        *STEM,
        *STAGES,
        *numbered('body', 'conv1 bn1 - - conv2 bn2 - conv3 bn3'),
    ],
    'shufflev2': [
        *STEM,
        (r'^conv2\.', 'stages.3.0.'),
        (r'^bn2\.', 'stages.3.1.'),
        # The first unit of a stage has the shortcut's layers in front.
        (r'^(layer\d\.0)\.', r'\1.down.'),
        *STAGES,
        *numbered('shortcut', 'down.conv1 down.bn1 down.conv2 down.bn2'),
        *numbered(
            'body', 'down.conv3 down.bn3 - down.conv4 down.bn4 down.conv5 down.bn5'
        ),
        *numbered('body', 'conv1 bn1 - conv2 bn2 conv3 bn3'),
    ],
}


def rename(key: str, arch: str) -> str:
    """The name in a mmpretrain classifier of a tensor of RepDistiller's network."""
    family = next(name for name in RULES if arch.startswith(name))
    head = re.sub(LINEAR, 'head.fc.', key)
    if head != key:
        return head
    for pattern, replacement in RULES[family]:
        key = re.sub(pattern, replacement, key)
    return f'backbone.{key}'


def build(arch: str) -> nn.Module:
    """The classifier that ``arch`` names."""
    from mmengine.registry import DefaultScope

    from mmkd.build import build_model

    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return build_model(ARCHS[arch], arch)


def compare(
    weights: Mapping[str, Tensor], arch: str
) -> tuple[nn.Module, dict[str, Tensor], list[str], list[str]]:
    """The network, the renamed tensors, and the names of what is odd in them or absent.

    Counters of batches may be absent: torch 0.4 did not save them.
    """
    model = build(arch)
    own = {key: value.shape for key, value in model.state_dict().items()}
    renamed = {rename(key, arch): value for key, value in weights.items()}
    odd = [
        key
        for key, value in weights.items()
        if own.get(rename(key, arch)) != value.shape
    ]
    absent = [
        key
        for key in own
        if key not in renamed and not key.endswith('_batches_tracked')
    ]
    return model, renamed, odd, absent


def convert(weights: Mapping[str, Tensor], arch: str) -> dict[str, Tensor]:
    """Rename all tensors; raise if they are not exactly those of ``arch``."""
    model, renamed, odd, absent = compare(weights, arch)
    if odd or absent:
        fit = len(weights) - len(odd)
        examples = [f'odd: {key}' for key in odd[:2]]
        examples += [f'missing: {key}' for key in absent[:2]]
        others = [other for other in ARCHS if compare(weights, other)[2:] == ([], [])]
        raise ValueError(
            f'{fit} of the {len(weights)} tensors ({fit / len(weights):.0%}) fit '
            f'--arch {arch}, {len(absent)} are missing ({"; ".join(examples)}). '
            + (f'The file is of --arch {others[0]}.' if others else 'No other fits.')
        )
    model.load_state_dict(renamed, strict=False)
    state: dict[str, Tensor] = model.state_dict()
    return state


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('checkpoint', metavar='IN', help='the file of RepDistiller')
    parser.add_argument('out', metavar='OUT', type=Path, help='the file to write')
    parser.add_argument(
        '--arch',
        required=True,
        type=str.lower,
        choices=ARCHS,
        help="the network, by RepDistiller's name for it: --arch resnet32x4",
    )
    return parser.parse_args(argv)


def save(args: argparse.Namespace) -> None:
    import torch

    from mmkd.checkpoints.read import read_weights

    if args.out.resolve() == Path(args.checkpoint).resolve():
        raise ValueError(f"'{args.out}' is the checkpoint itself: give another file.")
    try:
        state = convert(read_weights(args.checkpoint), args.arch)
    except ValueError as error:
        raise ValueError(f"'{args.checkpoint}': {error}") from None
    args.out.parent.mkdir(parents=True, exist_ok=True)
    part = args.out.with_name(f'{args.out.name}.part')
    content: dict[str, Any] = {'state_dict': state, 'meta': {'arch': args.arch}}
    torch.save(content, part)
    part.replace(args.out)
    print(f'{args.out}: {len(state)} tensors of {args.arch}')


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    need_mmkd()
    from mmkd.launch import short_errors

    with short_errors():
        save(args)


if __name__ == '__main__':
    main()
