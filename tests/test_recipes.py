"""The student's own recipe: hooks and optimizer constructors find what they ask for."""

from __future__ import annotations

import copy
import pickle
from types import SimpleNamespace
from typing import Any

import pytest
import zoo
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn

from mmkd.build import build_model
from mmkd.distillers.base import OF_STUDENT


def runner_of(model: Any, **settings: Any) -> Any:
    """What such hooks read of a runner."""
    loader = SimpleNamespace(dataset=SimpleNamespace(update_skip_type_keys=list))
    logger = SimpleNamespace(info=print, warning=print)
    made = dict(model=model, epoch=7, max_epochs=8, train_dataloader=loader)
    return SimpleNamespace(**{**made, 'logger': logger, **settings})


@pytest.mark.parametrize(
    ('kind', 'names'),
    [
        ('cls', ['backbone', 'neck', 'head']),
        ('retinanet', ['bbox_head']),
        ('mask_rcnn', ['rpn_head', 'roi_head']),
        ('pspnet', ['decode_head', 'auxiliary_head']),
    ],
)
def test_its_parts_are_found(kind: str, names: list[str]):
    distiller = zoo.distiller(kind)
    for name in names:
        assert getattr(distiller, name) is getattr(distiller.student, name)


@pytest.mark.parametrize(
    'name', ['no_such_part', 'num_classes', '_secret', 'loss_lambda']
)
def test_nothing_else_is(name: str):
    """Else a typo, or ``hasattr``, would hit the student."""
    distiller = zoo.distiller('cls')
    vars(distiller.student)[name] = 3
    assert not hasattr(distiller, name)
    with pytest.raises(AttributeError, match=f"'Distiller' object .*'{name}'"):
        getattr(distiller, name)


def test_what_the_student_does_not_have_is_its_error():
    distiller = zoo.distiller('cls')
    for name in ('bbox_head', *OF_STUDENT[3:]):
        with pytest.raises(
            AttributeError, match=f"'ImageClassifier' object .*'{name}'"
        ):
            getattr(distiller, name)
        assert not hasattr(distiller, name)
    twin = pickle.loads(pickle.dumps(copy.deepcopy(distiller)))
    assert twin.head is twin.student.head


def test_hooks_of_mmdet():
    from mmdet.engine.hooks import (
        NumClassCheckHook,
        SetEpochInfoHook,
        YOLOXModeSwitchHook,
    )

    distiller = zoo.distiller('retinanet')
    epochs: list[int] = []
    vars(distiller.student)['set_epoch'] = epochs.append
    SetEpochInfoHook().before_train_epoch(runner_of(distiller))
    assert epochs == [7]
    YOLOXModeSwitchHook().before_train_epoch(runner_of(distiller))
    assert distiller.student.bbox_head.use_l1
    dataset = SimpleNamespace(metainfo=dict(classes=['x'] * zoo.CLASSES))
    loader = SimpleNamespace(dataset=dataset)
    checked = runner_of(distiller, train_dataloader=loader)
    NumClassCheckHook().before_train_epoch(checked)  # of student and terms alone
    dataset.metainfo['classes'].append('x')
    with pytest.raises(AssertionError, match='num_classes'):
        NumClassCheckHook().before_train_epoch(checked)


def test_hooks_of_mmpretrain():
    from mmpretrain.engine.hooks import SetAdaptiveMarginsHook, SwitchRecipeHook

    distiller, loss = zoo.distiller('cls'), nn.CrossEntropyLoss()
    SwitchRecipeHook._switch_loss(runner_of(distiller), loss)
    assert distiller.student.head.loss_module is loss
    SwitchRecipeHook._switch_batch_augments(runner_of(distiller), 'augments')
    assert distiller.student.data_preprocessor.batch_augments == 'augments'
    with pytest.raises(ValueError, match="get <class '.*LinearClsHead'>"):
        SetAdaptiveMarginsHook().before_train(runner_of(distiller))


def test_layer_wise_learning_rates():
    """As of the student alone; what a term adds learns as the head does."""
    settings = dict(
        optimizer=dict(type='SGD', lr=1.0, weight_decay=0.1),
        constructor='LearningRateDecayOptimWrapperConstructor',
        paramwise_cfg=dict(layer_decay_rate=0.5, norm_decay_mult=0.0),
    )
    widths = [4, 8, 8, 8]
    student = zoo.student('cls')
    arch = dict(depths=[1] * 4, channels=widths)
    student['backbone'] = dict(type='ConvNeXt', arch=arch, gap_before_final_norm=False)
    student['head']['in_channels'] = widths[-1]
    terms = dict(
        loss_x=dict(
            student='<stages>[-1]',
            teacher='backbone[-1]',
            connector=dict(type='mmkd.CWT'),
            loss=dict(type='mmkd.AT'),
        )
    )
    distiller = zoo.distiller('cls', student=student, terms=terms, input_size=64)
    rates = []
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        for model in (distiller, distiller.student):
            groups = build_optim_wrapper(model, settings).optimizer.param_groups
            rates.append(
                {g['param_name']: (g['lr'], g['weight_decay']) for g in groups}
            )
    own = {name: v for name, v in rates[0].items() if name.startswith('student.')}
    assert {name.partition('.')[2]: v for name, v in own.items()} == rates[1]
    assert len({lr for lr, _ in rates[1].values()}) > 4
    head = rates[1]['head.fc.weight'][0]
    others = {lr for name, (lr, _) in rates[0].items() if name not in own}
    assert others == {head} == {max(lr for lr, _ in rates[1].values())}


def test_a_student_without_layers_says_so():
    student = zoo.student('retinanet')
    distiller = zoo.distiller('retinanet', student=build_model(student, 'student'))
    with pytest.raises(AttributeError, match="'RetinaNet' .*'get_layer_depth'"):
        distiller.get_layer_depth('student.backbone.conv1.weight')
