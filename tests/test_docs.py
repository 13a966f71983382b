"""What CONTRIBUTING.md and the README show works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import zoo
from mmengine.config import Config

import mmkd.losses

ROOT = Path(__file__).parent.parent


def blocks(file: str) -> list[str]:
    return re.findall(r'```python\n(.*?)```', (ROOT / file).read_text(), re.S)


def block(file: str, words: str) -> str:
    return next(code for code in blocks(file) if words in code)


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
