"""Every config: reads, keeps its student's recipe, learns for a step and predicts."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest
import torch
import zoo
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmkd.arguments import check_arguments
from mmkd.build import model_config, read_config
from mmkd.mixin import KINDS, kind_of, list_methods, read_method
from mmkd.registry import HOOKS, MODELS
from mmkd.term import Term

CONFIGS = Path(__file__).parents[1] / 'configs'
# configs/demo trains on data that it makes itself: it has tests of its own.
LEAVES = sorted(
    file
    for file in CONFIGS.rglob('*.py')
    if file.relative_to(CONFIGS).parts[0] not in ('_base_', 'demo')
)
FRAGMENTS = sorted((CONFIGS / '_base_' / 'methods').glob('*.py'))
STUDENTS = sorted((CONFIGS / '_base_' / 'students').glob('*.py'))
RUNTIME = CONFIGS / '_base_' / 'runtime.py'

each_leaf = pytest.mark.parametrize('file', LEAVES, ids=lambda file: file.stem)
each_fragment = pytest.mark.parametrize('file', FRAGMENTS, ids=lambda file: file.stem)


# What a leaf may change of the student's recipe: MGD's protocol, which CWT follows,
# clips gradients in detection.
CLIPPED = dict(clip_grad=dict(max_norm=35, norm_type=2))
# On CIFAR-100 FRSKD's authors have another weight decay and schedule.
FRSKD_CIFAR = dict(weight_decay=1e-4), dict(milestones=[100, 150], gamma=0.1)
# Terms that a fragment offers but leaves off.
OFF = {'loss_logits'}


@cache
def read(file: Path) -> Config:
    """A config, which most tests look at; not to be changed."""
    return Config.fromfile(file)


def bases(file: Path) -> list[str]:
    """What the file's ``_base_`` says."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == '_base_':
            value = ast.literal_eval(node.value)
            return [value] if isinstance(value, str) else value
    return []


def own_bases(file: Path) -> list[Path]:
    """The file's bases in this repository."""
    return [file.parent / base for base in bases(file) if '::' not in base]


def upstream(file: Path) -> str | None:
    """The recipe that it builds on: 'mmdet::…'; None if model and data are ours."""
    first = next(iter(bases(file)), None)
    if first is None or '::_base_/' in first:
        return None
    if '::' in first:
        return first
    return upstream(file.parent / first)


def own_student(file: Path) -> Path | None:
    """The recipe of ours that it builds on, if that is not upstream's."""
    first = own_bases(file)[0].resolve()
    return first if first in STUDENTS and not upstream(file) else None


each_upstream_leaf = pytest.mark.parametrize(
    'file', [file for file in LEAVES if upstream(file)], ids=lambda file: file.stem
)
each_own_leaf = pytest.mark.parametrize(
    'file', [file for file in LEAVES if own_student(file)], ids=lambda file: file.stem
)
# tests/test_networks.py compares the rest with the recipe that they follow.


def fragment_of(file: Path) -> Path:
    """The method's fragment among the file's bases."""
    return next(base for base in own_bases(file) if base.parent.name == 'methods')


def has_teacher(file: Path) -> bool:
    """Whether there is a trained teacher, with a checkpoint."""
    return read(file).model.type == 'mmkd.Distiller'


def dead_keys(file: Path) -> set[str]:
    """Top-level keys of the file and of our fragments in it that nobody reads."""
    keys: set[str] = set()
    for part in (file, *own_bases(file)):
        for node in ast.parse(part.read_text()).body:
            if isinstance(node, ast.Assign):
                names = (t for t in node.targets if isinstance(t, ast.Name))
                keys.update(name.id for name in names)
    used = {
        node.attr
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == '_base_'
    }
    runner = set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'}
    return keys - used - runner - {'_base_', 'custom_imports'}


def plain(value: Any) -> Any:
    """Without the scopes that mmengine notes in what comes from another package."""
    if isinstance(value, Config):
        value = value.to_dict()
    if isinstance(value, dict):
        return {key: plain(value[key]) for key in value if key != '_scope_'}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


@each_leaf
def test_form(file: Path) -> None:
    lines = [line for line in file.read_text().splitlines() if line.strip()]
    assert len(lines) <= 20
    assert file.parent.name in list_methods()
    assert file.name.startswith(f'{file.parent.name}_')
    assert RUNTIME in [base.resolve() for base in own_bases(file)]
    assert not dead_keys(file)


def test_dead_keys_are_found(tmp_path: Path) -> None:
    part, leaf = tmp_path / 'part.py', tmp_path / 'leaf.py'
    part.write_text('terms = dict()\nalpha = 1\nbeta = 2')
    leaf.write_text(
        "_base_ = ['part.py']\nmodel = dict(terms=_base_.terms, x=_base_.beta)\n"
        'optimizer_config = dict(grad_clip=None)'
    )
    assert dead_keys(leaf) == {'alpha', 'optimizer_config'}


@each_upstream_leaf
def test_name_says_what_it_is(file: Path) -> None:
    def words(text: str) -> set[str]:
        return set(re.findall('[a-z0-9]+', text))

    _, *before = file.stem.split('_')
    before, student = before[:-3], before[-3:]  # the model, the schedule, the data
    assert words('_'.join(student)) <= words(bases(file)[0])
    if has_teacher(file):
        (teacher,) = before
        assert words(teacher) <= words(read(file).model.teacher)
    else:
        assert len(before) <= 1  # a variant


@each_upstream_leaf
def test_recipe_is_upstreams(file: Path) -> None:
    ours, theirs = plain(read(file)), plain(read_config(upstream(file)))
    for key, value in plain(read(RUNTIME)).items():
        assert key not in theirs and ours.pop(key) == value
    model, student = ours.pop('model'), theirs.pop('model')
    if 'of' in model['student']:  # letKD's layers, beside what upstream has
        model['student']['type'] = model['student'].pop('of')
        assert model['student'].pop('layers') == ours['student']['layers']
    if file.parent.name == 'cwt' and kind_of(student) in ('one_stage', 'two_stage'):
        theirs['optim_wrapper'].update(CLIPPED)
    if file.parent.name == 'frskd' and 'cifar100' in file.stem:
        theirs['optim_wrapper']['optimizer'].update(FRSKD_CIFAR[0])
        theirs['param_scheduler'].update(FRSKD_CIFAR[1])
    for key in read(fragment_of(file)):
        del ours[key]
    assert ours == theirs
    if bases(file)[0] == upstream(file):
        assert model['student'] == student
    if not has_teacher(file):
        return
    teacher = plain(model_config(model['teacher']))
    assert teacher['backbone'] != model['student']['backbone']


@each_own_leaf
def test_recipe_is_our_students(file: Path) -> None:
    recipe = own_student(file)
    ours, theirs = plain(read(file)), plain(read(recipe))
    assert file.stem.endswith(f'_{recipe.stem}')
    for key in (*read(fragment_of(file)), *read(RUNTIME)):
        assert key not in theirs
        del ours[key]
    model, student = ours.pop('model'), theirs.pop('model')
    if file.parent.name == 'cwt':
        theirs['optim_wrapper']['clip_grad'] = dict(max_norm=5)
    if file.parent.name == 'letkd':
        theirs['optim_wrapper']['optimizer']['nesterov'] = True
        model['student'].update(type=model['student'].pop('of'))
        layers = model['student'].pop('layers')
        classes = student['head']['num_classes']
        assert layers['intermediate']['templates'] == 8 * classes
    if file.parent.name == 'kd':
        labels = 0.5 if 'in1k' in file.stem else 0.1
        student['head']['loss'] = dict(type='CrossEntropyLoss', loss_weight=labels)
    assert ours == theirs and model['student'] == student
    if has_teacher(file):
        teacher = plain(model_config(model['teacher']))
        assert teacher['backbone'] != student['backbone']
        assert teacher['head']['num_classes'] == student['head']['num_classes']
        name = Path(model['teacher'].rpartition('::')[2]).stem.split('_')[0]
        assert name == file.stem.split('_')[1]


def test_frskd_reads_the_wrn_as_its_authors_do() -> None:
    """Their self-teacher for it, counted in their code, has as many parameters."""
    config = small(CONFIGS / 'frskd' / 'frskd_wrn-16-2_1xb128_cifar100.py')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        distiller = MODELS.build(config.model)
    assert sum(p.numel() for p in distiller.teacher.parameters()) == 411885


@each_upstream_leaf
def test_checkpoint_is_the_teachers(file: Path) -> None:
    """Nothing is fetched: the address is compared with the package's metafile."""
    if not has_teacher(file):
        pytest.skip('it has no checkpoint')
    model = read(file).model
    config = Path(read_config(model.teacher).filename)
    (metafile,) = config.parent.glob('metafile.y*ml')
    listed = load(metafile)['Models']
    entry = next(entry for entry in listed if entry['Config'].endswith(config.name))
    # Their hosts differ between the two stacks.
    assert urlparse(model.teacher_ckpt).path == urlparse(entry['Weights']).path


def test_cifar100_student() -> None:
    file = CONFIGS / '_base_' / 'students' / 'resnet18_8xb16_cifar100.py'
    ours = plain(read(file).model)
    theirs = plain(read_config('mmpretrain::resnet/resnet18_8xb16_cifar10.py').model)
    theirs['head']['num_classes'] = 100
    assert ours == theirs


@each_fragment
def test_fragment(file: Path) -> None:
    fragment = Config.fromfile(file)
    assert 'terms' in fragment and set(fragment) <= {'terms', 'distiller', 'student'}
    assert file.stem.endswith(tuple(f'_{kind}' for kind in KINDS))
    for key, config in fragment.terms.items():
        check_arguments(key, config, Term, given=('name',))
        assert (config.weight == 0) == (key in OFF)
        assert MODELS.get(config.loss.type) is not None
        Term(key, **config)


def test_every_part_is_used() -> None:
    used = {base.resolve() for file in LEAVES for base in own_bases(file)}
    configs = [read(file).model for file in LEAVES if has_teacher(file)]
    used |= {Path(model.teacher).resolve() for model in configs}
    parts = {*STUDENTS, RUNTIME}  # a fragment may be there for --method alone
    assert parts <= used
    ours = {part for part in used - parts if CONFIGS in part.parents}
    assert all(part.relative_to(CONFIGS).parts[0] == '_base_' for part in ours)
    assert {file.parent.name for file in LEAVES} == set(list_methods())


@each_upstream_leaf
def test_method_option_finds_the_fragment(file: Path) -> None:
    student = read_config(upstream(file)).model
    found = read_method(file.parent.name, student)
    assert found.terms == read(fragment_of(file)).terms


def test_runtime() -> None:
    hooks = [hook['type'] for hook in Config.fromfile(RUNTIME).custom_hooks]
    assert 'mmkd.ExportStudent' in hooks
    assert all(HOOKS.get(hook) for hook in hooks)


def test_mixed_into_an_own_config(tmp_path: Path) -> None:
    own, mixed = tmp_path / 'own.py', tmp_path / 'mixed.py'
    own.write_text(
        "_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'\n"
        "custom_hooks = [dict(type='EmptyCacheHook')]"
    )
    method = CONFIGS / '_base_' / 'methods' / 'cwt_one_stage.py'
    mixed.write_text(
        f"_base_ = ['own.py', '{method}']\n"
        "custom_imports = dict(imports=['mmkd'], allow_failed_imports=False)\n"
        "custom_hooks = [*_base_.custom_hooks, dict(type='mmkd.ExportStudent')]\n"
        "kd = dict(type='mmkd.BinaryKD')\n"
        'model = dict(_delete_=True, student=_base_.model, terms=dict(\n'
        "    _base_.terms, loss_kd=dict(student='bbox_head[0]', loss=kd)))"
    )
    config = Config.fromfile(mixed)
    assert [hook.type for hook in config.custom_hooks] == [
        'EmptyCacheHook',
        'mmkd.ExportStudent',
    ]
    assert set(config.model.terms) == {'loss_cwt', 'loss_kd'}
    assert config.model.student.type == 'RetinaNet'


def small(file: Path) -> Config:
    """The config, without downloads and with few proposals."""
    config = Config.fromfile(file)
    model, student = config.model, config.model.student
    if has_teacher(file):
        model.teacher_ckpt = 'random'
    for term in model.terms.values():
        term.pop('schedule', None)
        if 'codebook' in term.loss:
            term.loss.codebook = 'random'
        if 'recipe' in term.loss:
            term.loss.recipe = 'random'
        term.weight = term.weight or 1.0  # those that are off are tried as well
    student.backbone.init_cfg = None
    student.pop('pretrained', None)
    if config.default_scope == 'mmseg':
        student.data_preprocessor.size = (64, 64)
    if 'rpn_head' in student:
        few = dict(nms_pre=50, max_per_img=20)
        student.train_cfg.rpn_proposal.update(few)
        student.train_cfg.rcnn.sampler.num = 16
        student.test_cfg.rpn.update(few)
    if config.get('data_preprocessor') is not None:  # as the Runner does
        model.setdefault('data_preprocessor', config.data_preprocessor)
    return config


def batch(config: Config) -> dict[str, Any]:
    """Two images and what is known of them."""
    kind = kind_of(config.model.student)
    if kind in ('one_stage', 'two_stage'):
        from mmdet.testing import demo_mm_inputs

        return demo_mm_inputs(2, [[3, 96, 96]] * 2, num_items=[3, 2], with_mask=True)
    data = zoo.batch('pspnet' if kind == 'seg' else kind)
    if re.search('_(in1k|cub200|mit67|dogs|stanford40).py', config.filename):
        # so that maps are not 1 x 1
        data['inputs'] = [image.repeat(1, 2, 2) for image in data['inputs']]
    return data


@pytest.mark.slow
@each_leaf
def test_one_step(file: Path) -> None:
    config = small(file)
    with DefaultScope.overwrite_default_scope(config.default_scope):
        distiller = MODELS.build(config.model)
        distiller.init_weights()
        optimizer = build_optim_wrapper(distiller, config.optim_wrapper)
    student, teacher, terms = distiller.student, distiller.teacher, distiller.terms
    for part in getattr(distiller, 'inherit', ()):
        pairs = zip(*(getattr(x, part).parameters() for x in (student, teacher)))
        assert all(torch.equal(s, t) for s, t in pairs)

    distiller.train()
    inputs = distiller.data_preprocessor(batch(config), True)
    losses = distiller(**inputs, mode='loss')
    raw = [losses[term.raw_name] for term in terms.values()]
    assert all(value.isfinite() and value > 0 for value in raw), raw

    # First what the terms ask for, alone; then the rest.
    total, _ = distiller.parse_losses(losses)
    learned = sum(losses[name] for name in terms)
    learned.backward(retain_graph=True)
    assert any(p.grad is not None and p.grad.any() for p in student.parameters())
    assert all(p.grad is not None and p.grad.any() for p in terms.parameters())
    (total - learned).backward()
    before = [p.detach().clone() for p in student.parameters()]
    optimizer.step()
    after = list(student.parameters())
    assert all(p.isfinite().all() for p in after)
    assert any(not torch.equal(old, new) for old, new in zip(before, after))
    if has_teacher(file):
        assert all(p.grad is None for p in teacher.parameters())
        assert not teacher.training
    else:
        assert all(p.grad is not None for p in teacher.parameters())

    distiller.eval()
    with torch.no_grad():
        assert len(distiller.test_step(batch(config))) == 2
