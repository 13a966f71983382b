"""Models to measure: student and teacher, in mmkd and by hand, with equal weights."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from mmkd.yardstick import by_hand
from mmkd.yardstick.clock import Log, Step

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
WAYS = ('plain', 'hand', 'mmkd')


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


class Ways(NamedTuple):
    """One step in each way, and mmkd's distiller with its optimizer."""

    steps: dict[str, Step]
    distiller: Any
    optimizer: Any


def build(
    pair: Pair, method: str, times: int, device: torch.device, several: bool = False
) -> Ways:
    """The three students, equal; the two teachers, equal.

    Args:
        pair: Which models.
        method: One of ``BY_HAND``, then there are three ways, or another one.
        times: How often its first term is there.
        device: Where the models are to be.
        several: Whether they are trained by all processes of a group, with DDP.
    """
    from mmkd.build import build_model

    with quiet():
        distiller, term = build_distiller(pair, method, times, device)
        alone = build_model(pair.student, 'student').to(device).train()
    alone.load_state_dict(distiller.student.state_dict(), strict=False)
    theirs = keep_total(sgd(alone.parameters()))
    ours = keep_total(sgd(p for p in distiller.parameters() if p.requires_grad))
    runs, teaches = (distribute(m) if several else m for m in (alone, distiller))

    def plain_step(data: dict[str, Any]) -> Log:
        runs.train_step(data, theirs)
        return {'loss': theirs.total}

    def our_step(data: dict[str, Any]) -> Log:
        log = teaches.train_step(data, ours)
        terms = [log[term.raw_name] for term in distiller.terms.values()]
        return {'loss': ours.total, 'term': sum(terms)}

    steps: dict[str, Step] = {'plain': plain_step}
    if method in BY_HAND:
        loop = write_by_hand(pair, method, times, distiller, term)
        if several:
            loop.distribute()
        steps['hand'] = loop.step
    return Ways({**steps, 'mmkd': our_step}, distiller, ours)


def sgd(parameters: Any) -> torch.optim.Optimizer:
    """The same for all."""
    return torch.optim.SGD(parameters, lr=1e-4, momentum=0.9, weight_decay=1e-4)


def keep_total(optimizer: torch.optim.Optimizer) -> Any:
    """A wrapper that keeps the loss: a classifier's log calls its own part 'loss'."""
    from mmengine.optim import OptimWrapper

    class Optimizer(OptimWrapper):  # type: ignore[misc]
        def backward(self, loss: torch.Tensor, **kwargs: Any) -> None:
            self.total = loss.detach()
            super().backward(loss, **kwargs)

    return Optimizer(optimizer)


def distribute(model: nn.Module) -> nn.Module:
    """A model as mmengine's Runner distributes it."""
    from mmengine.model import MMDistributedDataParallel

    return MMDistributedDataParallel(model, broadcast_buffers=False)


def write_by_hand(
    pair: Pair, method: str, times: int, distiller: Any, term: dict[str, Any]
) -> by_hand.Loop:
    """The loop by hand, with the weights of a distiller that has such a term."""
    from mmkd.build import build_model

    device = next(distiller.parameters()).device
    with quiet():
        models = [build_model(m, 'model') for m in (pair.student, pair.teacher)]
    for model, like in zip(models, (distiller.student, distiller.teacher)):
        model.to(device).load_state_dict(like.state_dict())
    weight = next(iter(distiller.terms.values())).weight
    tau = term['loss'].get('tau')
    loop = by_hand.LOOPS[pair.kind](*models, method, weight, tau, times)
    loop.projections.to(device)
    weights, likes = loop.projections.parameters(), distiller.terms.parameters()
    for parameter, like in zip(weights, likes):
        parameter.data.copy_(like)
    loop.optimizer = sgd(loop.parameters())
    return loop


def build_distiller(
    pair: Pair, method: str, times: int, device: torch.device
) -> tuple[Any, dict[str, Any]]:
    """The distiller for a method, and its first term, which is there so many times."""
    from mmkd.registry import MODELS

    model = distiller_config(pair, method, times)
    torch.manual_seed(0)
    distiller = MODELS.build(model)  # torch's own initial weights will do
    return distiller.to(device).train(), next(iter(model['terms'].values()))


def distiller_config(pair: Pair, method: str, times: int = 1) -> dict[str, Any]:
    """What ``tools/train.py --method`` would make, for random weights.

    The terms have their whole weight, whatever their schedules say. Codebooks and
    branches that a method wants are random: they cost what real ones cost.
    """
    from mmengine.config import Config

    from mmkd.mixin import describe, distill, kind_of, read_method

    own = read_method(method, [kind_of(pair.student)])
    given = {}
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


@contextmanager
def quiet() -> Iterator[None]:
    """Without what mmengine logs of every weight that it initialises."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)


def make_batch(pair: Pair, distiller: Any, size: int, count: int) -> dict[str, Any]:
    """Noise with random ground truth, on the device already."""
    data = _noise(pair, distiller, size, count)
    batch: dict[str, Any] = distiller.data_preprocessor.cast_data(data)
    return batch


def _noise(pair: Pair, distiller: Any, size: int, count: int) -> dict[str, Any]:
    """A batch as a dataloader gives it."""
    classes = distiller.task.classes(distiller.student) or 2
    shape = (3, size, size)
    torch.manual_seed(0)
    if pair.kind == 'two_stage':
        from mmdet.testing import demo_mm_inputs

        return demo_mm_inputs(
            count,
            [list(shape)] * count,
            num_items=[5] * count,
            num_classes=classes,
            with_mask='mask_head' in pair.student['roi_head'],
        )
    images = list(torch.randint(0, 256, (count, *shape), dtype=torch.uint8))
    samples: list[Any] = []
    for _ in range(count):
        if pair.kind == 'cls':
            from mmpretrain.structures import DataSample

            label = int(torch.randint(classes, ()))
            samples.append(DataSample().set_gt_label(label))
        else:
            from mmengine.structures import PixelData
            from mmseg.structures import SegDataSample

            labels = torch.randint(classes, (1, size, size))
            labels[:, : size // 8] = 255
            samples.append(SegDataSample(metainfo=dict(img_shape=shape[1:])))
            samples[-1].gt_sem_seg = PixelData(data=labels)
    return {'inputs': images, 'data_samples': samples}
