"""distill(): an unmodified config becomes a distillation, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import zoo
from mmengine.config import Config
from mmengine.logging import MessageHub

import mmkd
from mmkd.build import build_model, read_config
from mmkd.mixin import kind_of, list_methods, plain, read_method

UPSTREAM = {
    'cls': 'mmpretrain::resnet/resnet18_8xb32_in1k.py',
    'two_stage': 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
    'one_stage': 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
    'seg': 'mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py',
}
SMALL = {
    'cls': 'cls', 'two_stage': 'mask_rcnn', 'one_stage': 'retinanet', 'seg': 'pspnet'
}  # fmt: skip
METHODS = ('kd', 'cwd', 'cwt', 'frskd')


def test_methods():
    assert set(METHODS) <= set(list_methods())


@pytest.mark.parametrize('kind', UPSTREAM)
def test_only_the_model_changes(kind: str):
    before = read_config(UPSTREAM[kind])
    assert kind_of(before.model) == kind
    after = mmkd.distill(UPSTREAM[kind], 'kd', UPSTREAM[kind], 'teacher.pth')
    assert after.model.student == before.model
    assert after.model.teacher_ckpt == 'teacher.pth'
    assert 'mmkd' in after.custom_imports['imports']
    assert {'mmkd.ExportStudent', 'mmkd.SeedIterations'} <= {
        hook.type for hook in after.custom_hooks
    }
    for key in before:
        if key not in ('model', 'custom_hooks', 'custom_imports'):
            assert after[key] == before[key], key


@pytest.mark.parametrize('kind', UPSTREAM)
@pytest.mark.parametrize('method', METHODS)
def test_every_method_trains_every_kind(method: str, kind: str, tmp_path: Path):
    """With the small models; and the config survives being written and read."""
    small = SMALL[kind]
    config = Config(dict(model=zoo.student(small)))
    teacher = zoo.student(small, width=8)
    given = () if method == 'frskd' else (teacher, 'random')
    config = mmkd.distill(config, method, *given)
    config.dump(tmp_path / 'config.py')
    model = Config.fromfile(str(tmp_path / 'config.py')).model
    MessageHub.get_current_instance().update_info('iter', 9)
    MessageHub.get_current_instance().update_info('max_iters', 10)
    distiller = build_distiller(model)
    log = distiller.train_step(zoo.batch(small), zoo.optimizer(distiller))
    raw = {key: value for key, value in log.items() if key.startswith('raw_')}
    on = [term.raw_name for term in distiller.terms.values() if term.weight]
    assert on and all(raw[key] > 0 and raw[key].isfinite() for key in on)


def build_distiller(config):
    from mmkd.registry import MODELS

    return MODELS.build(config).train()


def test_a_method_with_its_own_teacher_takes_no_other():
    with pytest.raises(ValueError, match='brings its own teacher'):
        mmkd.distill(UPSTREAM['cls'], 'frskd', UPSTREAM['cls'])


def test_further_settings_and_a_file_of_terms(tmp_path: Path):
    (tmp_path / 'mine.py').write_text(
        "terms = dict(loss_x=dict(student='head.fc', loss=dict(type='mmkd.KD')))"
    )
    config = mmkd.distill(
        UPSTREAM['cls'], tmp_path / 'mine.py', UPSTREAM['cls'], inherit=['head']
    )
    assert config.model.inherit == ['head'] and set(config.model.terms) == {'loss_x'}


def test_the_given_config_is_left_alone():
    config = Config(dict(model=zoo.student('cls'), custom_hooks=[dict(type='EMAHook')]))
    after = mmkd.distill(config, 'kd', zoo.student('cls'), 'random')
    assert 'student' not in config.model and len(config.custom_hooks) == 1
    assert {'type': 'EMAHook'} in after.custom_hooks


def test_a_students_own_imports_stay():
    imports = dict(imports=['json'], allow_failed_imports=True)
    config = Config(dict(model=zoo.student('cls'), custom_imports=imports))
    after = mmkd.distill(config, 'kd', zoo.student('cls'), 'random')
    assert after.custom_imports == dict(
        imports=['json', 'mmkd'], allow_failed_imports=True
    )


@pytest.mark.parametrize('imports', ['json', ['json'], ['json', 'mmkd'], None])
def test_imports_of_every_form(imports: str | list[str] | None):
    config = Config(dict(model=zoo.student('cls')))
    if imports is not None:
        config.custom_imports = dict(imports=imports, allow_failed_imports=False)
    after = mmkd.distill(config, 'kd', zoo.student('cls'), 'random')
    found = after.custom_imports['imports']
    assert list(found) == (['mmkd'] if imports is None else ['json', 'mmkd'])


def test_back_to_the_student_alone():
    config = Config(dict(model=zoo.student('cls'), custom_hooks=[dict(type='X')]))
    assert plain(config) is config  # it is alone
    distilled = mmkd.distill(config, 'kd', zoo.student('cls'), 'random')
    assert plain(distilled).model == config.model
    assert distilled.model.type == 'mmkd.Distiller'
    own = dict(type='SegDataPreProcessor')  # beside the model, as mmdet has it
    del distilled.model.student['data_preprocessor']
    distilled.data_preprocessor = own
    assert plain(distilled).model.data_preprocessor == own


def test_a_file_without_terms(tmp_path: Path):
    (tmp_path / 'none.py').write_text('weight = 1.')
    with pytest.raises(ValueError, match="none.py' has no 'terms'"):
        read_method(tmp_path / 'none.py', ['cls'])


def test_without_the_packages_configs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr('mmkd.build.__file__', str(tmp_path / 'mmkd' / 'build.py'))
    with pytest.raises(FileNotFoundError, match='install it again'):
        list_methods()
    carried = tmp_path / 'mmkd' / '.mim' / 'configs' / '_base_' / 'methods'
    carried.mkdir(parents=True)  # as in a wheel
    (carried / 'own.py').write_text('cls = dict(terms=dict())')
    (tmp_path / 'configs').mkdir()  # another package's, beside it
    assert list_methods() == ['own']
    assert read_method('own', ['cls']) == dict(terms={})
    with pytest.raises(
        ValueError, match="'own' has no form for seg models, only for c"
    ):
        read_method('own', ['seg'])


@pytest.mark.parametrize(
    ('config', 'method', 'words'),
    [
        (dict(), 'kd', 'has no model'),
        (
            dict(model=dict(type='mmkd.Distiller', student={})),
            'kd',
            'a distillation already',
        ),
        (dict(model=dict(type='X', head={})), 'x', r"No method 'x'. There are: \["),
        (dict(model=dict(type='X')), 'kd', "task of a 'X'"),
        (dict(model=dict(type='X', head={})), 'no/such.py', 'no config file'),
    ],
)
def test_mistakes(config: dict, method: str, words: str):
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        mmkd.distill(Config(config), method, 't.py', 't.pth')


def test_teacher_of_another_package_than_the_student():
    """A detector learns features from a classifier; scopes do not mix."""
    teacher = zoo.student('cls', width=8)
    teacher['backbone'].update(type='mmpretrain.ResNet', out_indices=(0, 1, 2, 3))
    terms = dict(
        loss_feature=dict(
            student='backbone[-1]',
            teacher='backbone[-1]',
            connector=dict(type='mmkd.Align'),
            loss=dict(type='mmkd.MSE'),
        )
    )
    distiller = zoo.distiller('retinanet', teacher=teacher, terms=terms).train()
    log = distiller.train_step(zoo.batch('retinanet'), zoo.optimizer(distiller))
    assert log['raw_feature'] > 0


def test_file_and_dict_build_the_same():
    file = build_model(UPSTREAM['cls'], 'student')
    same = build_model(read_config(UPSTREAM['cls']).model.to_dict() | {
        '_scope_': 'mmpretrain',
        'data_preprocessor': read_config(UPSTREAM['cls']).data_preprocessor,
    }, 'student')  # fmt: skip
    assert file.state_dict().keys() == same.state_dict().keys()
    assert torch.equal(file.data_preprocessor.mean, same.data_preprocessor.mean)
