"""letKD: layer, losses and codebook against the authors' code; the tool; every task."""

from __future__ import annotations

import copy
import os
import pickle
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import runs
import torch
import torch.multiprocessing as mp
import torch.nn.functional as F
import zoo
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from test_ddp import free_port
from test_losses import wave
from torch import Tensor, nn

from mmkd.build import build_model
from mmkd.hooks import student_checkpoint
from mmkd.losses import LetKDIntermediate, LetKDPenultimate
from mmkd.losses import letkd as losses_letkd
from mmkd.losses.letkd import CodebookLoss, digest
from mmkd.mixin import read_method
from mmkd.networks import KDLayer
from mmkd.networks.letkd import overhead
from mmkd.recorder import Recorder
from mmkd.registry import MODELS
from mmkd.targets import Targets

ROOT = Path(__file__).parents[1]
TOOL = runpy.run_path(str(ROOT / 'tools' / 'build_codebook.py'))
K, D, SIZE = 6, 4, 4


# -- golden values -------------------------------------------------------------------
# Made by github.com/adagorgun/letKD-framework 4fb2289 (Conv2dCos, valueLayer of
# valueLayer.py and valueLayer_subclass.py, VectorQuantizerEMA) in float64, with the
# inputs and weights below.


def layer() -> KDLayer:
    made = KDLayer(D, K, alpha=0.5).double()
    made.match.weight.data = wave(K, D, 1, 1, phase=1)
    made.match.gain.data = torch.tensor([2.5]).double()
    made.value.weight.data = wave(D, K, 1, 1, phase=2)
    made.value.gain.data = torch.tensor([1.5]).double()
    made.norm.weight.data, made.norm.bias.data = wave(K, phase=3), wave(K, phase=4)
    return made


def scores() -> Tensor:
    return layer().match(wave(2, D, SIZE, SIZE))


def penultimate(tau: float = 1.0) -> LetKDPenultimate:
    loss = LetKDPenultimate('random', tau)
    loss._take({'centers': wave(K, 5, phase=6, scale=1.0)})
    return loss


def intermediate() -> LetKDIntermediate:
    """Two classes with three sub-classes each."""
    weight = wave(5, 3, phase=8, scale=1.0).T
    table = wave(K, K, phase=10).softmax(1)
    table[0] = torch.eye(K)[2]  # with zeros
    loss = LetKDIntermediate('random', subclasses=3)
    loss._take(
        dict(
            weight=weight[:2],
            bias=-(weight @ wave(5, phase=9, scale=1.0))[:2],
            centers=wave(K, 2, phase=7, scale=1.0),
            table=table,
        )
    )
    return loss


LABELS = Targets(labels=torch.tensor([1, 0]))


def teacher(size: int) -> Tensor:
    return wave(2, 5, 2 * SIZE, 2 * SIZE, phase=5, scale=1.0)[..., :size, :size]


def test_layer():
    x = wave(2, D, SIZE, SIZE)
    made, y = layer(), layer()(x)
    assert made.match(x)[0, :3, 1, 2].tolist() == pytest.approx(
        [0.057986859298034744, -0.23806447229153202, 0.4883892141094875]
    )
    assert y[1, :3, 2, 0].tolist() == pytest.approx(
        [2.483635758535971, 1.7880502792912756, -3.038638413556861], rel=1e-10
    )
    assert y.mean().item() == pytest.approx(-0.2696090612348012, rel=1e-10)


GOLDEN = [
    (penultimate(), SIZE, 1.2315598605866283),
    (penultimate(), 2 * SIZE, 0.8933029728376389),
    (penultimate(0.2), SIZE, 0.6114056791987268),
    (penultimate(0.2), 2 * SIZE, 0.565466178011123),
    (intermediate(), SIZE, 1.4683535731256525),
    (intermediate(), 2 * SIZE, 1.500194582712528),
]


@pytest.mark.parametrize(('loss', 'size', 'value'), GOLDEN)
def test_losses(
    loss: CodebookLoss, size: int, value: float, monkeypatch: pytest.MonkeyPatch
):
    whole = scores().detach().requires_grad_()
    ours = loss(whole, teacher(size), LABELS)
    ours.backward()
    assert ours.item() == pytest.approx(value, rel=1e-10)
    monkeypatch.setattr(losses_letkd, 'LARGEST', 5 * K)  # in pieces: the same
    pieces = scores().detach().requires_grad_()
    loss(pieces, teacher(size), LABELS).backward()
    assert torch.allclose(pieces.grad, whole.grad)


def test_only_labelled_positions_count():
    seg_map = torch.full((2, 8, 8), 255)
    seg_map[:, :2] = 1
    targets = Targets(seg_maps=list(seg_map))
    s = scores().detach().requires_grad_()
    value = intermediate()(s, teacher(SIZE), targets)
    value.backward()
    assert s.grad[..., 0, :].any() and not s.grad[..., 1:, :].any()
    ones = Targets(labels=torch.tensor([1, 1]))
    rows = intermediate()(s[..., :1, :], teacher(SIZE)[..., :1, :], ones)
    assert value.item() == pytest.approx(rows.item())
    nothing = Targets(seg_maps=list(torch.full((2, 8, 8), 255)))
    assert intermediate()(s, teacher(SIZE), nothing) == 0


def test_gradients():
    """The loss moves templates, gain and map; the task also the values; no teacher."""
    x, made = wave(2, D, SIZE, SIZE).requires_grad_(), layer()
    t = teacher(SIZE).requires_grad_()
    y = made(x)
    penultimate()(made.match(x), t).backward()
    assert t.grad is None and x.grad.any()
    match, value = made.match, made.value
    assert match.weight.grad.any() and match.gain.grad.any()
    assert value.weight.grad is None and made.norm.weight.grad is None
    y.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in made.parameters())


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_precision(dtype: torch.dtype):
    s, t = scores().to(dtype), 20 * teacher(SIZE).to(dtype)
    value = copy.deepcopy(penultimate()).float()(s, t)
    assert value.dtype == torch.float32 and value.isfinite()
    zero = torch.zeros(2, D, 2, 2, dtype=torch.bfloat16)
    assert layer().to(torch.bfloat16)(zero).isfinite().all()


@pytest.mark.parametrize(
    ('loss', 'word'),
    [
        (LetKDPenultimate(), 'build_codebook'),
        (LetKDIntermediate('random', subclasses=4), '4 for each of 1 classes'),
    ],
)
def test_bad_use(loss: CodebookLoss, word: str):
    with pytest.raises(ValueError, match=word):
        loss(scores(), teacher(SIZE), LABELS)
    with pytest.raises(FileNotFoundError, match='tools/build_codebook.py'):
        type(loss)('nowhere.pth')
    own = penultimate()
    with pytest.raises(ValueError, match='templates=…'):
        own(scores()[:, :3], teacher(SIZE))


# -- in a model ------------------------------------------------------------------------


def layered(kind: str, **settings: Any) -> dict[str, Any]:
    """The student as the method's fragment has it, with few templates."""
    student = zoo.student(kind, **settings)
    part = read_method('letkd', student).student.to_dict()
    part['layers']['intermediate']['templates'] = 8 * zoo.CLASSES
    part['layers']['penultimate']['templates'] = 16
    return {**student, **part, 'of': student['type']}


def config(kind: str, **settings: Any) -> dict[str, Any]:
    terms = read_method('letkd', zoo.student(kind)).terms
    for term in terms.values():
        term.loss.codebook = 'random'
    made = dict(
        type='mmkd.Distiller',
        student=layered(kind),
        teacher=zoo.student(kind, width=8),
        teacher_ckpt='random',
        terms=terms,
    )
    return {**made, **settings}


@pytest.mark.parametrize('kind', zoo.KINDS)
def test_every_task(kind: str):
    """Both terms count and reach the layers; the exported file holds them."""
    distiller = MODELS.build(config(kind)).train()
    log = distiller.train_step(zoo.batch(kind), zoo.optimizer(distiller))
    assert log['raw_intermediate'] > 0 and log['raw_penultimate'] > 0
    assert all(value.isfinite().all() for value in log.values())
    data = distiller.data_preprocessor(zoo.batch(kind), True)
    distiller.zero_grad()
    distiller.parse_losses(distiller(**data, mode='loss'))[0].backward()
    layers = distiller.student.backbone.kd_layers
    assert all(p.grad is not None and p.grad.any() for p in layers.parameters())
    assert all(one.norm.training for one in layers.values())

    content = dict(state_dict=distiller.state_dict())
    assert not any('terms' in key for key in content['state_dict'])
    alone = build_model(layered(kind), 'student').eval()
    alone.load_state_dict(student_checkpoint(content, 'x')['state_dict'], strict=True)
    distiller.eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        one, two = (m.backbone(images) for m in (distiller.student, alone))
        assert all(map(torch.equal, one, two))
        assert len(alone.test_step(zoo.batch(kind))) == 2


def test_the_model_stays_what_it_is():
    """Names of weights, interface, copies."""
    plain = zoo.plain('faster_rcnn')
    model = build_model(layered('faster_rcnn'), 'student')
    keys = {key for key in model.state_dict() if '.kd_layers.' not in key}
    assert keys == set(plain.state_dict()) and type(model) is type(plain)
    assert model.backbone.out_indices == plain.backbone.out_indices
    images = torch.rand(1, 3, 64, 64)
    twins = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    for twin in twins:
        for one in twin.backbone.kd_layers.values():
            one.alpha = 0.0
    plain.load_state_dict(model.state_dict(), strict=False)
    expected = plain.eval().backbone(images)
    for twin in twins:
        assert all(map(torch.equal, twin.eval().backbone(images), expected))
    assert not torch.equal(model.eval().backbone(images)[-1], expected[-1])


def test_initialisation():
    model = build_model(layered('cls'), 'student')
    weight = model.backbone.kd_layers['penultimate'].match.weight.clone()
    model.init_weights()
    made = model.backbone.kd_layers['penultimate']
    assert torch.equal(weight, made.match.weight)
    assert (made.match.gain.item(), made.value.gain.item()) == (3, 1)


@pytest.mark.parametrize(
    ('layers', 'word'),
    [
        (dict(a=dict(templates=4)), 'after'),
        (dict(a=dict(after='backbone.layer9', templates=4)), 'layer9'),
        (dict(a=dict(after='head', templates=4)), 'do not run'),
        (dict(a=dict(after='neck', templates=4)), 'no map'),
    ],
)
def test_bad_place(layers: dict[str, Any], word: str):
    with pytest.raises(ValueError, match=word):
        build_model(dict(layered('cls'), layers=layers), 'student')


# Base and added parameters and added multiplications of the specification's table.
COSTS = [
    (dict(depth=20), 64, (278324, 532482 + 8192, 33554432)),
    (dict(depth=8, widths=(32, 64, 128, 256)), 256, (1233540, 2105346, 134217728)),
]


@pytest.mark.parametrize(('backbone', 'channels', 'expected'), COSTS)
def test_overhead(backbone: dict[str, Any], channels: int, expected: Any):
    student = dict(
        type='mmkd.KDLayered',
        of='mmpretrain.ImageClassifier',
        layers=dict(last=dict(after='backbone', templates=4096)),
        backbone=dict(type='mmkd.CifarResNet', **backbone),
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=dict(
            type='mmpretrain.LinearClsHead', num_classes=100, in_channels=channels
        ),
    )
    cost = overhead(build_model(student, 'student'), 32)
    more = 2 * channels * 4096 + 2 * 4096 + 2
    assert cost['plain'] == expected[0] and cost['macs'] == expected[2]
    assert cost['layered'] - cost['plain'] == more


# -- the offline part ------------------------------------------------------------------


def blobs(groups: int = 3, each: int = 200, width: int = 6) -> tuple[Tensor, Tensor]:
    labels = torch.arange(groups).repeat(each)
    middles = 2 * torch.randn(groups, 2, width)
    side = torch.randint(0, 2, labels.shape)
    x = middles[labels, side] + torch.randn(len(labels), width)
    return x, labels


def pieces(x: Tensor, labels: Tensor, most: int = 77) -> Any:
    def read(size: int) -> Any:
        return zip(x.split(min(size, most)), labels.split(min(size, most)))

    return read


def test_lda():
    """Distances in its space are sklearn's, up to one factor for all."""
    discriminant = pytest.importorskip('sklearn.discriminant_analysis')
    x, y = blobs(groups=5)
    weight, bias = TOOL['lda'](pieces(x, y), 5, 3)
    ours = torch.pdist(F.linear(x, weight, bias)[:100].double())
    made = discriminant.LinearDiscriminantAnalysis(n_components=3).fit(x, y)
    theirs = torch.pdist(torch.tensor(made.transform(x[:100])).double())
    ratio = ours / theirs
    assert torch.allclose(ratio, ratio.mean(), rtol=1e-3)


def test_lda_of_dead_channels():
    x, y = blobs()
    x = torch.cat(
        [x, torch.ones(len(x), 2), x[:, :1]], 1
    )  # constant, and twice the same
    weight, bias = TOOL['lda'](pieces(x, y), 4, 60)  # a class without positions
    assert weight.shape == (2, 9) and weight.isfinite().all() and bias.isfinite().all()


def test_kmeans():
    cluster = pytest.importorskip('sklearn.cluster')
    x, _ = blobs()
    nothing = torch.zeros(len(x), dtype=torch.long)
    ours = TOOL['kmeans'](pieces(x, nothing), x[:5].clone(), 5, 12)
    made = cluster.KMeans(5, init=x[:5], n_init=1, max_iter=12, tol=0).fit(x)
    assert torch.allclose(ours, torch.tensor(made.cluster_centers_).float(), atol=1e-4)


def test_kmeans_of_groups_is_kmeans_of_each():
    x, y = blobs()
    first = torch.cat([x[y == c][:4] for c in range(3)])
    together = TOOL['kmeans'](pieces(x, y), first.clone(), 4, 5)
    for c in range(3):
        own, zeros = x[y == c], torch.zeros(200, dtype=torch.long)
        alone = TOOL['kmeans'](pieces(own, zeros), own[:4].clone(), 4, 5)
        assert torch.allclose(together[4 * c : 4 * c + 4], alone, atol=1e-5)


def test_empty_clusters_are_seeded_again():
    x, _ = blobs()
    nothing = torch.zeros(len(x), dtype=torch.long)
    same = x[:1].repeat(6, 1)  # all but one are empty
    centers = TOOL['kmeans'](pieces(x, nothing), same, 6, 10)
    counts = torch.cdist(x, centers).argmin(1).bincount(minlength=6)
    assert (counts > 0).all()


def test_score_table_naive():
    x, y = blobs()
    centers = torch.cat([x[y == c][:4] for c in range(3)])
    centers[5] = 1e3  # empty
    table = TOOL['score_table'](pieces(x, y), centers, 4)
    own = torch.stack(
        [
            4 * c + (v - centers[4 * c : 4 * c + 4]).norm(dim=1).argmin()
            for v, c in zip(x, y)
        ]
    )
    means = torch.stack([x[own == k].mean(0) for k in range(12)])
    naive = torch.zeros(12, 12)
    for v, k in zip(x, own):
        naive[k, (v - means).square().sum(1).nan_to_num(nan=1e9).argmin()] += 1
    naive[5, 5] = 1
    assert torch.allclose(table, naive / naive.sum(1, keepdim=True))
    assert table[5, 5] == 1


def test_starts():
    labels = np.array([2, 0, 2, 2, 0, 2])
    rows = TOOL['starts'](labels, 4, 3, seed=0).reshape(4, 3)
    assert set(rows[0]) <= {1, 4} and len(set(rows[2])) == 3
    assert (rows[[1, 3]] == -1).all()
    with pytest.raises(ValueError, match='too few'):
        TOOL['starts'](labels, 1, 7, seed=0)


# -- the tool --------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A teacher's checkpoint, a few images of each class, a config."""
    random = np.random.default_rng(0)
    for i in range(5 * zoo.CLASSES):
        folder = tmp_path / 'images' / str(i % zoo.CLASSES)
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f'{i}.png'), random.integers(0, 256, (32, 32, 3)))
    teacher = build_model(zoo.student('cls', width=8), 'teacher')
    torch.save(dict(state_dict=teacher.state_dict()), tmp_path / 'teacher.pth')
    model = config('cls', teacher_ckpt=str(tmp_path / 'teacher.pth'))
    for term in model['terms'].values():
        term.loss.codebook = str(tmp_path / 'book.pth')
    model['terms'] = model['terms'].to_dict()
    model['input_size'] = 32
    for name in ('intermediate', 'penultimate'):  # 1x1 would be little
        model['student']['layers'][name]['after'] = 'backbone.layer2'
        model['terms'][f'loss_{name}']['teacher'] = 'backbone.layer1'
    load = [dict(type='LoadImageFromFile')]
    data = dict(type='CustomDataset', data_prefix=str(tmp_path / 'images'))
    loader = dict(batch_size=4, collate_fn=dict(type='default_collate'))
    crop = [dict(type='RandomCrop', crop_size=8), dict(type='PackInputs')]
    train = dict(loader, dataset=dict(data, pipeline=load + crop))
    test = dict(loader, dataset=dict(data, pipeline=[*load, dict(type='PackInputs')]))
    lines = dict(default_scope='mmpretrain', model=model)
    lines.update(train_dataloader=train, val_dataloader=test)
    text = '\n'.join(f'{key} = {value!r}' for key, value in lines.items())
    (tmp_path / 'config.py').write_text(text)
    return tmp_path


def run(project: Path, *more: str) -> dict[str, Any]:
    TOOL['main']([str(project / 'config.py'), *more, '--workers', '0'])
    file = next((Path(m) for m in more if m.endswith('.pth')), project / 'book.pth')
    made: dict[str, Any] = torch.load(file, weights_only=True)
    return made


def distiller(project: Path) -> Any:
    from mmengine.registry import DefaultScope

    from mmkd.build import read_config

    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(read_config(project / 'config.py').model)


def test_tool(project: Path, capsys: pytest.CaptureFixture[str]):
    """What it writes is what the teacher gives, and training takes it."""
    book = run(project)
    said = capsys.readouterr().out
    assert 'M in KD layers (+' in said and 'stay in the true class' in said
    assert not (project / 'book.pth.work').exists()
    assert book['penultimate']['centers'].shape == (16, 8)
    assert book['intermediate']['table'].shape == (40, 40)
    assert torch.allclose(book['intermediate']['table'].sum(1), torch.ones(40))
    assert book['meta']['images'] == 25 and book['meta']['pool']['penultimate'] == 2

    model = distiller(project).train()
    log = model.train_step(zoo.batch('cls'), zoo.optimizer(model))
    assert log['raw_intermediate'] > 0 and log['raw_penultimate'] > 0
    loss, whole = model.terms['loss_penultimate'].loss, model.teacher
    assert digest(whole) == book['meta']['teacher']
    loss.check_teacher(whole, ['backbone.layer1'])
    with pytest.raises(ValueError, match='backbone.layer1'):
        loss.check_teacher(whole, ['backbone.layer3'])
    nn.init.zeros_(whole.head.fc.bias.data), nn.init.zeros_(whole.head.fc.weight.data)
    with pytest.raises(ValueError, match='other weights'):
        loss.check_teacher(whole, ['backbone.layer1'])
    with pytest.raises(SystemExit):
        run(project)  # it is there already


def test_tool_goes_on(project: Path, monkeypatch: pytest.MonkeyPatch):
    """Stopped once in each stage, it writes the same file as a run in one go."""
    whole = run(project, str(project / 'whole.pth'))
    scope = TOOL['main'].__globals__
    work = project / 'book.pth.work'
    stop = RuntimeError('stopped')

    def stopped(count: int, call: Any) -> Any:
        left = [count]

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise stop
            return call(*args, **kwargs)

        return wrapped

    for name, count in (('maps', 3), ('reseed', 7), ('lda', 0), ('reseed', 5)):
        with monkeypatch.context() as patch:
            patch.setitem(scope, name, stopped(count, scope[name]))
            with pytest.raises(SystemExit):
                run(project)
        assert work.is_dir() and not (project / 'book.pth').is_file()
    with pytest.raises(SystemExit):
        run(project, '--seed', '1')  # other settings
    again = run(project)
    assert whole['meta'] == again['meta']
    for part in ('penultimate', 'intermediate'):
        assert all(torch.equal(whole[part][k], again[part][k]) for k in whole[part])


def test_tool_with_a_part(project: Path):
    book = run(project, '--letkd', '1', '--images', '9', '--positions', '2')
    assert set(book) == {'meta', 'penultimate'} and book['meta']['images'] == 9


def test_tool_with_a_teachers_own_config(project: Path):
    own = project / 'config.py'
    file = Config.fromfile(own)
    file.model = zoo.student('cls', width=8)
    file.dump(own)
    more = f'--checkpoint {project / "teacher.pth"} --templates 12 --pool 2'
    more += ' --penultimate backbone.layer3 --intermediate backbone.layer1'
    book = run(project, str(project / 'own.pth'), *more.split())
    assert book['penultimate']['centers'].shape == (12, 32)
    assert book['intermediate']['table'].shape == (40, 40)
    assert book['meta']['paths']['intermediate'] == ['backbone.layer1']


def test_features_are_of_plain_images(project: Path):
    """Each row is the teacher's, of an image that was not cropped, pooled by two."""
    run(project, '--keep')
    work = project / 'book.pth.work'
    rows = np.fromfile(work / 'penultimate.features', 'float32').reshape(25, 256, 8)
    labels = np.fromfile(work / 'intermediate.labels', 'int32').reshape(25, 256)
    model = distiller(project).eval()
    file = sorted((project / 'images' / '0').glob('*.png'))[0]
    image = torch.tensor(cv2.imread(str(file))).permute(2, 0, 1)
    batch = dict(zoo.batch('cls', count=1), inputs=[image])
    data = model.data_preprocessor(batch, False)
    with torch.no_grad(), Recorder(model.teacher, ['backbone.layer1']) as recorder:
        model.teacher.backbone(data['inputs'])
    expected = F.avg_pool2d(recorder['backbone.layer1'][0], 2)[0].flatten(1).T
    assert any(np.allclose(row, expected, atol=1e-5) for row in rows)
    assert (labels == labels[:, :1]).all() and set(labels[:, 0]) == set(range(5))


@pytest.mark.parametrize('kind', ['faster_rcnn', 'pspnet'])
def test_positions_of_other_tasks(kind: str):
    """All positions are words; those of a class have sub-classes."""
    model = MODELS.build(config(kind)).eval()
    found = {}
    for part, feature, targets in TOOL['maps'](model, zoo.batch(kind)):
        found[part] = TOOL['positions'](feature, part, targets, [0, 1], None)
        few, _ = TOOL['positions'](feature, part, targets, [0, 1], 1)
        assert len(few) <= 2 and len(found[part][0]) <= feature[:, 0].numel()
    assert len(found['penultimate'][0]) >= len(found['intermediate'][0]) > 0
    labels = found['intermediate'][1]
    assert (labels >= 0).all() and (labels < zoo.CLASSES).all()
    assert not found['penultimate'][1].any()


@pytest.mark.parametrize(
    'name',
    [
        'letkd_faster-rcnn-r101_faster-rcnn-r50_1x_coco',
        'letkd_pspnet-r101_pspnet-r18_4xb2-80k_cityscapes-512x1024',
        'letkd_resnet34_resnet18_8xb32_in1k',
        'letkd_resnet56_resnet20_1xb64_cifar100',
    ],
)
def test_no_augmentation(name: str):
    """Nothing random is left, and labels are resized as the image is."""
    file = Config.fromfile(ROOT / 'configs' / 'letkd' / f'{name}.py')
    before = file.train_dataloader.dataset.to_dict()
    dataset = TOOL['unaugmented'](file).to_dict()
    steps = [step['type'] for step in dataset.pop('pipeline')]
    before.pop('pipeline')
    assert dataset == before
    assert not [step for step in steps if re.search('Random|Flip|Jitter|Photo', step)]
    assert steps[-1].startswith('Pack')
    if 'rcnn' in name or 'pspnet' in name:
        assert steps[:3] == ['LoadImageFromFile', 'LoadAnnotations', 'Resize']


# -- runs ----------------------------------------------------------------------------


@pytest.mark.slow
def test_resume(tmp_path: Path):
    def go(name: str, epochs: int, resume: bool = False) -> Any:
        path = tmp_path / name
        runner = runs.runner(
            'cls', path, model=config('cls'), epochs=epochs, resume=resume
        )
        runner.train()
        return runner.model.state_dict()

    whole = go('a', 2)
    go('b', 1)
    again = go('b', 2, resume=True)
    assert any('kd_layers' in key for key in whole)
    assert all(torch.equal(whole[key], again[key]) for key in whole)


def train(rank: int, port: int, kind: str, folder: str) -> None:
    """Three steps on one of two ranks."""
    import mmkd  # noqa: F401

    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.distributed.init_process_group('gloo', rank=rank, world_size=2)
    torch.manual_seed(0)
    model = MMDistributedDataParallel(
        MODELS.build(config(kind)).train(), find_unused_parameters=False
    )
    optimizer = zoo.optimizer(model)
    optimizer.optimizer.param_groups[0]['lr'] = 1e-4  # nothing here is pretrained
    for step in range(3):
        model.train_step(zoo.batch(kind, seed=10 * step + rank), optimizer)
    torch.save(model.module.state_dict(), Path(folder) / f'{rank}.pth')
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['cls', 'retinanet'])
def test_two_ranks(kind: str, tmp_path: Path):
    os.environ['PYTHONPATH'] = os.pathsep.join(sys.path)
    mp.spawn(train, (free_port(), kind, str(tmp_path)), nprocs=2)
    one, two = (torch.load(tmp_path / f'{i}.pth', weights_only=True) for i in range(2))
    trained = [key for key in one if 'running_' not in key and 'num_b' not in key]
    assert any('kd_layers' in key for key in trained)
    assert all(one[key].isfinite().all() for key in trained)
    assert all(torch.equal(one[key], two[key]) for key in trained)
