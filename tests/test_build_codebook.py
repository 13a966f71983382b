"""letKD's codebooks: the maths, the tool, and what a codebook is good for."""

from __future__ import annotations

import re
import runpy
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import zoo
from cells import cell
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmkd.build import build_model, read_config
from mmkd.codebook import features, file, maths, stages
from mmkd.codebook.maths import kmeans, lda, score_table, starts
from mmkd.fingerprint import data_fingerprint, teacher_fingerprint
from mmkd.hooks import CheckData, DescribeStudent
from mmkd.loss import Site
from mmkd.recorder import Recorder
from mmkd.registry import MODELS

ROOT = Path(__file__).parents[1]
TOOL = runpy.run_path(str(ROOT / 'tools' / 'build_codebook.py'))


# -- the maths -------------------------------------------------------------------------


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
    weight, bias = lda(pieces(x, y), 5, 3)
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
    weight, bias = lda(pieces(x, y), 4, 60)  # a class without positions
    assert weight.shape == (2, 9) and weight.isfinite().all() and bias.isfinite().all()


def test_kmeans():
    cluster = pytest.importorskip('sklearn.cluster')
    x, _ = blobs()
    nothing = torch.zeros(len(x), dtype=torch.long)
    ours = kmeans(pieces(x, nothing), x[:5].clone(), 5, 12)
    made = cluster.KMeans(5, init=x[:5], n_init=1, max_iter=12, tol=0).fit(x)
    assert torch.allclose(ours, torch.tensor(made.cluster_centers_).float(), atol=1e-4)


def test_kmeans_of_groups_is_kmeans_of_each():
    x, y = blobs()
    first = torch.cat([x[y == c][:4] for c in range(3)])
    together = kmeans(pieces(x, y), first.clone(), 4, 5)
    for c in range(3):
        own, zeros = x[y == c], torch.zeros(200, dtype=torch.long)
        alone = kmeans(pieces(own, zeros), own[:4].clone(), 4, 5)
        assert torch.allclose(together[4 * c : 4 * c + 4], alone, atol=1e-5)


def test_empty_clusters_are_seeded_again():
    x, _ = blobs()
    nothing = torch.zeros(len(x), dtype=torch.long)
    same = x[:1].repeat(6, 1)  # all but one are empty
    centers = kmeans(pieces(x, nothing), same, 6, 10)
    counts = torch.cdist(x, centers).argmin(1).bincount(minlength=6)
    assert (counts > 0).all()
    few = centers.clone()  # of one position each there is nothing to share
    maths.reseed(few, torch.tensor([1.0, 0, 1, 1, 0, 1]), 3)
    assert torch.equal(few, centers)
    maths.reseed(few, torch.tensor([1.0, 0, 1, 1, 0, 2]), 3)  # in its own group only
    assert torch.equal(few[:4], centers[:4])
    assert torch.allclose(few[4], centers[5], atol=1e-2, rtol=1e-2)


def test_a_file_without_the_part(tmp_path: Path):
    torch.save(dict(meta={}, penultimate={}), tmp_path / 'codebook.pth')
    assert file.read(str(tmp_path / 'codebook.pth'), 'penultimate')['meta'] == {}
    with pytest.raises(ValueError, match="codebook.pth' has no intermediate part"):
        file.read(str(tmp_path / 'codebook.pth'), 'intermediate')
    torch.save(dict(penultimate=Path()), tmp_path / 'codebook.pth')
    with pytest.raises(ValueError, match="codebook.pth' holds objects of pathlib"):
        file.read(str(tmp_path / 'codebook.pth'), 'penultimate')
    torch.save(torch.ones(1000), tmp_path / 'codebook.pth')
    with pytest.raises(ValueError, match="codebook.pth' has no penultimate part"):
        file.read(str(tmp_path / 'codebook.pth'), 'penultimate')
    content = (tmp_path / 'codebook.pth').read_bytes()
    (tmp_path / 'codebook.pth').write_bytes(content[:-1000])
    with pytest.raises(RuntimeError, match="codebook.pth' cannot be read"):
        file.read(str(tmp_path / 'codebook.pth'), 'penultimate')


def test_score_table_naive():
    x, y = blobs()
    centers = torch.cat([x[y == c][:4] for c in range(3)])
    centers[5] = 1e3  # empty
    table = score_table(pieces(x, y), centers, 4)
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
    rows = starts(labels, 4, 3, seed=0).reshape(4, 3)
    assert set(rows[0]) <= {1, 4} and len(set(rows[2])) == 3
    assert (rows[[1, 3]] == -1).all()
    with pytest.raises(ValueError, match='too few'):
        starts(labels, 1, 7, seed=0)


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
    model = cell('letkd', 'cls').to_dict()
    for term in model['terms'].values():
        term['loss']['codebook'] = str(tmp_path / 'book.pth')
    model.update(teacher_ckpt=str(tmp_path / 'teacher.pth'), input_size=32)
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
    assert 'M in layers that stay in it (+' in said and 'stay in the true class' in said
    assert not (project / 'book.pth.work').exists()
    assert book['penultimate']['centers'].shape == (16, 8)
    assert book['intermediate']['table'].shape == (40, 40)
    assert torch.allclose(book['intermediate']['table'].sum(1), torch.ones(40))
    assert book['meta']['images'] == 25 and book['meta']['pool']['penultimate'] == 2

    model = distiller(project).train()
    log = model.train_step(zoo.batch('cls'), zoo.optimizer(model))
    assert log['raw_intermediate'] > 0 and log['raw_penultimate'] > 0
    loss, whole = model.terms['loss_penultimate'].loss, model.teacher
    assert teacher_fingerprint(whole) == book['meta']['teacher']
    scores, feature = torch.zeros(1, 16, 4, 4), torch.zeros(1, 8, 8, 8)
    site = Site([scores], [feature], teacher=whole, paths=([], ['backbone.layer1']))
    loss.build(site)
    with pytest.raises(ValueError, match='backbone.layer1'):
        loss.build(replace(site, paths=([], ['backbone.layer3'])))
    nn.init.zeros_(whole.head.fc.bias.data), nn.init.zeros_(whole.head.fc.weight.data)
    with pytest.raises(ValueError, match='other weights'):
        loss.build(site)
    with pytest.raises(SystemExit):
        run(project)  # it is there already


def test_export_says_what_the_layers_cost(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project)
    file = project / 'epoch_1.pth'
    torch.save(dict(state_dict=distiller(project).state_dict()), file)
    tool = runpy.run_path(str(ROOT / 'tools' / 'export_student.py'))
    capsys.readouterr()
    config = str(project / 'config.py')
    tool['main']([str(file), str(project / 'student.pth'), '--config', config])
    assert re.search(r'0\.00\d M of its numbers .* KD layers', capsys.readouterr().out)


def test_tool_goes_on(project: Path, monkeypatch: pytest.MonkeyPatch):
    """Stopped once in each stage, it writes the same file as a run in one go."""
    whole = run(project, str(project / 'whole.pth'))
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

    places = [(features, 'maps', 3), (maths, 'reseed', 7)]
    places += [(stages, 'lda', 0), (maths, 'reseed', 5)]
    for module, name, count in places:
        with monkeypatch.context() as patch:
            patch.setattr(module, name, stopped(count, getattr(module, name)))
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
    model = MODELS.build(cell('letkd', kind)).eval()
    found = {}
    for part, feature, targets in features.maps(model, zoo.batch(kind)):
        found[part] = features.positions(feature, part, targets, [0, 1], None)
        few, _ = features.positions(feature, part, targets, [0, 1], 1)
        assert len(few) <= 2 and len(found[part][0]) <= feature[:, 0].numel()
    assert len(found['penultimate'][0]) >= len(found['intermediate'][0]) > 0
    labels = found['intermediate'][1]
    assert (labels >= 0).all() and (labels < zoo.CLASSES).all()
    assert not found['penultimate'][1].any()


@pytest.mark.parametrize(
    'name',
    [
        'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
        'mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py',
        'letkd_resnet34_resnet18_8xb32_in1k.py',
        'letkd_resnet56_resnet20_1xb64_cifar100.py',
    ],
)
def test_no_augmentation(name: str):
    """Nothing random is left, and labels are resized as the image is."""
    own = ROOT / 'configs' / 'letkd' / name
    file = read_config(name if '::' in name else own)
    before = file.train_dataloader.dataset.to_dict()
    dataset = TOOL['unaugmented'](file).to_dict()
    steps = [step['type'] for step in dataset.pop('pipeline')]
    before.pop('pipeline')
    assert dataset == before
    assert not [step for step in steps if re.search('Random|Flip|Jitter|Photo', step)]
    assert steps[-1].startswith('Pack')
    if 'rcnn' in name or 'pspnet' in name:
        assert steps[:3] == ['LoadImageFromFile', 'LoadAnnotations', 'Resize']


# -- what it was made from -------------------------------------------------------------


class Annotated:
    """A data set of which only the annotations are known."""

    def __init__(self, root: str = '/a', count: int = 30, **changes: Any) -> None:
        self.metainfo = dict(classes=changes.pop('classes', ('cat', 'dog')))
        self.root, self.count, self.changes = root, count, changes

    def __len__(self) -> int:
        return self.count

    def get_data_info(self, index: int) -> dict[str, Any]:
        info = dict(img_path=f'{self.root}/{index}.png', gt_label=index % 2)
        info['instances'] = [dict(bbox_label=index % 3)]
        return {**info, **self.changes}


def test_data_fingerprint(monkeypatch: pytest.MonkeyPatch):
    """The folder makes no difference; all that the codebook depends on does."""
    own = data_fingerprint(Annotated())
    assert own == data_fingerprint(Annotated('/b/c'))
    others = [
        Annotated(count=29),
        Annotated(classes=('dog', 'cat')),
        Annotated(gt_label=1),
        Annotated(instances=[]),
        Annotated(seg_map_path='/a/x.png'),
        Annotated(img_path='/a/x.png'),
    ]
    assert all(data_fingerprint(other) != own for other in others)
    assert (own['images'], own['classes']) == (30, 2)
    monkeypatch.setattr('mmkd.fingerprint.LOOKED_AT', 3)  # of a large one
    assert data_fingerprint(Annotated()) == data_fingerprint(Annotated('/b'))
    assert data_fingerprint(list(range(4)))['images'] == 4


def start(project: Path, **changes: Any) -> Any:
    """What a Runner of the config says and does before it trains."""
    from mmengine.registry import DATASETS

    config = Config.fromfile(project / 'config.py')
    book = changes.pop('other_data', None)
    if book is not None:
        for term in config.model.terms.values():
            term.loss.other_data = book
    model = MODELS.build(config.model)
    dataset = DATASETS.build(dict(config.train_dataloader.dataset, **changes))
    said: list[str] = []
    runner = SimpleNamespace(
        model=model,
        train_dataloader=SimpleNamespace(dataset=dataset),
        logger=SimpleNamespace(info=said.append),
    )
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    for hook in (CheckData(), DescribeStudent()):
        hook.before_train(runner)
    after = torch.get_rng_state(), np.random.get_state()[1].tolist()
    assert torch.equal(before[0], after[0]) and before[1] == after[1]
    return said


def test_training_wants_the_codebook_of_its_data(project: Path):
    """Augmentation and another folder are fine, fewer images only if that is meant."""
    run(project)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        (said,) = start(project)
        assert re.search(
            r'0\.044 M parameters, and 0\.\d+ M in layers that stay .* 8x8', said
        )
        shutil.copytree(project / 'images', project / 'elsewhere')
        start(project, data_prefix=str(project / 'elsewhere'))
        next((project / 'elsewhere' / '0').iterdir()).unlink()
        words = '25 images of 5 classes .* 24 images of 5 .*build_codebook.*other_data'
        with pytest.raises(ValueError, match=words):
            start(project, data_prefix=str(project / 'elsewhere'))
        start(project, data_prefix=str(project / 'elsewhere'), other_data=True)
