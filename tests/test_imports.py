"""Who may import whom: the rules that keep losses free of layers and tasks thin."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / 'mmkd'
MM = {'mmpretrain', 'mmdet', 'mmseg', 'mmcv'}
PARTS = {'arguments', 'registry', 'losses.functional', 'targets', 'regions'}

# file or folder -> what of mmkd it may import; and what of the mm packages
RULES: dict[str, tuple[set[str], set[str]]] = {
    'arguments.py': (set(), set()),
    'registry.py': ({'arguments'}, set()),
    'targets.py': (set(), set()),
    'recorder.py': (set(), set()),
    'regions.py': ({'targets'}, set()),
    'schedule.py': ({'arguments'}, set()),
    'renormalize.py': (set(), set()),
    'finite.py': (set(), set()),
    'checkpoint.py': ({'files', 'finite'}, set()),
    'files.py': (set(), set()),
    'losses/functional.py': (set(), set()),
    'codebook': ({'checkpoint', 'codebook', 'files', 'regions'}, set()),
    'losses': (PARTS | {'codebook', 'losses'}, set()),
    'connectors': (PARTS | {'connectors'}, set()),
    'networks': (PARTS | {'networks'}, set()),
    'cheap.py': ({'arguments'}, set()),
    'recording.py': (
        {'codebook', 'datasets', 'files', 'recorder', 'renormalize'},
        set(),
    ),
    'datasets': ({'build', 'registry', 'datasets'}, set()),
    'term.py': (
        {'arguments', 'recorder', 'registry', 'schedule', 'targets'},
        set(),
    ),
    'build.py': ({'arguments', 'registry'}, set()),
    'mixin.py': ({'build'}, set()),
    'launch.py': ({'arguments', 'build', 'mixin'}, set()),
    'hooks': (
        {
            'build',
            'checkpoint',
            'codebook',
            'datasets.views',
            'files',
            'finite',
            'hooks',
            'networks.letkd',
            'registry',
        },
        set(),
    ),
    'distillers': (
        {
            'arguments',
            'build',
            'cheap',
            'checkpoint',
            'finite',
            'recorder',
            'recording',
            'registry',
            'renormalize',
            'schedule',
            'term',
            'distillers',
        },
        set(),
    ),
    'report': (
        {
            'build',
            'checkpoint',
            'hooks.seed_iterations',
            'launch',
            'mixin',
            'recorder',
            'report',
            'schedule',
        },
        set(),
    ),
    'tasks/base.py': ({'recorder', 'registry', 'targets'}, set()),
    'tasks/cls.py': ({'recorder', 'registry', 'targets', 'tasks.base'}, {'mmpretrain'}),
    'tasks/det.py': ({'recorder', 'registry', 'targets', 'tasks.base'}, {'mmdet'}),
    'tasks/seg.py': ({'recorder', 'registry', 'targets', 'tasks.base'}, {'mmseg'}),
}
FILES = [file.relative_to(PACKAGE) for file in sorted(PACKAGE.rglob('*.py'))]


def imports(file: Path) -> list[tuple[str, bool]]:
    """Imported modules, and whether at the top of the file."""
    tree = ast.parse((PACKAGE / file).read_text())
    found = []
    for node in ast.walk(tree):
        top = node in tree.body
        if isinstance(node, ast.Import):
            found += [(alias.name, top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, 'absolute imports only'
            found.append((str(node.module), top))
    return found


@pytest.mark.parametrize('file', FILES, ids=str)
def test_rules(file: Path):
    if file.name == '__init__.py':
        return
    key = str(file) if str(file) in RULES else file.parts[0]
    ours, theirs = RULES[key]
    for name, top in imports(file):
        package, _, rest = name.partition('.')
        if package in MM:
            assert package in theirs, f'{file} must not import {name}'
            assert not top, f'{file}: {name} must be imported where it is used'
        if package == 'mmkd':
            allowed = any(rest == part or rest.startswith(f'{part}.') for part in ours)
            assert allowed, f'{file} must not import {name}'


def test_every_file_has_a_rule():
    names = {str(f) if str(f) in RULES else f.parts[0] for f in FILES}
    known = {*RULES, '__init__.py', 'tasks'}
    assert names <= known and set(RULES) <= names | {'tasks'}


def run_without(*packages: str, code: str) -> subprocess.CompletedProcess:
    """Run code in a process where importing these packages fails."""
    block = (
        'import sys\n'
        'class Block:\n'
        '    def find_spec(self, name, path=None, target=None):\n'
        f'        if name.partition(".")[0] in {set(packages)!r}:\n'
        '            raise ModuleNotFoundError(name)\n'
        'sys.meta_path.insert(0, Block())\n'
    )
    return subprocess.run(
        [sys.executable, '-c', block + code],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
    )


def test_import_needs_mmengine_alone():
    code = (
        'import mmkd, sys\n'
        "parts = 'losses connectors networks datasets distillers tasks hooks'\n"
        'for part in parts.split():\n'
        "    __import__('mmkd.' + part)\n"
        'print(sorted({m.partition(".")[0] for m in sys.modules} & '
        f'{MM | {"torchvision"}!r}))'
    )
    done = run_without('mmpretrain', 'mmdet', 'mmseg', 'mmcv', code=code)
    assert done.stdout.strip() == '[]', done.stderr


def test_classification_trains_without_mmdet_and_mmseg():
    code = (
        'import mmkd, zoo\n'
        "model = zoo.distiller('cls').train()\n"
        "log = model.train_step(zoo.batch('cls'), zoo.optimizer(model))\n"
        "print(float(log['raw_kd']) > 0)"
    )
    done = run_without('mmdet', 'mmseg', code=code)
    assert done.stdout.strip().endswith('True'), done.stderr


def test_without_mmengine_the_error_says_what_to_install():
    done = run_without('mmengine', code='import mmkd')
    assert "pip install 'mmkd[openmmlab]'" in done.stderr.strip().splitlines()[-1]


# What takes long to import, and training with mmengine does not import anyway.
HEAVY = MM | {'PIL', 'matplotlib', 'pandas', 'scipy', 'sklearn', 'torchvision'}
TOOLS = PACKAGE.parent / 'tools'


def test_importing_mmkd_adds_nothing_heavy():
    code = (
        'import sys\n'
        'import mmengine.hooks, mmengine.model, mmengine.runner\n'
        'before = set(sys.modules)\n'
        'import mmkd\n'
        'added = {m.partition(".")[0] for m in set(sys.modules) - before}\n'
        f'print(sorted(added & {HEAVY!r}), len(added))'
    )
    done = run_without(code=code)
    found, _, count = done.stdout.strip().rpartition(' ')
    assert found == '[]' and int(count) < 20, done.stdout + done.stderr


@pytest.mark.parametrize(
    'tool', sorted(f.name for f in TOOLS.glob('*.py') if f.name != 'report.py')
)
def test_help_needs_no_torch(tool: str):
    """So it is there at once; tools/report.py is ``python -m mmkd.report``."""
    code = (
        'import runpy, sys\n'
        f"sys.argv = [{tool!r}, '--help']\n"
        f"runpy.run_path({str(TOOLS / tool)!r}, run_name='__main__')"
    )
    done = run_without('torch', code=code)
    assert done.returncode == 0 and 'usage' in done.stdout, done.stderr
