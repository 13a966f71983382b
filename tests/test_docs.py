"""What CONTRIBUTING.md and the README show works as it stands there."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest
import torch
import zoo
from mmengine.config import Config

import mmkd.losses
from mmkd.registry import MODELS

ROOT = Path(__file__).parent.parent


def blocks(file: str) -> list[str]:
    return re.findall(r'```python\n(.*?)```', (ROOT / file).read_text(), re.S)


def block(file: str, words: str) -> str:
    return next(code for code in blocks(file) if words in code)


@pytest.fixture
def sp_loss(monkeypatch: pytest.MonkeyPatch):
    """The example's file, imported as it would be."""
    module = types.ModuleType('mmkd.losses.sp')
    exec(block('CONTRIBUTING.md', 'class SP'), module.__dict__)
    monkeypatch.setitem(sys.modules, 'mmkd.losses.sp', module)
    yield module.SP()
    MODELS.module_dict.pop('SP')


def test_the_example_of_a_method(sp_loss, tmp_path: Path):
    x = torch.randn(2, 3, 4, 4)
    assert sp_loss(x, 2 * x) < 1e-12  # a factor does not matter
    fragment = tmp_path / 'sp_cls.py'
    fragment.write_text(block('CONTRIBUTING.md', 'loss_sp='))
    terms = Config.fromfile(str(fragment)).terms
    distiller = zoo.distiller('cls', terms=terms).train()
    log = distiller.train_step(zoo.batch('cls'), zoo.optimizer(distiller))
    assert torch.allclose(log['loss_sp'], 3000 * log['raw_sp'])


def test_the_readmes_config_is_the_one_that_ships():
    shown = Config.fromstring(
        re.sub(r'_base_ = \[.*?\]\n', '', block('README.md', '_base_ = ['), flags=re.S)
        .replace('_base_.model', "'student'")
        .replace('_base_.terms', "'terms'"),
        '.py',
    )
    ships = Config.fromfile(str(ROOT / 'configs/kd/kd_resnet34_resnet18_8xb32_in1k.py'))
    for key in ('type', 'teacher', 'teacher_ckpt'):
        assert shown.model[key] == ships.model[key]


def test_the_readmes_term_works():
    namespace: dict = {}
    exec(block('README.md', 'loss_cwt=dict('), namespace)
    term = namespace['terms']['loss_cwt']
    mmkd.losses.MSE(**{k: v for k, v in term['loss'].items() if k != 'type'})
    zoo.distiller('cls', terms=namespace['terms'])


def test_every_file_of_the_package_is_in_the_readmes_tree():
    tree = (ROOT / 'README.md').read_text()
    for file in (ROOT / 'mmkd').glob('*.py'):
        assert file.name == '__init__.py' or f'  {file.name} ' in tree, file.name
    for file in (ROOT / 'mmkd').glob('*/__init__.py'):
        assert f'  {file.parent.name}/ ' in tree, file.parent.name
