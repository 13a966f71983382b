"""The report: right numbers from any work dirs, and a page that works."""

from __future__ import annotations

import itertools
import json
import math
import re
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import zoo
from browser import CHROMIUM, Browser
from mmengine.config import Config

import mmkd
from mmkd.build import build_model, build_runner
from mmkd.report import curves
from mmkd.report.answers import truth
from mmkd.report.command import main
from mmkd.report.compare import spread
from mmkd.report.drawing import short, si
from mmkd.report.features import CKA, hsic, look, small, tapped_layers
from mmkd.report.figures import Gallery
from mmkd.report.images import Images
from mmkd.report.lines import POINTS, Line, mean_curve, spread_labels
from mmkd.report.measure import count_macs, count_parameters
from mmkd.report.parts import duration, plain_table
from mmkd.report.pictures import draw_answer, enlarge
from mmkd.report.roles import compare
from mmkd.report.settings import difference
from mmkd.report.study import study
from mmkd.report.subjects import Subject
from mmkd.report.work_dirs import find_work_dirs, read_run

STUDENT, TEACHER = zoo.student('cls'), zoo.student('cls', width=8)
KD = dict(
    type='mmkd.Distiller',
    student=STUDENT,
    teacher=TEACHER,
    teacher_ckpt='nowhere/teacher.pth',
    terms=dict(loss_kd=dict(student='head.fc', loss=dict(type='mmkd.KD'), weight=2.0)),
)
MODELS = dict(student=STUDENT, teacher=TEACHER, kd=KD)


def write(
    folder: Path,
    model: dict[str, Any],
    values: list[float] = (50.0, 60.0),
    *,
    seed: int = 0,
    epochs: int | None = None,
    stamp: str = '20260101_000000',
    first: int = 1,
    log: str = '',
    **extra: Any,
) -> Path:
    """A made-up work dir: for each value one epoch of ten iterations, then it."""
    data = folder / stamp / 'vis_data'
    data.mkdir(parents=True)
    config = dict(
        model=model,
        default_scope='mmpretrain',
        randomness=dict(seed=seed),
        work_dir=str(folder),
        train_cfg=dict(by_epoch=True, max_epochs=epochs or first + len(values) - 1),
        **extra,
    )
    Config(config).dump(data / 'config.py')
    lines = []
    for epoch, value in enumerate(values, first):
        for i in (5, 10):
            step = 10 * (epoch - 1) + i
            entry = dict(lr=0.1, loss=1 / step, time=0.5, epoch=epoch, iter=step)
            if 'teacher' in model:
                entry.update({'loss_kd': 2 / step, 'raw_kd': 1 / step})
                entry.update({'grad_share/task': 0.75, 'grad_share/kd': 0.25})
            lines.append(dict(entry, step=step))
        lines.append({'accuracy/top1': value, 'time': 0.1, 'step': epoch})
    text = '\n'.join(json.dumps(line) for line in lines)
    (data / 'scalars.json').write_text(text + '\n')
    head = '2026/01/01 00:00:00 - mmengine - INFO - Epoch(train)  [1][ 5/10]\n'
    (folder / stamp / f'{stamp}.log').write_text(head + log)
    return folder


def comparison(tmp_path: Path, **kwargs: Any) -> Any:
    """Two seeds of a student and of kd, and a teacher."""
    for seed, (low, high) in enumerate([(60.0, 70.0), (64.0, 72.0)]):
        write(tmp_path / f'seed{seed}' / 'student', STUDENT, [40.0, low], seed=seed)
        write(tmp_path / f'seed{seed}' / 'kd', KD, [50.0, high], seed=seed)
    write(tmp_path / 'seed0' / 'teacher', TEACHER, [70.0, 82.0])
    runs = [read_run(path) for path in find_work_dirs(tmp_path)]
    return compare(runs, **kwargs)


# -- reading --------------------------------------------------------------------------


def test_a_resumed_run_is_put_together(tmp_path: Path):
    folder = write(tmp_path / 'run', STUDENT, [10.0, 20.0, 30.0], epochs=4)
    write(folder, STUDENT, [21.0, 31.0, 41.0], first=2, stamp='20260102_000000')
    run = read_run(folder)
    assert [e['iter'] for e in run.train] == [5, 10, 15, 20, 25, 30, 35, 40]
    assert run.metrics['accuracy/top1'] == [(10, 10), (20, 21), (30, 31), (40, 41)]
    assert run.finished and run.progress == (4, 4, 'epoch')
    assert run.seconds == pytest.approx(20)
    assert run.notes == []


def test_a_run_started_anew_says_so(tmp_path: Path):
    folder = write(tmp_path / 'run', STUDENT, [10.0])
    write(folder, STUDENT, [20.0], stamp='20260102_000000')
    run = read_run(folder)
    assert len(run.train) == 2 and 'started anew' in run.notes[0]


LOG = """2026/01/01 00:00:01 - mmengine - WARNING - 3 tensors are missing
2026/01/01 00:00:02 - mmengine - WARNING - 4 tensors are missing
2026/01/01 00:00:02 - mmengine - INFO - ValueError: not an error
Traceback (most recent call last):
  File "x.py", line 1, in <module>
RuntimeError: out of memory
"""


def test_what_went_wrong_is_named(tmp_path: Path):
    folder = write(tmp_path / 'run', STUDENT, [1.0, math.nan], epochs=20, log=LOG)
    (folder / 'train.log').write_text(LOG)  # a copy of the output counts once
    file = folder / '20260101_000000/vis_data/scalars.json'
    file.write_text(file.read_text() + '{"loss": 0.1, "it')
    run = read_run(folder)
    assert not run.finished and run.progress == (2, 20, 'epoch')
    assert run.warnings == {'3 tensors are missing': 2}
    assert run.errors == ['RuntimeError: out of memory']
    assert run.not_finite == [('accuracy/top1', 1, 20)]
    assert '1 unreadable' in run.notes[0]


def test_iterations_are_counted_where_epochs_are_not(tmp_path: Path):
    folder = write(tmp_path / 'run', STUDENT, [1.0, 2.0])
    file = folder / '20260101_000000/vis_data/config.py'
    text = file.read_text().replace('by_epoch=True, max_epochs=2', 'max_iters=20')
    file.write_text(text)
    run = read_run(folder)
    assert run.finished and run.progress == (20, 20, 'iteration')


@pytest.mark.parametrize('what', ['absent', 'empty', 'inside', 'vis_data'])
def test_wrong_paths(tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]):
    folder = write(tmp_path / 'run', STUDENT)
    (tmp_path / 'empty').mkdir()
    path, words = {
        'absent': (tmp_path / 'absent', 'no folder'),
        'empty': (tmp_path / 'empty', 'is no work dir'),
        'inside': (folder / '20260101_000000', f"give '{folder}'"),
        'vis_data': (folder / '20260101_000000/vis_data', f"give '{folder}'"),
    }[what]
    with pytest.raises(SystemExit) as error:
        main([str(path), '--out', str(tmp_path / 'out')])
    assert error.value.code == 2
    assert words in capsys.readouterr().err


# -- comparing ------------------------------------------------------------------------


def test_roles_groups_and_the_gap(tmp_path: Path):
    found = comparison(tmp_path)
    named = {group.label: (group.role, len(group.runs)) for group in found.groups}
    assert named == {
        'teacher': ('teacher', 1),
        'student': ('baseline', 2),
        'kd': ('distilled', 2),
    }
    kd = found.one('distilled')
    assert kd.last('accuracy/top1') == (71, pytest.approx(math.sqrt(2)), 2)
    closed = found.gap_closed(kd, 'accuracy/top1')  # of 62 to 82: 70 and 72
    assert closed == (pytest.approx(0.45), pytest.approx(0.05 * math.sqrt(2)), 2)
    assert found.time_ratio(kd) == 1


def test_the_file_that_taught_tells_the_teacher(tmp_path: Path):
    """Even where teacher and student are the same network."""
    teacher = write(tmp_path / 'first', STUDENT, max_grad=1)
    write(tmp_path / 'alone', STUDENT)
    model = dict(KD, teacher=STUDENT, teacher_ckpt=str(teacher / 'epoch_2.pth'))
    write(tmp_path / 'kd', model)
    found = compare([read_run(path) for path in find_work_dirs(tmp_path)])
    assert found.one('teacher').label == 'first'
    assert found.one('baseline').label == 'alone'


def test_roles_can_be_given(tmp_path: Path):
    found = comparison(tmp_path, teacher=str(tmp_path / 'seed0/student'))
    assert found.one('teacher').label == 'student'
    with pytest.raises(ValueError, match='--baseline'):
        comparison(tmp_path / 'again', baseline='nowhere')


def test_metrics_are_found_or_given(tmp_path: Path):
    for name in ('a', 'b'):
        folder = write(tmp_path / name, MODELS['student'])
        file = folder / '20260101_000000/vis_data/scalars.json'
        text = file.read_text().replace('"accuracy/top1":', '"loss_cls": 1, "mIoU":')
        file.write_text(text.replace('"time": 0.1', '"aAcc": 3, "coco/segm_mAP": 0.5'))
    runs = [read_run(path) for path in find_work_dirs(tmp_path)]
    assert compare(runs).metrics == ['coco/segm_mAP', 'mIoU']
    assert curves.scaled('coco/segm_mAP', 0.5) == 50
    assert compare(runs, metric='aAcc').metric == 'aAcc'
    with pytest.raises(ValueError, match='never logged'):
        compare(runs, metric='bAcc')


def test_spread():
    assert spread([]) is None
    assert spread([2.0]) == (2, None, 1)
    assert spread([1.0, 3.0]) == (2, math.sqrt(2), 2)
    assert math.isnan(spread([1.0, math.nan]).mean)


@pytest.mark.parametrize(
    ('entry', 'task'),
    [
        (dict(loss=0.5, loss_kd=2.0, raw_kd=1.0), 0.5),  # a classifier's own is 'loss'
        (dict(loss=9.0, loss_cls=1.0, loss_bbox=2.0, loss_kd=6.0, raw_kd=3.0), 3.0),
        (dict({'loss': 3.0, 'decode.loss_ce': 1.0, 'aux.loss_ce': 0.5}), 1.5),
        (dict(loss=4.0, teacher_loss=3.0, loss_kd=1.0, raw_kd=1.0), 4.0),
    ],
)
def test_the_tasks_own_loss(tmp_path: Path, entry, task):
    run = read_run(write(tmp_path / 'run', KD))
    run.train = [dict(entry, iter=1)]
    assert curves.task_loss(run) == [(1, pytest.approx(task))]


def test_a_terms_weight_follows_its_schedule(tmp_path: Path):
    ramp = [dict(kind='linear', end=10), dict(kind='stop', by='epoch', begin=2)]
    term = dict(KD['terms']['loss_kd'], schedule=ramp)
    model = dict(KD, terms=dict(loss_kd=term))
    run = read_run(write(tmp_path / 'run', model, [1.0, 2.0, 3.0]))
    curve = curves.weight_curve(run, 'loss_kd')
    assert [y for _, y in curve] == pytest.approx([0.8, 1.8, 2, 2, 0, 0])


def test_a_terms_weight_for_several_teachers(tmp_path: Path):
    terms = dict(loss_kd=KD['terms']['loss_kd'])
    teachers = dict(a=dict(model='a.py', weight=0.5), b=dict(model='b.py'))
    model = {**KD, 'terms': terms, 'teachers': teachers}
    run = read_run(write(tmp_path / 'run', model))
    for key, weight in (('loss_kd_a', 1), ('loss_kd_b', 2)):
        assert {y for _, y in curves.weight_curve(run, key)} == {weight}
    assert curves.weight_curve(run, 'loss_other') == []


def test_difference_of_settings():
    one = dict(lr=0.1, hooks=[dict(type='A')], steps=(1, 2), same=1)
    two = dict(lr=0.2, hooks=[dict(type='B')], steps=[1, 2], same=1, new=None)
    assert difference(one, two) == [
        ('lr', '0.1', '0.2'),
        ('hooks.0.type', "'A'", "'B'"),
        ('new', '', 'None'),
    ]


# -- measuring ------------------------------------------------------------------------


def naive_hsic(k: torch.Tensor, m: torch.Tensor) -> float:
    """The U-statistic itself: a mean over all quadruples of different examples."""
    total, count = 0.0, 0
    for i, j, q, r in itertools.permutations(range(len(k)), 4):
        total += float(k[i, j] * m[i, j] + k[i, j] * m[q, r] - 2 * k[i, j] * m[i, q])
        count += 1
    return total / count


def test_hsic_is_the_u_statistic():
    x, y = torch.randn(7, 5).double(), torch.randn(7, 3).double()
    k, m = x @ x.T, y @ y.T
    assert hsic(k, m) == pytest.approx(naive_hsic(k, m), rel=1e-9)
    with pytest.raises(ValueError, match='needs 4'):
        hsic(k[:3, :3], m[:3, :3])


def cka(x: torch.Tensor, y: torch.Tensor, size: int = 100) -> float:
    found = CKA()
    for a, b in zip(x.split(size), y.split(size)):
        found.add(a, b)
    return found.value


def test_what_cka_does_not_see():
    x, y = torch.randn(40, 6).double(), torch.randn(40, 9).double()
    y[:, :6] += x
    rotation = torch.linalg.qr(torch.randn(6, 6).double())[0]
    value = cka(x, y)
    assert 0.1 < value < 0.9
    for other in (3 * x @ rotation, x + 5, x[:, [5, 4, 3, 2, 1, 0]]):
        assert cka(other, y) == pytest.approx(value, rel=1e-6)
    assert cka(x, 2 * x @ rotation) == pytest.approx(1)
    order = torch.randperm(40)
    assert cka(x[order], y[order]) == pytest.approx(value)
    assert cka(y, x) == pytest.approx(value)


def test_cka_of_batches_is_unbiased():
    """Independent features have none, however small the batch; biased CKA is ~0.8."""
    x, y = torch.randn(4000, 30).double(), torch.randn(4000, 30).double()
    assert abs(cka(x, y, size=8)) < 0.05
    assert cka(x, x + y, size=8) == pytest.approx(cka(x, x + y, size=400), abs=0.05)
    assert cka(torch.rand(1, 3).expand(8, 3) + 1e-8, y[:8]) is None
    far = x[:40] + 1e6  # a large mean does not spoil it
    assert cka(far, y[:40]) == pytest.approx(cka(x[:40], y[:40]), rel=1e-6)


def test_tapped_layers():
    terms = dict(
        loss_a=dict(student='neck', teacher='neck'),
        loss_b=dict(student=['head.fc', 'neck']),
        loss_c=dict(student=dict(a='neck', b=['<stages>[-1]'])),
    )
    layers = {(t.student, t.teacher): t.terms for t in tapped_layers([terms])}
    assert layers == {
        ('neck', 'neck'): ('loss_a', 'loss_b', 'loss_c'),
        ('head.fc', 'head.fc'): ('loss_b',),
        ('<stages>[-1]', '<stages>[-1]'): ('loss_c',),
        ('backbone', 'backbone'): (),
    }
    assert small(torch.randn(2, 3, 40, 20)).shape == (2, 3, 16, 16)


def test_layers_may_be_roles():
    """What is not there, or of another network, is left out."""
    model, item = zoo.plain('cls').eval(), zoo.batch('cls')
    subject: Any = SimpleNamespace(
        model=model, prepare=lambda item: model.data_preprocessor(item, False)
    )
    paths = ['<stages>[1:]', 'backbone.-1', '<logits>', '<no>', 'x', 'student/neck']
    found = look(subject, item, paths)
    assert {path: len(levels) for path, levels in found.items()} == {
        '<stages>[1:]': 3, 'backbone.-1': 1, '<logits>': 1,
    }  # fmt: skip
    assert torch.equal(found['<stages>[1:]'][-1], found['backbone.-1'][0])


def test_costs_by_hand():
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1, bias=False),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 5),
    )
    model.forward = lambda x, *_, mode, run=model.forward: run(x)
    macs = count_macs(model, dict(inputs=torch.randn(2, 3, 10, 12)))
    assert macs == 10 * 12 * 9 * 3 * 8 + 8 * 5
    assert count_parameters(model) == 9 * 3 * 8 + 8 * 5 + 5


def noise(kind: str, count: int) -> list[dict[str, Any]]:
    """Samples whose images differ (mmdet's demo images are all the same)."""
    found = []
    for i in range(count):
        item = {key: value[0] for key, value in zoo.batch(kind, i, 1).items()}
        item['inputs'] = torch.randint_like(item['inputs'], 256)
        found.append(item)
    return found


@pytest.mark.parametrize('kind', zoo.KINDS)
def test_networks_of_every_task_are_shown_images(kind: str):
    torch.manual_seed(0)
    teacher = Subject('teacher', 'teacher', zoo.plain(kind).eval(), True)
    student = Subject('student', 'baseline', zoo.plain(kind).eval(), True)
    items = noise(kind, 24)
    found = study([student, teacher], Images(items), [zoo.TERMS[kind]], 30)
    assert found.counted == 24
    assert all('too few images' in note for note in found.notes)
    rows = {name: values['student'] for _, name, values in found.layers}
    tapped = zoo.TERMS[kind]['loss_kd']['student']
    assert any(name.startswith(tapped.partition('[')[0]) for name in rows), rows
    assert all(-1 < value <= 1.000001 for value in rows.values())
    same = study([teacher, student], Images(items), [], 0)
    sample = same.samples[0]
    assert set(sample.attention) == {'student', 'teacher'}
    answer = sample.answers['student']
    if kind == 'cls':
        assert answer.scores.sum() == pytest.approx(1)
    elif kind == 'pspnet':
        assert answer.segments.shape == sample.truth.segments.shape == (64, 64)
    else:
        assert len(answer.boxes) == len(answer.confidences)
        assert len(sample.truth.boxes) == 3
    drawn = draw_answer(sample, sample.truth, Images(items))
    plain = np.asarray(enlarge(sample.image))
    assert (np.asarray(drawn) != plain).any() == (kind != 'cls')


def test_a_network_is_like_itself():
    model = zoo.plain('faster_rcnn').eval()
    pair = [Subject(role, role, model, True) for role in ('teacher', 'baseline')]
    items = noise('faster_rcnn', 4)
    found = study(pair, Images(items), [zoo.TERMS['faster_rcnn']], 30)
    values = {name: row['baseline'] for _, name, row in found.layers}
    assert 'roi_head.bbox_head[0]' in values  # on the ground-truth boxes
    assert values == pytest.approx(dict.fromkeys(values, 1.0))


@pytest.mark.parametrize('resized', [False, True])
def test_boxes_are_where_the_image_shows_them(resized: bool):
    item = {key: value[0] for key, value in zoo.batch('faster_rcnn', 0, 1).items()}
    sample = item['data_samples']
    sample.set_metainfo(dict(scale_factor=(2.0, 3.0)))
    boxes = sample.gt_instances.bboxes.numpy()
    factor = 1 if resized else np.array([2, 3, 2, 3])
    images = Images([item], boxes_are_resized=resized)
    assert np.allclose(truth(item, images).boxes, boxes * factor)


# -- drawing --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        (1234.5, '1,234'),
        (93.94, '93.9'),
        (0, '0'),
        (0.01234, '0.0123'),
        (4e-6, '4e-6'),
    ],
)
def test_short_numbers(value, text):
    assert short(value) == text
    assert si(11_398) == '11.4 k'


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [
        (0.0004, '0.4 ms'),
        (12, '12.0 s'),
        (119, '119.0 s'),
        (180, '3 min'),
        (5 * 3600 + 12 * 60, '5 h 12 min'),
    ],
)
def test_durations(seconds: float, text: str):
    assert duration(seconds) == text


def test_numbers_of_a_run_named_baseline_are_no_code():
    html = plain_table('', ('layer', 'baseline'), [('fc', '0.8')], code=[0])
    assert '<code>fc</code>' in html and '<td>0.8</td>' in html


def test_the_mean_of_curves():
    """The longer goes on alone, NaN is left out, long ones are thinned."""
    xs, mean, sd = mean_curve([[(1, 2.0), (2, 4.0)], [(1, 4.0), (2, math.nan)], []])
    assert (xs, mean) == ([1], [3]) and sd.tolist() == pytest.approx([2**0.5])
    assert mean_curve([[(1, 2.0), (2, 4.0)], [(1, 4.0)]])[:2] == ([1, 2], [3, 4])
    assert mean_curve([[(1, math.nan)]])[0] == [0]
    line = [(float(x), float(x)) for x in range(2 * POINTS)]
    xs, mean, sd = mean_curve([line])
    assert len(xs) == POINTS and sd is None
    assert (xs[:2], mean[:2]) == ([1, 3], [0.5, 2.5])


def test_labels_do_not_touch():
    placed = spread_labels([5.0, 5.1, 1.0, 5.05], 1.0)
    assert placed[2] == 1
    ordered = sorted(placed)
    assert all(b - a > 0.999 for a, b in zip(ordered, ordered[1:]))
    assert placed[0] < placed[3] < placed[1]


def test_a_figure_is_a_file_and_a_part_of_the_page(tmp_path: Path):
    gallery = Gallery(tmp_path)
    curves = [[(1.0, 1.0), (2.0, 3.0)], [(1.0, 2.0), (2.0, 5.0)]]
    line = Line('a <b>', '#0072b2', curves, key='a <b>')
    drawing = gallery.lines('one', 'Title & more', [line], 'epoch', '%')
    svg = ElementTree.fromstring(drawing.svg.replace('xlink:', ''))
    texts = [e.text for e in svg.iter() if e.tag.endswith('text')]
    assert 'a <b>' in texts and 'Title & more, %' in texts  # text as text
    assert 'At the end: a <b> 4.' in svg.attrib['aria-label']
    assert 'var(--c1)' in drawing.svg and '#0072b2' not in drawing.svg
    for kind in ('png', 'svg'):
        assert (tmp_path / f'one.{kind}').stat().st_size > 1000


# -- whole reports --------------------------------------------------------------------


class Page(HTMLParser):
    """What a page refers to, and whether its elements are closed."""

    EMPTY = {'meta', 'link', 'img', 'br', 'input'}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.images: list[dict[str, Any]] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        found = dict(attrs)
        self.addresses += [found[k] for k in ('src', 'href') if k in found]
        if 'id' in found:
            self.ids.append(found['id'])
        if tag == 'img':
            self.images.append(found)
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.ids += [value for key, value in attrs if key == 'id']

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def report(*paths: Path, out: Path, options: str = '--no-features') -> tuple[str, Any]:
    """Make one; returns page and numbers."""
    main([*map(str, paths), '--out', str(out), *options.split()])
    return (out / 'report.html').read_text(), json.loads(
        (out / 'report.json').read_text()
    )


def test_the_whole_from_logs_alone(tmp_path: Path):
    """Neither checkpoints nor data: the rest is there, and what is missing is named."""
    comparison(tmp_path / 'runs')
    text, numbers = report(tmp_path / 'runs', out=tmp_path / 'out', options='')
    page = Page(text)
    assert page.open == [] and len(page.ids) == len(set(page.ids))
    assert all(a.startswith(('#', 'data:')) for a in page.addresses)
    assert '45' in text and 'of the gap to the teacher closed' in text
    assert 'validation images cannot be read' in text
    models = {model['label']: model for model in numbers['models']}
    assert models['kd']['metrics']['accuracy/top1']['last']['mean'] == 71
    assert models['kd']['metrics']['accuracy/top1']['gap_closed']['mean'] == 0.45
    assert models['kd']['mean_gradient_share'] == dict(task=0.75, kd=0.25)
    assert models['kd']['training_time_ratio'] == 1
    costs = {name: model['cost'] for name, model in models.items()}
    plain = build_model(STUDENT, 'student')
    for name in ('kd', 'student'):  # what is left after training is the student
        assert costs[name]['parameters'] == count_parameters(plain)
        assert costs[name]['macs'] == costs['student']['macs'] > 0
    assert costs['teacher']['macs'] > 3 * costs['kd']['macs']
    assert costs['kd']['latency_seconds'] > 0
    figures = {file.name for file in (tmp_path / 'out/figures').iterdir()}
    names = (
        'result cost curve_accuracy_top1 curve_loss term_kd_kd losses_kd gradient_kd'
    )
    assert {f'{n}.{kind}' for n in names.split() for kind in ('png', 'svg')} <= figures


@pytest.mark.parametrize(
    ('kinds', 'words'),
    [
        (['student'], ['None of these runs is a distillation']),
        (['student', 'teacher'], ['None of these runs is a distillation']),
        (['kd'], ['Train the student alone', "Give the teacher's work dir"]),
        (['kd', 'student'], ["Give the teacher's work dir", 'kd is one run']),
    ],
    ids=' '.join,
)
def test_missing_runs(tmp_path: Path, kinds: list[str], words: list[str]):
    paths = [write(tmp_path / kind, MODELS[kind]) for kind in kinds]
    text, numbers = report(*paths, out=tmp_path / 'out')
    assert all(word in text for word in words)
    if 'kd' in kinds:  # the teacher's size is known from the config
        teacher = next(m for m in numbers['models'] if m['role'] == 'teacher')
        assert teacher['cost']['parameters'] > 0 and not teacher['metrics']


def test_a_bad_run_is_told_first(tmp_path: Path):
    folder = write(tmp_path / 'x', KD, [1.0, math.nan], epochs=20, log=LOG)
    text, numbers = report(folder, out=tmp_path / 'out', options='--no-costs')
    assert 'stopped at epoch 2 of 20' in text
    assert 'RuntimeError: out of memory' in text
    assert 'accuracy/top1 was not finite 1 times' in text
    assert numbers['models'][0]['metrics']['accuracy/top1']['last']['mean'] is None
    assert numbers['models'][0]['runs'][0]['not_finite'] == ['accuracy/top1']


def test_nothing_but_a_start(tmp_path: Path):
    folder = write(tmp_path / 'x', STUDENT, [], epochs=3)
    text, _ = report(folder, out=tmp_path / 'out', options='--no-costs')
    assert 'No validation was logged' in text
    assert 'stopped at epoch 0 of 3' in text


def test_names_from_a_log_are_no_markup(tmp_path: Path):
    folder = write(tmp_path / '<script>x', STUDENT, title='</pre><script>')
    text, _ = report(folder, out=tmp_path / 'out', options='--no-costs')
    assert text.count('<script>') == 1 and Page(text).open == []


# -- a real run, and a real browser ---------------------------------------------------


def images(root: Path) -> None:
    """Two classes: a bright left half, a bright right half."""
    random = np.random.default_rng(0)
    for split, count in (('train', 24), ('val', 12)):
        for i in range(count):
            image = random.integers(0, 90, (32, 32, 3), dtype=np.uint8)
            image[:, slice(16) if i % 2 else slice(16, 32)] += 120
            file = root / split / ('left', 'right')[i % 2] / f'{i}.png'
            file.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(file), image)


def train(folder: Path, data: Path, model: dict[str, Any], seed: int = 0) -> None:
    """Two epochs with mmengine's Runner."""
    steps = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    loader = dict(batch_size=6, num_workers=0, collate_fn=dict(type='default_collate'))
    dataset = dict(type='CustomDataset', data_root=str(data), pipeline=steps)
    config: dict[str, Any] = dict(
        model=model,
        work_dir=str(folder),
        default_scope='mmpretrain',
        train_dataloader=dict(
            loader,
            dataset=dict(dataset, data_prefix='train'),
            sampler=dict(type='DefaultSampler', shuffle=True),
        ),
        val_dataloader=dict(
            loader,
            dataset=dict(dataset, data_prefix='val'),
            sampler=dict(type='DefaultSampler', shuffle=False),
        ),
        val_evaluator=dict(type='Accuracy'),
        val_cfg=dict(),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.02, momentum=0.9)),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=2)),
        visualizer=dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]),
        randomness=dict(seed=seed),
        experiment_name=folder.name + str(seed),
    )
    if 'teacher' in model:
        config['custom_hooks'] = [dict(type='mmkd.GradientShare', interval=2)]
    build_runner(Config(config)).train()


@pytest.fixture(scope='module')
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report on a teacher, a student and a distilled student, really trained."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp('real')
    images(root / 'data')
    train(root / 'runs/teacher', root / 'data', TEACHER)
    train(root / 'runs/student', root / 'data', STUDENT)
    terms = dict(
        KD['terms'],
        loss_cwd=dict(
            student='backbone[-1]',
            connector=dict(type='mmkd.Align'),
            loss=dict(type='mmkd.CWD'),
            schedule=dict(kind='linear', end=4),
        ),
    )
    file = root / 'runs/teacher/epoch_2.pth'
    model = dict(KD, teacher_ckpt=str(file), terms=terms)
    train(root / 'runs/kd', root / 'data', model)
    report(root / 'runs', out=root / 'out', options='--images 12 --seconds 20')
    return root / 'out'


@pytest.mark.slow
def test_a_real_run(real: Path):
    text = (real / 'report.html').read_text()
    numbers = json.loads((real / 'report.json').read_text())
    assert len(text) < 5e6 and Page(text).open == []
    assert all(image.get('alt') for image in Page(text).images)
    assert 'class="notes"' not in text, re.findall(r'class="notes">(.*?)</ul>', text)
    assert set(numbers['cka_with_teacher']) == {'head.fc', 'backbone[-1]'}
    for values in numbers['cka_with_teacher'].values():
        assert set(values) == {'student before training', 'student', 'kd'}
        assert all(-1 <= value <= 1 + 1e-6 for value in values.values())
    assert sum(numbers['classified_alike']) == 12
    kd = next(m for m in numbers['models'] if m['label'] == 'kd')
    assert set(kd['mean_gradient_share']) == {'task', 'kd', 'cwd'}
    assert sum(kd['mean_gradient_share'].values()) == pytest.approx(1)
    for name in ('similarity', 'attention', 'term_kd_cwd', 'gradient_kd'):
        assert (real / f'figures/{name}.png').stat().st_size > 5000


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason='there is no Chromium')
@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('width', [390, 1440])
def test_in_a_browser(real: Path, tmp_path: Path, width: int, scheme: str):
    boxes = (
        "[...document.querySelectorAll('.chart')].map(e=>{const b="
        'e.getBoundingClientRect();return [b.width,b.height,b.right,'
        "e.querySelectorAll('path').length]})"
    )
    with Browser(tmp_path) as browser:
        browser.open(real / 'report.html', width, scheme)
        assert browser.errors == []
        assert browser.ask('document.documentElement.scrollWidth <= innerWidth')
        charts = browser.ask(boxes)
        assert len(charts) >= 9
        for wide, high, right, paths in charts:
            assert wide > 250 and high > 90 and right <= width and paths > 3
        shown = '[...document.images].every(e=>e.complete&&e.naturalWidth>20&&e.alt)'
        assert browser.ask(f'document.images.length > 10 && {shown}')
        colour = 'getComputedStyle(document.body).backgroundColor'
        red = int(re.findall(r'\d+', browser.ask(colour))[0])
        assert red > 240 if scheme == 'light' else red < 40
        browser.ask("document.querySelector('.legend button').click()")
        assert browser.ask("document.querySelectorAll('.dim').length") > 3
        assert browser.ask("document.querySelectorAll('details.print').length") > 0


def test_the_package_needs_matplotlib_for_reports_alone():
    assert mmkd.__file__
    code = 'import mmkd, mmkd.report, sys; print("matplotlib" in sys.modules)'
    import subprocess

    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout.strip() == 'False', done.stderr
