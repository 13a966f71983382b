"""Every config: reads, keeps its student's recipe, builds, learns and predicts."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
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
from shipped import (
    CONFIGS,
    FRAGMENTS,
    LEAVES,
    RUNTIME,
    STUDENTS,
    bases,
    has_teacher,
    offline,
    own_bases,
    plain,
    read,
    upstream,
    without_numbers,
)

from mmkd.arguments import check_arguments
from mmkd.build import model_config, read_config
from mmkd.mixin import KINDS, describe, distill, kind_of, list_methods, read_method
from mmkd.registry import HOOKS, MODELS
from mmkd.term import Term

each_leaf = pytest.mark.parametrize('file', LEAVES, ids=lambda file: file.stem)
each_upstream_leaf = pytest.mark.parametrize(
    'file', [file for file in LEAVES if upstream(file)], ids=lambda file: file.stem
)
each_own_leaf = pytest.mark.parametrize(
    'file', [file for file in LEAVES if not upstream(file)], ids=lambda file: file.stem
)
# Terms that a fragment offers but leaves off.
OFF = {'loss_logits'}
FORMS = [
    (file.stem, kind) for file in FRAGMENTS for kind in KINDS if kind in read(file)
]
# What may stand beside the kinds; other names at a fragment's top are used in it.
ABOUT = {'method', 'pairs'}


# -- the form --------------------------------------------------------------------------


def assigned(file: Path) -> set[str]:
    """Names that a config gives a value."""
    targets = [
        target
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.Assign)
        for target in node.targets
    ]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def dead_keys(file: Path) -> set[str]:
    """Top-level keys of a leaf and of its bases that nobody reads."""
    parts = [part for part in own_bases(file) if part not in FRAGMENTS]
    keys = set().union(*map(assigned, (file, *parts)))
    used = {
        node.attr
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == '_base_'
    }
    runner = set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'}
    return keys - used - runner - {'_base_', 'custom_imports'}


@each_leaf
def test_form(file: Path) -> None:
    assert len([line for line in file.read_text().splitlines() if line.strip()]) <= 26
    method = file.parent.name
    assert file.name.startswith(f'{method}_')
    recipe, *parts = own_bases(file) if not upstream(file) else [None, *own_bases(file)]
    parts = [part for part in parts if part not in STUDENTS]
    assert parts == [CONFIGS / '_base_' / 'methods' / f'{method}.py', RUNTIME]
    assert recipe is None or recipe in STUDENTS
    assert not dead_keys(file)


def test_dead_keys_are_found(tmp_path: Path) -> None:
    part, leaf = tmp_path / 'part.py', tmp_path / 'leaf.py'
    part.write_text('terms = dict()\nalpha = 1\nbeta = 2')
    leaf.write_text(
        "_base_ = ['part.py']\nmodel = dict(terms=_base_.terms, x=_base_.beta)\n"
        'optimizer_config = dict(grad_clip=None)'
    )
    assert dead_keys(leaf) == {'alpha', 'optimizer_config'}


@each_leaf
def test_name_says_what_it_is(file: Path) -> None:
    def words(text: str) -> set[str]:
        return set(re.findall('[a-z0-9]+', text))

    _, *before = file.stem.split('_')
    before, student = before[:-3], before[-3:]  # the model, the schedule, the data
    recipe = bases(file)[0]
    if '::' in recipe:
        assert words('_'.join(student)) <= words(recipe)
    else:
        assert '_'.join(student) == Path(recipe).stem
    if has_teacher(file):
        teacher = before.pop()
        assert words(teacher) <= words(
            read(file).model.teacher.rpartition('/_base_/')[2]
        )
    assert len(before) <= 1  # a variant


def test_every_part_is_used() -> None:
    used = {base for file in LEAVES for base in own_bases(file)}
    configs = [read(file).model for file in LEAVES if has_teacher(file)]
    used |= {Path(model.teacher).resolve() for model in configs}
    shown = ' '.join(file.read_text() for file in CONFIGS.glob('*/README.md'))
    for part in STUDENTS:  # or in a command that a README shows
        assert part in used or part.stem in shown, part
    ours = {part for part in used if CONFIGS in part.parents}
    assert all(part.relative_to(CONFIGS).parts[0] == '_base_' for part in ours)
    assert {file.parent.name for file in LEAVES} <= set(list_methods())
    named = {
        (file.parent / base).resolve()
        for file in (*STUDENTS, *LEAVES, *CONFIGS.glob('_base_/*/*.py'))
        for base in bases(file)
        if '::' not in base
    }
    for folder in ('datasets', 'models', 'schedules'):
        assert set((CONFIGS / '_base_' / folder).glob('*.py')) <= named


# -- the recipe ------------------------------------------------------------------------


def as_stated(file: Path, theirs: dict[str, Any]) -> dict[str, Any]:
    """A student's recipe with what a leaf says that it changes of it."""
    method, kind = file.parent.name, kind_of(theirs['model'])
    wrapper = theirs['optim_wrapper']
    if method == 'cwt' and kind in ('one_stage', 'two_stage'):
        wrapper['clip_grad'] = dict(max_norm=35, norm_type=2)
    if method == 'cwt' and 'mobilenet-v1' in file.stem:
        wrapper['clip_grad'] = dict(max_norm=5)
    if method == 'letkd':
        wrapper['optimizer']['nesterov'] = True
        if 'cifar100' in file.stem:
            loader = theirs['train_dataloader']
            loader['drop_last'] = True
            loader['dataset']['pipeline'][0]['padding_mode'] = 'reflect'
    return theirs


def student_of(file: Path) -> dict[str, Any]:
    """The student as its recipe has it, without what the method adds to it."""
    student = plain(read(file).model.student)
    if 'of' in student:  # letKD's layers
        student['type'] = student.pop('of')
        del student['layers']
    if any(name in file.stem for name in ('mixup', 'cutmix')):
        del student['train_cfg'], student['head']['loss']
    return student


@each_leaf
def test_recipe_is_the_students(file: Path) -> None:
    first = bases(file)[0]
    recipe = first if '::' in first else own_bases(file)[0]
    theirs = as_stated(file, plain(read_config(recipe)))
    ours, student = plain(read(file)), theirs.pop('model')
    del ours['model']
    for key, value in plain(read(RUNTIME)).items():
        assert key not in theirs and ours.pop(key) == value
    for key in read(CONFIGS / '_base_' / 'methods' / f'{file.parent.name}.py'):
        assert key not in theirs
        del ours[key]
    assert ours == theirs
    assert student_of(file) == student


@each_leaf
def test_teacher(file: Path) -> None:
    model = read(file).model
    if not has_teacher(file):
        assert model.type == 'mmkd.SelfDistiller'
        return
    teacher, student = plain(model_config(model.teacher)), student_of(file)
    assert teacher['backbone'] != student['backbone']
    kinds = {kind_of(teacher), kind_of(student)}
    assert len(kinds) == 1
    if kinds == {'cls'}:
        classes = [x['head']['num_classes'] for x in (teacher, student)]
        assert classes[0] == classes[1]
    codebooks = {term.loss.get('codebook') for term in model.terms.values()} - {None}
    assert len(codebooks) == (file.parent.name == 'letkd')
    for codebook in codebooks:
        name, data = Path(codebook).stem.removesuffix('_half').rsplit('_', 1)
        assert file.stem.split('_')[-4:-3] == [name] and file.stem.endswith(data)


def addresses() -> dict[str, str]:
    """The teachers that configs/README.md lists, and their checkpoints."""
    text = (CONFIGS / 'README.md').read_text()
    return dict(re.findall(r'^\| `(\w+::\S+)` \| `(https?://\S+)` \|', text, re.M))


@pytest.mark.parametrize('config', addresses())
def test_checkpoint_is_the_teachers(config: str) -> None:
    """Nothing is fetched: the address is compared with the package's metafile."""
    file = Path(read(config).filename)
    (metafile,) = file.parent.glob('metafile.y*ml')
    listed = load(metafile)['Models']
    entry = next(entry for entry in listed if entry['Config'].endswith(file.name))
    # Their hosts differ between the two stacks.
    assert urlparse(addresses()[config]).path == urlparse(entry['Weights']).path


def test_leaves_have_the_listed_checkpoints() -> None:
    listed, used = addresses(), set()
    assert len(listed) > 5
    for model in (read(file).model for file in LEAVES if has_teacher(file)):
        if '::' in model.teacher:
            used.add(model.teacher)
            assert listed[model.teacher] == model.teacher_ckpt
        else:
            assert model.teacher_ckpt.startswith('checkpoints/')
    assert used <= set(listed)


def test_cifar100_student() -> None:
    (file,) = (f for f in STUDENTS if f.stem == 'resnet18_8xb16_cifar100')
    ours = plain(read(file).model)
    theirs = plain(read('mmpretrain::resnet/resnet18_8xb16_cifar10.py').model)
    theirs['head']['num_classes'] = 100
    assert ours == theirs


# -- the fragments ---------------------------------------------------------------------


@pytest.mark.parametrize('file', FRAGMENTS, ids=lambda file: file.stem)
def test_a_fragment_has_what_it_names(file: Path) -> None:
    """tests/test_methods.py looks at the rest of what it says of the method."""
    about = describe(file.stem)
    told = about.get('reconstruction', {})
    kinds = [*about.get('extension', ()), *(told if isinstance(told, dict) else ())]
    assert set(kinds) <= set(about['kinds'])
    names = (
        n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Name)
    )
    used = {name.id for name in names if isinstance(name.ctx, ast.Load)}
    assert assigned(file) - {*KINDS, *ABOUT} <= used


@pytest.mark.parametrize(('method', 'kind'), FORMS)
def test_form_of_a_method(method: str, kind: str) -> None:
    part = read_method(method, [kind])
    distiller = MODELS.get(part['type'])
    given = ('student', 'teacher')
    check_arguments(
        f'{method}.{kind}',
        {key: part[key] for key in part if key not in ('type', 'hooks', *given)},
        distiller,
        given=given,
    )
    for key, config in part['terms'].items():
        check_arguments(key, config, Term, given=('name',))
        assert (config.get('weight', 1.0) == 0) == (key in OFF)
        Term(key, **config)
    for name in part.get('hooks', ()):
        assert HOOKS.get(name['type'])


def pairs() -> Iterator[tuple[str, str]]:
    for file in FRAGMENTS:
        yield from ((file.stem, pair) for pair in read(file).get('pairs', {}))


@pytest.mark.parametrize(('method', 'pair'), pairs())
def test_numbers_of_a_pair(method: str, pair: str) -> None:
    """They change what is there: no new terms, and nothing that nobody reads."""
    for kind in (kind for name, kind in FORMS if name == method):
        usual, tuned = (read_method(method, [kind], name) for name in (None, pair))
        assert set(tuned['terms']) == set(usual['terms'])
        for key, config in tuned['terms'].items():
            Term(key, **config)
    assert pair.count('_') == 1, 'teacher_student, as files of configs are called'


@pytest.mark.parametrize(
    'file',
    [file for file in LEAVES if '_base_.' not in file.read_text().split('model = ')[0]],
    ids=lambda file: file.stem,
)
def test_method_option_makes_the_leaf(file: Path) -> None:
    """Of a leaf that changes nothing of its method: one command does it, too."""
    first = bases(file)[0]
    recipe = read_config(first if '::' in first else own_bases(file)[0])
    model = read(file).model
    teacher = (model.teacher, model.teacher_ckpt) if has_teacher(file) else ()
    made, ours = plain(distill(recipe, file.parent.name, *teacher).model), plain(model)
    for found in (made, ours):
        del found['student']  # see test_recipe_is_the_students
        if teacher:
            found['teacher'] = plain(model_config(found['teacher']))
    ours.pop('inherit', None)
    assert ours == made


def test_runtime() -> None:
    hooks = [hook['type'] for hook in read(RUNTIME).custom_hooks]
    assert 'mmkd.ExportStudent' in hooks
    assert all(HOOKS.get(hook) for hook in hooks)


MIXED = """\
_base_ = ['own.py', '{methods}/cwt.py']
custom_imports = dict(imports=['mmkd'], allow_failed_imports=False)
custom_hooks = [*_base_.custom_hooks, dict(type='mmkd.ExportStudent')]
kd = dict(type='mmkd.BinaryKD')
model = dict(
    _base_.one_stage,
    _delete_=True,
    student=_base_.model,
    terms=dict(_base_.one_stage.terms, loss_kd=dict(student='<logits>', loss=kd)),
)
"""


def test_mixed_into_an_own_config(tmp_path: Path) -> None:
    own, mixed = tmp_path / 'own.py', tmp_path / 'mixed.py'
    own.write_text(
        "_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'\n"
        "custom_hooks = [dict(type='EmptyCacheHook')]"
    )
    mixed.write_text(MIXED.format(methods=CONFIGS / '_base_' / 'methods'))
    config = Config.fromfile(mixed)
    assert [hook.type for hook in config.custom_hooks] == [
        'EmptyCacheHook',
        'mmkd.ExportStudent',
    ]
    assert set(config.model.terms) == {'loss_cwt', 'loss_kd'}
    assert config.model.type == 'mmkd.Distiller'
    assert config.model.student.type == 'RetinaNet'


# -- models ----------------------------------------------------------------------------

# Their shapes are found with numbers: regions, deformable convolutions, SAKD's branch.
WITH_NUMBERS = ('kd_faster-rcnn', 'cwt_cascade-mask-x101-dcn', 'sakd_')


@each_leaf
def test_builds(file: Path) -> None:
    """In full size, but without numbers; with them: see test_one_step."""
    if file.stem.startswith(WITH_NUMBERS):
        pytest.skip('it needs numbers')
    config = offline(file)
    with without_numbers(), DefaultScope.overwrite_default_scope(config.default_scope):
        distiller = MODELS.build(config.model)
    assert set(distiller.terms) == set(config.model.terms)
    if 'wrn-16-2_1xb128_cifar100' in file.stem:  # as counted in the authors' code
        assert sum(p.numel() for p in distiller.teacher.parameters()) == 411885


def shape(file: Path) -> tuple[Any, ...]:
    """What tells which code a leaf's step runs through."""
    model = read(file).model
    student = model.student
    return (
        file.parent.name,
        kind_of(student),
        student.get('of', student.type),
        student.backbone.type,
        student.get('neck', {}).get('type'),
        None if has_teacher(file) else model.teacher.type,
        tuple(term.loss.type for term in model.terms.values()),
        str(student.get('train_cfg', {}).get('augments')),
    )


# One of each shape.
SHAPES = list({shape(file): file for file in reversed(LEAVES)}.values())[::-1]
SMALLER = {101: 50, 110: 20, 56: 20, 32: 14, 40: 16}


def small(file: Path) -> Config:
    """A leaf with shallow networks, where they are of the same blocks and widths."""
    config = offline(file)
    model, student = config.model, config.model.student
    if has_teacher(file):
        model.teacher = Config(model_config(model.teacher))._cfg_dict
        model.teacher.backbone.init_cfg = None
        model.teacher.pop('pretrained', None)
    for network in (student, model.teacher) if has_teacher(file) else (student,):
        depth = network.backbone.get('depth')
        if depth is not None and 'inherit' not in model:
            network.backbone.depth = SMALLER.get(depth, depth)
    if 'rpn_head' in student:
        few = dict(nms_pre=50, max_per_img=20)
        student.train_cfg.rpn_proposal.update(few)
        student.train_cfg.rcnn.sampler.num = 16
        student.test_cfg.rpn.update(few)
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
@pytest.mark.parametrize('file', SHAPES, ids=lambda file: file.stem)
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
