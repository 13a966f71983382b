"""Task adapters: the right one is found, and it tells the ground truth as it is."""

from __future__ import annotations

from typing import Any

import pytest
import strangers
import torch
import zoo
from torch import Tensor, nn

from mmkd.build import find_task
from mmkd.loss import Loss
from mmkd.recorder import Recorder
from mmkd.regions import NOTHING, label_map, regions, rows
from mmkd.registry import MODELS
from mmkd.tasks import ClassificationTask, DetectionTask, SegmentationTask, Task
from mmkd.tasks import cls as classification
from mmkd.tasks.base import standing_in

ADAPTERS = {'cls': ClassificationTask, 'pspnet': SegmentationTask}


def targets(kind: str):
    model = zoo.plain(kind)
    data = model.data_preprocessor(zoo.batch(kind), True)
    samples = data['data_samples']
    return find_task(model).targets(model, samples), samples, data['inputs']


@pytest.mark.parametrize('kind', zoo.KINDS)
def test_adapter_is_found_by_the_students_package(kind: str):
    assert type(find_task(zoo.plain(kind))) is ADAPTERS.get(kind, DetectionTask)


def test_a_model_of_ones_own():
    from mmengine.model import BaseModel

    class Own(BaseModel):
        def forward(self, inputs, data_samples=None, mode='tensor'):
            return inputs

    assert type(find_task(Own())) is Task
    assert find_task(Own()).targets(Own(), []).labels is None
    assert type(find_task(Own(), dict(type='mmkd.DetectionTask'))) is DetectionTask


@pytest.mark.parametrize('kind', zoo.KINDS)
@pytest.mark.parametrize('bare', [False, True])
def test_without_samples_nothing_is_known(kind: str, bare: bool):
    """No samples at all, or samples without ground truth, as in prediction."""
    model = zoo.plain(kind)
    samples = zoo.batch(kind)['data_samples']
    for sample in samples:
        for key in ('gt_label', 'gt_sem_seg', 'gt_instances'):
            sample.pop(key, None)
    found = find_task(model).targets(model, samples if bare else None)
    known = (found.labels, found.scores, found.seg_map, found.boxes, found.masks)
    assert known == (None,) * 5


def test_several_labels_an_image_are_no_label():
    model, samples = zoo.plain('cls'), zoo.batch('cls')['data_samples']
    samples[0].set_gt_label([1, 2])
    assert find_task(model).targets(model, samples).labels is None


def test_classification():
    found, _, _ = targets('cls')
    assert found.labels.tolist() == [0, 1] and found.indices.tolist() == [0, 1]
    assert found.image_sizes == [(32, 32)] * 2
    assert found.scores is None and found.seg_map is None and found.boxes is None


def test_indices_only_where_they_are_packed():
    model, samples = zoo.plain('cls'), zoo.batch('cls')['data_samples']
    samples[1].pop('sample_idx')
    assert find_task(model).targets(model, samples).indices is None


def mixing(augment: str, probs: float | None = None, **settings: Any) -> Any:
    """A student whose preprocessor mixes the batch."""
    model = zoo.student('cls')
    model['data_preprocessor']['batch_augments'] = dict(
        augments=dict(type=augment, **settings), probs=probs
    )
    model['head']['loss'] = dict(type='CrossEntropyLoss', use_soft=True)
    return model


def test_soft_labels_of_mixup():
    distiller = zoo.distiller('cls', student=mixing('Mixup', alpha=0.8)).train()
    data = distiller.data_preprocessor(zoo.batch('cls', count=6), True)
    found = distiller.task.targets(distiller.student, data['data_samples'])
    assert found.scores.shape == (6, zoo.CLASSES)
    assert torch.allclose(found.scores.sum(1), torch.ones(6))
    losses = distiller(**data, mode='loss')
    assert losses['raw_kd'].isfinite()
    # mmpretrain leaves the labels of the images before they were mixed.
    assert [s.gt_label.item() for s in data['data_samples']] == [0, 1, 2, 3, 4, 0]
    assert found.labels is None
    x = torch.zeros(6, 1, 2, 2)
    with pytest.raises(ValueError, match='Mixup'):
        regions(x, found, 1)
    with pytest.raises(ValueError, match='hard labels'):
        label_map(x, found)


@pytest.mark.parametrize(
    ('scores', 'labels'),
    [
        ([[0, 1, 0], [0, 0, 1]], [1, 2]),  # the augmentation left this batch alone
        ([[1, 0, 0], [0, 1, 0]], [0, 1]),  # CutMix pasted the whole of the other image
        ([[0, 1, 0], [0, 0.5, 0.5]], None),
        ([[0, 1, 0], [0, 1e-9, 1]], None),
        ([[0, 1, 0], [0, 1, 1]], None),  # two classes in an image
        ([[0, 1, 0], [0, 0, 0]], None),
    ],
)
def test_labels_of_scores(scores: list[list[float]], labels: list[int] | None):
    model, samples = zoo.plain('cls'), zoo.batch('cls')['data_samples']
    for i, sample in enumerate(samples):
        sample.set_gt_label(i + 1).set_gt_score(torch.tensor(scores[i], dtype=float))
    found = find_task(model).targets(model, samples).labels
    assert labels == (found if found is None else found.tolist())


def test_labels_of_scores_are_looked_at_when_a_loss_reads_them(monkeypatch):
    """So a step of KD on mixed images waits for no number."""
    looked = []
    monkeypatch.setattr(classification, '_unmixed', looked.append)
    distiller = zoo.distiller('cls', student=mixing('CutMix', alpha=1.0)).train()
    data = distiller.data_preprocessor(zoo.batch('cls'), True)
    distiller(**data, mode='loss')
    assert not looked
    found = distiller.task.targets(distiller.student, data['data_samples'])
    assert found.labels is None and found.labels is None and len(looked) == 1
    assert found.with_labels(3).labels == 3 and found.labels is None


@pytest.mark.parametrize('kind', ['faster_rcnn', 'mask_rcnn', 'retinanet'])
def test_detection(kind: str):
    found, samples, inputs = targets(kind)
    for i, sample in enumerate(samples):
        assert torch.equal(found.boxes[i], sample.gt_instances.bboxes)
        assert torch.equal(found.box_labels[i], sample.gt_instances.labels)
    if kind == 'mask_rcnn':
        assert [m.shape for m in found.masks] == [(3, *inputs.shape[-2:])] * 2
        assert found.masks[0].dtype == torch.bool
    else:
        assert found.masks is None


def test_segmentation():
    found, samples, _ = targets('pspnet')
    assert found.seg_map.shape == (2, 64, 64) and found.ignore_index == 255
    assert torch.equal(found.seg_map[1], samples[1].gt_sem_seg.data[0])


@pytest.mark.parametrize('kind', zoo.KINDS)
def test_images_without_ground_truth(kind: str):
    """No objects, or every pixel ignored: a finite step all the same."""
    distiller = zoo.distiller(kind).train()
    data = zoo.batch(kind)
    for sample in data['data_samples']:
        if kind == 'pspnet':
            sample.gt_sem_seg.data.fill_(255)
        elif kind != 'cls':
            sample.gt_instances = sample.gt_instances[:0]
    log = distiller.train_step(data, zoo.optimizer(distiller))
    terms = {key: value for key, value in log.items() if key.startswith('raw_')}
    assert all(value.isfinite() for value in terms.values()), terms


# -- how far a detector is run ---------------------------------------------------------

DETECTORS = {
    'detr': lambda: strangers.detr('detr/detr_r50_8xb2-150e_coco.py', [32]),
    'deformable': lambda: strangers.detr(
        'deformable_detr/deformable-detr_r50_16xb2-50e_coco.py', [8, 16, 32]
    ),
    'condinst': lambda: strangers.dense(
        'condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py'
    ),
    'gfl': lambda: strangers.dense('gfl/gfl_r50_fpn_1x_coco.py'),
    'atss': lambda: strangers.dense('atss/atss_r50_fpn_1x_coco.py'),
    'fcos': lambda: strangers.dense('fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py'),
    'retinanet': lambda: zoo.student('retinanet'),
    'faster_rcnn': lambda: zoo.student('faster_rcnn'),
    'cascade': strangers.cascade,
    'htc': lambda: strangers.cascade('htc/htc_r50_fpn_1x_coco.py'),
}


def detector(student: str, teacher: str | None = None, **paths: Any) -> Any:
    """A distiller whose terms compare by MSE what is at the paths."""
    terms = {
        f'loss_{name}': dict(student=path, loss=dict(type='mmkd.MSE'))
        if isinstance(path, str)
        else path
        for name, path in paths.items()
    }
    configs = [DETECTORS[name]() for name in (student, teacher or student)]
    made = zoo.distiller(
        'faster_rcnn', student=configs[0], teacher=configs[1], terms=terms
    )
    return made.train()


def batch_of(kind: str) -> Any:
    """A batch, with the masks and the map that these want."""
    found = zoo.batch('mask_rcnn' if kind in ('condinst', 'htc') else 'retinanet')
    if kind == 'htc':
        from mmengine.structures import PixelData

        for sample in found['data_samples']:
            sample.gt_sem_seg = PixelData(sem_seg=torch.zeros(1, 96, 64).long())
    return found


def step(distiller: Any, kind: str) -> dict[str, Tensor]:
    log = distiller.train_step(batch_of(kind), zoo.optimizer(distiller))
    return {key: value for key, value in log.items() if key.startswith('raw_')}


@pytest.mark.parametrize(
    ('kind', 'paths'),
    [
        ('detr', ['bbox_head[0]', 'encoder', 'neck']),
        ('deformable', ['bbox_head[0]', 'decoder[0]']),
        ('condinst', ['bbox_head[0]']),
        ('condinst', ['mask_head', 'mask_head.mask_feature_head']),
        ('htc', ['roi_head.bbox_head.2[0]', 'roi_head.mask_head.2']),
    ],
)
def test_heads_that_want_more_than_the_features(kind: str, paths: list[str]):
    """Of equal networks all is equal, so the teacher is run as the student is."""
    distiller = detector(kind, **{f'x{i}': path for i, path in enumerate(paths)})
    distiller.student.init_weights()
    distiller.teacher.load_state_dict(distiller.student.state_dict())
    data = distiller.data_preprocessor(batch_of(kind), True)
    losses = distiller(**data, mode='loss')
    raw = [losses[f'raw_x{i}'] for i in range(len(paths))]
    assert all(0 <= value < 1e-9 for value in raw), raw
    distiller.teacher.apply(lambda m: [p.data.mul_(1.1) for p in m.parameters(False)])
    assert all(value > 0 for value in step(distiller.train(), kind).values())


def test_queries_have_no_role():
    with pytest.raises(ValueError, match="student '<logits>': nothing in DETR plays"):
        detector('detr', x='<logits>')


def test_what_cannot_be_run_is_named():
    def forward(*_: Any, **__: Any) -> None:
        raise TypeError("forward() missing 1 argument: 'positive_infos'")

    model = strangers.build(DETECTORS['detr']())
    with (
        standing_in(model, 'forward', forward),
        pytest.raises(
            ValueError, match=r"DETR cannot .* \['encoder'\].*positive_infos"
        ),
    ):
        DetectionTask().run(model, torch.zeros(1), [], ['encoder'])


# -- cascades --------------------------------------------------------------------------


def test_a_cascade_is_judged_by_the_last_stage_on_its_own_regions():
    distiller = detector('cascade', x='<logits>')
    assert distiller.terms['loss_x'].student_paths == ['roi_head.bbox_head.2[0]']
    distiller.teacher.load_state_dict(distiller.student.state_dict())
    assert step(distiller, 'cascade')['raw_x'] < 1e-9
    with pytest.raises(ValueError, match="cascade of 3 stages.*'roi_head.bbox_head.2'"):
        detector('cascade', x='roi_head.bbox_head[0]')


def test_a_single_head_judges_the_stage_that_is_tapped():
    distiller = detector('cascade', 'faster_rcnn', x=between(1))
    seen: dict[str, Tensor] = {}

    def watch(name: str, extractor: nn.Module) -> None:
        extractor.register_forward_pre_hook(
            lambda _, inputs: seen.update({name: inputs[1]})
        )

    for i, extractor in enumerate(distiller.student.roi_head.bbox_roi_extractor):
        watch(f'student {i}', extractor)
    watch('teacher', distiller.teacher.roi_head.bbox_roi_extractor)
    step(distiller, 'cascade')
    assert torch.equal(seen['teacher'], seen['student 1'])
    assert not any(torch.equal(seen['teacher'], seen[f'student {i}']) for i in (0, 2))
    with pytest.raises(ValueError, match=r'one stage of.*tapped: \[1, 2\]'):
        detector('cascade', 'faster_rcnn', x=between(1), y=between(2))


def between(stage: int) -> dict[str, Any]:
    """A term between a stage of a cascade and a single head."""
    return dict(
        student=f'roi_head.bbox_head.{stage}[0]',
        teacher='roi_head.bbox_head[0]',
        loss=dict(type='mmkd.MSE'),
    )


# -- labels of a head's own ------------------------------------------------------------


@MODELS.register_module(force=True)
class Paired(Loss):
    """Keeps the rows that it is given, and their labels."""

    def __init__(self, joint: bool = False) -> None:
        super().__init__()
        self.joint = joint
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, student: Any, teacher: Any, targets: Any = None) -> Tensor:
        found, labels = rows(student, targets)
        self.seen.append((found.detach(), labels))
        return found.sum() * 0


@pytest.mark.parametrize('joint', [False, True])
@pytest.mark.parametrize(
    ('kind', 'head', 'index'),
    [
        ('gfl', 'bbox_head', 1),
        ('atss', 'bbox_head', 1),
        ('retinanet', 'bbox_head', 0),  # nine anchors at a position
        ('fcos', 'bbox_head', 0),
        ('faster_rcnn', 'roi_head.bbox_head', 0),
        ('cascade', 'roi_head.bbox_head.2', 0),
    ],
)
def test_labels_that_the_head_has_made(kind: str, head: str, index: int, joint: bool):
    """Rows and labels are paired as the head pairs them for its own loss."""
    term = dict(
        student=f'{head}[0]',
        labels=f'{head}.get_targets()[{index}]',
        loss=dict(type='mmkd.Paired', joint=joint),
    )
    distiller = detector(kind, x=term)
    own = distiller.student.get_submodule(head)
    theirs: list[tuple[Tensor, Tensor]] = []

    def note(module: nn.Module, args: Any, kwargs: Any) -> None:
        labels = args[1][0] if isinstance(args[1], tuple) else args[1]  # GFL's quality
        theirs.append((args[0].detach(), labels))

    own.loss_cls.register_forward_pre_hook(note, with_kwargs=True)
    step(distiller, kind)
    ours = distiller.terms['loss_x'].loss.seen
    found, labels = (torch.cat(parts) for parts in zip(*ours))
    expected, classes = (torch.cat(parts) for parts in zip(*theirs))
    assert torch.equal(found, expected)
    classes = classes.masked_fill(classes >= found.shape[1], NOTHING)
    assert torch.equal(labels, classes)
    assert (labels >= 0).any() and labels.unique().numel() > 1
    assert len(ours) == (1 if joint or 'roi_head' in head else 5)


# -- roles -----------------------------------------------------------------------------

LAYERS = [f'backbone.layer{i}' for i in (1, 2, 3, 4)]
MMSEG = 'deeplabv3plus/deeplabv3plus_r18-d8_4xb2-80k_cityscapes-512x1024.py'
RESNET = dict(depth=18, base_channels=4, stem_channels=4)


def stages(*numbers: int, of: str = 'stages') -> list[str]:
    return [f'backbone.{of}.{i}' for i in numbers]


def images(players: Any, head: str = 'head.fc', pooled: str = 'neck') -> dict[str, Any]:
    """Who plays what in a classifier."""
    return dict(stages=players, logits=head, pooled=pooled)


def objects(logits: str | None = 'bbox_head[0]') -> dict[str, Any]:
    found = dict(stages=LAYERS, pyramid='neck', logits=logits)
    return {role: player for role, player in found.items() if player}


def pixels(decoder: str, players: Any = LAYERS) -> dict[str, Any]:
    head = decoder.rpartition('.')[0]
    return dict(stages=players, logits=f'{head}.conv_seg', decoder=decoder)


ONE = strangers.classifier
# Of the networks for small images the taps are RepDistiller's feats[1:-1].
ROLES: dict[str, tuple[Any, int, dict[str, Any]]] = {
    'ResNet': (ONE(dict(type='ResNet', **RESNET), 32), 64, images(LAYERS)),
    'ResNet_CIFAR': (ONE(dict(type='ResNet_CIFAR', **RESNET), 32), 32, images(LAYERS)),
    'CifarResNet': (
        ONE(dict(type='mmkd.CifarResNet', depth=8, widths=(4, 4, 8, 16)), 16),
        16,
        images(stages(0, 1, 2)),
    ),
    'WideResNet': (
        ONE(dict(type='mmkd.WideResNet', depth=10), 64),
        16,
        images(stages(0, 1, 2)),  # 3 is the last BatchNorm
    ),
    'CifarVGG': (
        ONE(dict(type='mmkd.CifarVGG', depth=8), 512),
        16,
        images(stages(1, 2, 3, 4)),
    ),
    'CifarMobileNetV2': (
        ONE(dict(type='mmkd.CifarMobileNetV2'), 1280),
        32,
        images(stages(0, 1, 2, 3)),
    ),
    'CifarShuffleNetV2': (
        ONE(dict(type='mmkd.CifarShuffleNetV2'), 1024),
        16,
        images(stages(0, 1, 2)),
    ),
    'MobileNetV2': (
        ONE(dict(type='MobileNetV2', widen_factor=0.1), 1280),
        64,
        images([*(f'backbone.layer{i}' for i in (1, 2, 3, 5)), 'backbone.conv2']),
    ),
    'MobileNetV3': (
        ONE(
            dict(type='MobileNetV3'),
            576,
            dict(type='StackedLinearClsHead', mid_channels=[8]),
        ),
        64,
        images([f'backbone.layer{i}' for i in (0, 1, 3, 8, 12)], 'head'),
    ),
    'EfficientNet': (
        ONE(dict(type='EfficientNet', arch='b0'), 1280),
        64,
        images(stages(1, 2, 3, 4, 6, of='layers')),
    ),
    'ShuffleNetV1': (
        ONE(dict(type='ShuffleNetV1', groups=3), 960),
        64,
        images(stages(0, 1, 2, of='layers')),
    ),
    'ShuffleNetV2': (
        ONE(dict(type='ShuffleNetV2', widen_factor=0.5), 1024),
        64,
        images(stages(0, 1, 3, of='layers')),
    ),
    'VGG': (ONE(dict(type='VGG', depth=11), 512), 32, images('backbone')),
    'ConvNeXt': (
        strangers.unpooled(
            dict(type='ConvNeXt', arch=dict(depths=[1] * 4, channels=[4, 8, 16, 32])),
            32,
        ),
        64,
        images(stages(0, 1, 2, 3), pooled='head.fc:input'),
    ),
    'Swin': (
        strangers.swin(),
        64,
        images([f'{path}[0]' for path in stages(0, 1, 2, 3)]),
    ),
    'ViT': (
        strangers.vit('VisionTransformer', 'VisionTransformerClsHead'),
        32,
        images(stages(2, of='layers'), 'head', 'head.layers.head:input'),
    ),
    'ViT with a hidden layer': (
        strangers.vit(
            'VisionTransformer', dict(type='VisionTransformerClsHead', hidden_dim=8)
        ),
        32,
        images(stages(2, of='layers'), 'head', 'head.layers.head:input'),
    ),
    'DeiT': (
        strangers.vit('DistilledVisionTransformer', 'DeiTClsHead'),
        32,
        images(stages(2, of='layers'), 'head', 'head.layers.head:input'),
    ),
    'RetinaNet': (zoo.student('retinanet'), 64, objects()),
    'GFL': (DETECTORS['gfl'](), 64, objects()),
    'FCOS': (DETECTORS['fcos'](), 64, objects()),
    'DETR': (DETECTORS['detr'](), 64, objects(None)),
    'Faster R-CNN': (zoo.student('faster_rcnn'), 64, objects('roi_head.bbox_head[0]')),
    'Mask R-CNN': (zoo.student('mask_rcnn'), 64, objects('roi_head.bbox_head[0]')),
    'Cascade R-CNN': (DETECTORS['cascade'](), 64, objects('roi_head.bbox_head.2[0]')),
    'Swin in mmdet': (
        dict(
            strangers.dense('retinanet/retinanet_r50_fpn_1x_coco.py', None),
            backbone=dict(
                type='mmdet.SwinTransformer',
                embed_dims=4,
                depths=[1] * 4,
                num_heads=[1] * 4,
                window_size=2,
            ),
        ),
        64,
        dict(objects(), stages='backbone'),
    ),
    'PSPNet': (zoo.student('pspnet'), 64, pixels('decode_head.bottleneck')),
    'DeepLabV3+': (
        strangers.segmentor(
            MMSEG,
            dict(in_channels=32, c1_in_channels=4, c1_channels=4),
            base_channels=4,
            stem_channels=4,
        ),
        64,
        pixels('decode_head.sep_bottleneck'),
    ),
    'SegFormer': (
        strangers.segmentor(
            'segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py',
            dict(in_channels=[4] * 4),
            embed_dims=4,
            num_layers=[1] * 4,
            num_heads=[1] * 4,
        ),
        64,
        pixels('decode_head.fusion_conv', 'backbone'),
    ),
    'OCRNet': (
        strangers.ocrnet(),
        32,
        pixels('decode_head.1.object_context_block', 'backbone'),
    ),
}
REPEATED = ('PSPNet', 'DeepLabV3+', 'CifarVGG')  # sizes: dilated, or one stage more


@pytest.mark.parametrize('name', ROLES)
def test_roles(name: str):
    """Who plays them; and that it is what the role says."""
    config, size, expected = ROLES[name]
    model = strangers.build(config)
    task = find_task(model)
    found = {role: task.roles(model, role, (size, size)) for role in expected}
    assert found == expected and set(task.players(model)) == set(expected)
    assert model.training

    model.eval()
    paths = {k: [v] if isinstance(v, str) else v for k, v in found.items()}
    every = [path for own in paths.values() for path in own]
    example, samples = task.example((size, size), torch.device('cpu'))
    with torch.no_grad(), Recorder(model, every) as recorder:
        task.run(model, example, samples, every)
    seen = {k: [x for path in own for x in recorder[path]] for k, own in paths.items()}
    shapes = {k: [tuple(x.shape) for x in own] for k, own in seen.items()}
    sizes = [s[2:] if len(s) == 4 else s[1:2] for s in shapes['stages']]
    assert name in REPEATED or sizes == sorted(set(sizes), reverse=True), sizes
    assert all(shape[0] == 2 and len(shape) == 2 for shape in shapes.get('pooled', []))
    for shape in shapes.get('logits', []):
        assert shape[1] % zoo.CLASSES == 0 or shape[1] == zoo.CLASSES + 1, shape
    if 'decoder' in seen:
        head = model.get_submodule(found['logits'])
        assert torch.equal(head(seen['decoder'][0]), recorder[found['logits']][0])


def test_roles_leave_the_model_as_it_was():
    model = strangers.build(ROLES['MobileNetV2'][0]).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    find_task(model).roles(model, 'stages', (32, 32))
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ('name', 'role', 'words'),
    [
        ('Swin', 'stages', r'(?s)SwinTrans|images of \(32, 32\).*set input_size'),
        (
            'ResNet',
            'pyramid',
            "ImageClassifier plays 'pyramid'; it has.*'logits', 'pool",
        ),
        ('FPN', 'decoder', 'no module of FPNHead makes what it classifies'),
    ],
)
def test_roles_that_nothing_plays(name: str, role: str, words: str):
    file = 'sem_fpn/fpn_r50_4xb2-80k_cityscapes-512x1024.py'
    if name == 'FPN':
        config = strangers.segmentor(file, dict(in_channels=[8] * 4), **RESNET)
        config['neck'].update(in_channels=strangers.WIDTHS, out_channels=8)
    else:
        config = strangers.swin(96) if name == 'Swin' else ROLES[name][0]
        config['backbone'].pop('window_size', None)
    model = strangers.build(config)
    with pytest.raises(ValueError, match=words):
        find_task(model).roles(model, role, (32, 32))


def test_roles_are_found_once_at_the_size_of_the_student(monkeypatch):
    shown: list[list[Any]] = []
    original = ClassificationTask.example

    def example(self: Any, size: Any, device: Any) -> Any:
        shown[-1].append(size)
        return original(self, size, device)

    monkeypatch.setattr(ClassificationTask, 'example', example)
    term = dict(student='<stages>[-1]', loss=dict(type='mmkd.MSE'))
    config = strangers.vit('VisionTransformer', 'VisionTransformerClsHead')
    for terms in (dict(loss_a=term), dict(loss_a=term, loss_b=term)):
        shown.append([])
        made = zoo.distiller('cls', student=config, teacher=config, terms=terms)
        assert made.terms['loss_a'].student_paths == ['backbone.layers.2']
    assert shown[0] == shown[1] and set(shown[0]) == {(32, 32)}


# -- standing in -----------------------------------------------------------------------


def test_a_function_stands_in_for_a_method():
    model = nn.Linear(1, 1)
    with pytest.raises(ZeroDivisionError), standing_in(model, 'extract_feat', abs):
        with standing_in(model, 'extract_feat', len):
            assert model.extract_feat is len
        assert model.extract_feat is abs
        assert 1 / 0
    assert 'extract_feat' not in model.__dict__
