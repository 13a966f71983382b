"""The teacher: frozen, invisible to everything but the forward of a step."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import pytest
import torch
import zoo
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import build_optim_wrapper
from mmengine.runner import save_checkpoint
from torch import nn

COPIES = [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]


def teacher_outputs(distiller, kind: str) -> list[torch.Tensor]:
    data = distiller.data_preprocessor(zoo.batch(kind))
    with torch.no_grad():
        return distiller.teacher.extract_feat(data['inputs'])


@pytest.mark.parametrize('kind', zoo.KINDS)
def test_training_leaves_it_alone(kind: str):
    distiller = zoo.distiller(kind).eval()
    state = copy.deepcopy(distiller.teacher.state_dict())
    before = teacher_outputs(distiller, kind)
    assert distiller.train() is distiller and distiller.training
    optimizer = zoo.optimizer(distiller)
    for step in range(2):
        distiller.train_step(zoo.batch(kind, step), optimizer)
    after = teacher_outputs(distiller, kind)
    assert all(torch.equal(a, b) for a, b in zip(before, after))
    now = distiller.teacher.state_dict()
    assert all(torch.equal(state[key], now[key]) for key in state)
    assert all(p.grad is None for p in distiller.teacher.parameters())
    assert not any(module.training for module in distiller.teacher.modules())


def test_dropout_of_the_teacher_is_off():
    """PSPNet has dropout right before conv_seg: its logits must not be noisy."""
    distiller = zoo.distiller('pspnet').train()
    head = distiller.teacher.decode_head
    assert head.dropout.p > 0 and not head.dropout.training
    features = [torch.randn(2, c, 8, 8) for c in (8, 16, 32, 64)]
    assert torch.equal(head.forward(features), head.forward(features))


def test_it_is_in_no_list():
    distiller = zoo.distiller('cls')
    ids = {id(p) for p in distiller.teacher.parameters()}
    config = dict(optimizer=dict(type='SGD', lr=0.1))
    optimizer = build_optim_wrapper(distiller, config)
    groups = optimizer.optimizer.param_groups
    assert not ids & {id(p) for group in groups for p in group['params']}
    assert not ids & {id(p) for p in distiller.parameters()}
    assert all(key.startswith(('student.', 'terms.')) for key in distiller.state_dict())
    average = ExponentialMovingAverage(distiller)
    assert not any('teacher' in key for key in average.state_dict())
    assert average.module.teacher is distiller.teacher


def test_connectors_are_trained_and_saved(tmp_path):
    distiller = zoo.distiller('cls')
    names = [n for n, _ in distiller.named_parameters() if n.startswith('terms.')]
    assert names and all('connectors' in name for name in names)
    save_checkpoint(dict(state_dict=distiller.state_dict()), str(tmp_path / 'a.pth'))
    saved = torch.load(tmp_path / 'a.pth', weights_only=True)['state_dict']
    assert set(names) <= set(saved)


@pytest.mark.parametrize('way', COPIES)
def test_copies_work(way):
    distiller = zoo.distiller('cls').train()
    twin = way(distiller)
    data = distiller.data_preprocessor(zoo.batch('cls'))
    a = distiller(**data, mode='loss')
    b = twin(**data, mode='loss')
    assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
    twin.student.head.fc.weight.data.zero_()
    assert distiller.student.head.fc.weight.abs().sum() > 0


def test_it_moves_along():
    """To another dtype and to another device (meta stands in for a GPU)."""
    distiller = zoo.distiller('cls')
    assert next(distiller.double().teacher.parameters()).dtype == torch.float64
    assert next(distiller.to('meta').teacher.parameters()).device.type == 'meta'


def test_nothing_is_alive_after_the_step(monkeypatch: pytest.MonkeyPatch):
    distiller = zoo.distiller('cls').train()
    kept: list[weakref.ref] = []
    original = type(distiller.terms['loss_cwt']).forward

    def watch(self, records, targets=None):
        for side, paths in (
            ('student', self.student_paths),
            ('teacher', self.teacher_paths),
        ):
            kept.extend(weakref.ref(records[side][path][0]) for path in paths)
        return original(self, records, targets)

    monkeypatch.setattr(type(distiller.terms['loss_cwt']), 'forward', watch)
    gc.disable()  # no cycles: freed by the last reference
    try:
        distiller.train_step(zoo.batch('cls'), zoo.optimizer(distiller))
        assert len(kept) == 4 and all(ref() is None for ref in kept)
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ('kind', 'path', 'idle'),
    [
        ('cls', 'backbone[-1]', ['head']),
        ('faster_rcnn', 'neck[:4]', ['rpn_head', 'roi_head']),
        ('mask_rcnn', 'roi_head.bbox_head[0]', ['rpn_head', 'roi_head.mask_head']),
        ('retinanet', 'neck', ['bbox_head']),
        ('pspnet', 'backbone[-1]', ['decode_head', 'auxiliary_head']),
        ('pspnet', 'auxiliary_head.conv_seg', ['decode_head']),
    ],
)
def test_it_runs_no_further_than_tapped(kind: str, path: str, idle: list[str]):
    term = dict(
        student=path,
        loss=dict(type='mmkd.MSE'),
        connector=None if 'head' in path else dict(type='mmkd.Align'),
    )
    distiller = zoo.distiller(kind, terms=dict(loss_x=term)).train()
    ran = []
    for name in idle:
        for module in distiller.teacher.get_submodule(name).modules():
            if not list(module.children()) and not isinstance(module, nn.Identity):
                module.register_forward_hook(lambda *_: ran.append(1))
    distiller.train_step(zoo.batch(kind), zoo.optimizer(distiller))
    assert not ran


def test_several_teachers_with_their_own_weights():
    teachers = dict(
        one=dict(model=zoo.student('cls', width=8), ckpt='random', weight=0.25),
        two=dict(model=zoo.student('cls', width=16), ckpt='random', weight=2.0),
    )
    terms = dict(
        zoo.TERMS['cls'],
        loss_two=dict(student='head.fc', loss=dict(type='mmkd.KD'), source='two'),
    )
    distiller = zoo.distiller(
        'cls', teacher=None, teacher_ckpt=None, teachers=teachers, terms=terms
    ).train()
    assert set(distiller.terms) == {
        'loss_kd_one', 'loss_kd_two', 'loss_cwt_one', 'loss_cwt_two', 'loss_two',
    }  # fmt: skip
    losses = distiller(**distiller.data_preprocessor(zoo.batch('cls')), mode='loss')
    for name, weight in (('kd_one', 0.25), ('kd_two', 2.0), ('cwt_two', 2e-3)):
        expected = losses[f'raw_{name}'] * weight
        assert torch.allclose(losses[f'loss_{name}'], expected)
    # Connectors fit each teacher's width.
    convs = [distiller.terms[f'loss_cwt_{n}'].connectors[0][0].mlp[2] for n in teachers]
    assert [conv.out_channels for conv in convs] == [64, 128]


def test_only_the_teacher_that_is_listened_to_runs():
    teachers = dict(
        one=dict(model=zoo.student('cls', width=8), ckpt='random'),
        two=dict(model=zoo.student('cls', width=16), ckpt='random', weight=0),
    )
    distiller = zoo.distiller('cls', teacher=None, teacher_ckpt=None, teachers=teachers)
    ran = []
    for name in teachers:
        backbone = distiller.frozen[name].model.backbone
        backbone.register_forward_hook(lambda *_, name=name: ran.append(name))
    distiller.train_step(zoo.batch('cls'), zoo.optimizer(distiller))
    assert ran == ['one']


def test_roi_heads_judge_the_students_regions():
    """A teacher equal to the student gives its very logits: same boxes, loss zero."""
    distiller = zoo.distiller('mask_rcnn', teacher=zoo.student('mask_rcnn'))
    distiller.teacher.load_state_dict(distiller.student.state_dict())
    data = distiller.data_preprocessor(zoo.batch('mask_rcnn'))
    losses = distiller(**data, mode='loss')
    assert losses['raw_kd'] < 1e-6 and losses['raw_kd_mask'] < 1e-4


def test_cascade_teacher_of_a_plain_student():
    from mmkd.build import read_config

    file = read_config('mmdet::cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py')
    teacher = file.model
    teacher._scope_ = 'mmdet'
    teacher.backbone.update(depth=18, base_channels=4, stem_channels=4, init_cfg=None)
    teacher.neck.update(in_channels=[4, 8, 16, 32], out_channels=8)
    teacher.rpn_head.update(in_channels=8, feat_channels=8)
    roi_head = teacher.roi_head
    roi_head.bbox_roi_extractor.out_channels = 8
    roi_head.mask_roi_extractor.out_channels = 8
    for head in roi_head.bbox_head:
        head.update(in_channels=8, fc_out_channels=16, num_classes=zoo.CLASSES)
    roi_head.mask_head.update(
        in_channels=8, conv_out_channels=8, num_convs=1, num_classes=zoo.CLASSES
    )
    terms = dict(
        loss_kd=dict(
            student='roi_head.bbox_head[0]',
            teacher='roi_head.bbox_head.2[0]',
            loss=dict(type='mmkd.KD'),
        ),
        loss_kd_mask=dict(
            student='roi_head.mask_head',
            teacher='roi_head.mask_head.2',
            loss=dict(type='mmkd.BinaryKD'),
        ),
    )
    distiller = zoo.distiller('mask_rcnn', teacher=teacher, terms=terms).train()
    log = distiller.train_step(zoo.batch('mask_rcnn'), zoo.optimizer(distiller))
    assert log['raw_kd'] > 0 and log['raw_kd_mask'] > 0
