"""Task adapters: the right one is found, and it tells the ground truth as it is."""

from __future__ import annotations

import pytest
import torch
import zoo

from mmkd.build import find_task
from mmkd.tasks import ClassificationTask, DetectionTask, SegmentationTask, Task

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
    assert found.labels.tolist() == [0, 1] and found.sample_ids == [0, 1]
    assert found.image_sizes == [(32, 32)] * 2
    assert found.scores is None and found.seg_map is None and found.boxes is None


def test_soft_labels_of_mixup():
    model = zoo.student('cls')
    augment = dict(augments=dict(type='Mixup', alpha=0.8))
    model['data_preprocessor']['batch_augments'] = augment
    model['head']['loss'] = dict(type='CrossEntropyLoss', use_soft=True)
    distiller = zoo.distiller('cls', student=model).train()
    data = distiller.data_preprocessor(zoo.batch('cls'), True)
    found = distiller.task.targets(distiller.student, data['data_samples'])
    assert found.scores.shape == (2, zoo.CLASSES)
    assert torch.allclose(found.scores.sum(1), torch.ones(2))
    losses = distiller(**data, mode='loss')
    assert losses['raw_kd'].isfinite()


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
