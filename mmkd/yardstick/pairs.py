"""Which models are measured: the configs of a student, a teacher and a distiller."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, NamedTuple

import torch

# Name -> upstream's config of the student, and of the teacher.
PAIRS = {
    'resnet34_resnet18': (
        'mmpretrain::resnet/resnet18_8xb32_in1k.py',
        'mmpretrain::resnet/resnet34_8xb32_in1k.py',
    ),
    'resnet50_mobilenet-v2': (
        'mmpretrain::mobilenet_v2/mobilenet-v2_8xb32_in1k.py',
        'mmpretrain::resnet/resnet50_8xb32_in1k.py',
    ),
    'faster-rcnn-r101_faster-rcnn-r50': (
        'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
        'mmdet::faster_rcnn/faster-rcnn_r101_fpn_2x_coco.py',
    ),
    'mask-rcnn-r101_mask-rcnn-r50': (
        'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
        'mmdet::mask_rcnn/mask-rcnn_r101_fpn_2x_coco.py',
    ),
    'pspnet-r101_pspnet-r18': (
        'mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py',
        'mmseg::pspnet/pspnet_r101-d8_4xb2-80k_cityscapes-512x1024.py',
    ),
}
BY_HAND = ('kd', 'cwd', 'fitnet', 'cwt')
ALONE = ('frskd', 'sakd', 'letkd')
# Size and batch, where none are given.
SMALL = {'cls': (64, 8), 'two_stage': (128, 2), 'seg': (64, 2)}
LARGE = {'cls': (224, 64), 'two_stage': (640, 2), 'seg': (512, 4)}


class Pair(NamedTuple):
    """Configs of a student and a teacher, and the kind of their task."""

    name: str
    student: dict[str, Any]
    teacher: dict[str, Any]
    kind: str


def find_pair(
    name: str, size: int | None, device: torch.device, classes: int | None = None
) -> Pair:
    """Read the distillation config that is meant, for random weights.

    Args:
        name: One of ``PAIRS``, or a config file.
        size: Height and width of the images.
        device: Where the models will be.
        classes: How many classes student and teacher tell apart.
    """
    from mmkd.build import model_config, read_config
    from mmkd.mixin import kind_of, plain

    file = Path(name)
    if file.suffix == '.py':
        config, name = read_config(file), file.stem
        student = model_config(plain(config).model)
        student.setdefault('_scope_', config.get('default_scope'))
        teacher = model_config(config.model.teacher)
    elif name in PAIRS:
        student, teacher = map(model_config, PAIRS[name])
    else:
        raise ValueError(f"No pair '{name}'. There are: {', '.join(PAIRS)}")
    kind = kind_of(student)
    if kind not in SMALL:
        raise ValueError(f"'{name}' is a {kind} model; kinds here: {list(SMALL)}")
    size = size or sizes(kind, device)[0]
    for model in (student, teacher):
        _prepare(model)
        if kind == 'seg':
            model['data_preprocessor']['size'] = (size, size)
        if classes is not None:
            _set_classes(model, classes)
    return Pair(name, student, teacher, kind)


def sizes(kind: str, device: torch.device) -> tuple[int, int]:
    """Size and number of the images, where none are given."""
    return (LARGE if device.type == 'cuda' else SMALL)[kind]


def _prepare(config: Any) -> None:
    """Take out, at any depth, what loads a file or needs several processes."""
    if isinstance(config, (list, tuple)):
        for item in config:
            _prepare(item)
    elif isinstance(config, dict):
        config.pop('pretrained', None)
        init = config.get('init_cfg')
        if isinstance(init, dict) and init.get('type') == 'Pretrained':
            del config['init_cfg']
        for key, value in config.items():
            if value == 'SyncBN':
                config[key] = 'BN'
            _prepare(value)


def _set_classes(config: Any, classes: int) -> None:
    """Let every head, at any depth, tell so many classes apart."""
    if isinstance(config, (list, tuple)):
        for item in config:
            _set_classes(item, classes)
    elif isinstance(config, dict):
        if 'num_classes' in config and str(config.get('type')) != 'RPNHead':
            config['num_classes'] = classes
        for value in config.values():
            _set_classes(value, classes)


def distiller_config(pair: Pair, method: str, times: int = 1) -> dict[str, Any]:
    """What ``tools/train.py --method`` would make, for random weights.

    The terms have their whole weight, whatever their schedules say. Codebooks and
    branches that a method wants are random: they cost what real ones cost.
    """
    from mmengine.config import Config

    from mmkd.mixin import describe, distill, kind_of, read_method

    own = read_method(method, [kind_of(pair.student)])
    given: dict[str, Any] = {}
    if 'teacher' not in own:
        given = dict(teacher=pair.teacher, teacher_ckpt='random')
    config = distill(Config(dict(model=pair.student)), method, **given)
    trial = describe(method).get('trial', {})
    config.merge_from_dict({f'model.{key}': value for key, value in trial.items()})
    model: dict[str, Any] = config.model.to_dict()
    for term in model['terms'].values():
        term.pop('schedule', None)
    name, term = next(iter(model['terms'].items()))
    many = {f'{name}_{i}': copy.deepcopy(term) for i in range(1, times)}
    model['terms'].update(many)
    _prepare(model)
    return model
