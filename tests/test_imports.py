"""Who may import whom: the rules that keep losses free of layers and tasks thin."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / 'mmkd'
MM = {'mmpretrain', 'mmdet', 'mmseg', 'mmcv'}
PARTS = {'arguments', 'loss', 'regions', 'registry', 'targets'}
ADAPTER = {'paths', 'recorder', 'registry', 'targets', 'tasks.base'}

# file or folder -> what of mmkd it may import; and what of the mm packages
RULES: dict[str, tuple[set[str], set[str]]] = {
    'arguments.py': (set(), set()),
    'registry.py': ({'arguments'}, set()),
    'targets.py': (set(), set()),
    'paths.py': (set(), set()),
    'recorder.py': ({'paths'}, set()),
    'prelude.py': ({'arguments', 'targets'}, set()),
    'loss.py': (
        {'arguments', 'paths', 'prelude', 'targets', 'teacher.frozen'},
        set(),
    ),
    'side.py': ({'arguments', 'loss', 'paths', 'recorder', 'registry'}, set()),
    'class_masks.py': (set(), set()),
    'regions.py': ({'class_masks', 'targets'}, set()),
    'schedule.py': ({'arguments'}, set()),
    'randomness.py': (set(), set()),
    'rehearsal.py': ({'randomness'}, set()),
    'fingerprint.py': (set(), set()),
    'finite.py': ({'checkpoints.broken'}, set()),
    'checkpoints/broken.py': (set(), set()),
    'checkpoints/download.py': (set(), set()),
    'checkpoints/unpickle.py': (set(), set()),
    'checkpoints/whole.py': (set(), set()),
    'checkpoints/read.py': (
        {'checkpoints.download', 'checkpoints.unpickle', 'checkpoints.whole'},
        set(),
    ),
    'checkpoints/for_mmengine.py': (
        {'checkpoints.read', 'checkpoints.unpickle'},
        set(),
    ),
    'checkpoints/report.py': (set(), set()),
    'checkpoints/load.py': (
        {'checkpoints.broken', 'checkpoints.read', 'checkpoints.report'},
        set(),
    ),
    'teacher/frozen.py': (set(), set()),
    'teacher/renormalize.py': (set(), set()),
    'teacher/fold.py': (set(), set()),
    'teacher/compiled.py': (set(), set()),
    'teacher/cheap.py': ({'arguments', 'teacher.compiled', 'teacher.fold'}, set()),
    'teacher/given.py': ({'arguments', 'teacher.cheap'}, set()),
    'losses/functional.py': (set(), set()),
    'codebook/file.py': ({'checkpoints.read'}, set()),
    'codebook': (
        {'checkpoints.read', 'checkpoints.whole', 'codebook', 'regions'},
        set(),
    ),
    'losses': (
        PARTS | {'codebook', 'fingerprint', 'losses', 'paths', 'prelude'},
        set(),
    ),
    'connectors': (PARTS | {'connectors'}, set()),
    'backbones': ({'backbones', 'registry'}, set()),
    'networks/bifpn.py': ({'arguments'}, set()),
    'networks': (PARTS | {'networks', 'rehearsal'}, set()),
    'recording/arrays.py': (set(), set()),
    'recording/levels.py': ({'recording.arrays'}, set()),
    'recording/views.py': (set(), set()),
    'recording': (
        {
            'checkpoints.whole',
            'datasets.view_sampler',
            'datasets.views',
            'fingerprint',
            'recorder',
            'recording',
            'teacher.renormalize',
        },
        set(),
    ),
    'datasets': ({'datasets', 'randomness', 'registry'}, set()),
    'term.py': (
        {'arguments', 'loss', 'registry', 'schedule', 'side', 'targets'},
        set(),
    ),
    'terms.py': ({'arguments', 'side', 'term'}, set()),
    'build.py': ({'arguments', 'registry'}, set()),
    'mixin.py': ({'build'}, set()),
    'checks.py': ({'build', 'mixin'}, set()),
    'launch.py': ({'arguments', 'build', 'checks', 'mixin'}, set()),
    'processes.py': (set(), set()),
    'hooks': (
        {
            'arguments',
            'build',
            'checkpoints.broken',
            'checkpoints.read',
            'checkpoints.whole',
            'datasets.views',
            'hooks',
            'prelude',
            'randomness',
            'registry',
            'rehearsal',
        },
        set(),
    ),
    'distillers/step.py': ({'finite', 'recorder', 'schedule', 'side', 'term'}, set()),
    'distillers': (
        {
            'arguments',
            'build',
            'checkpoints.load',
            'distillers',
            'finite',
            'loss',
            'paths',
            'randomness',
            'recorder',
            'recording.origin',
            'recording.reader',
            'registry',
            'rehearsal',
            'side',
            'teacher',
            'term',
            'terms',
        },
        set(),
    ),
    'report': (
        {
            'build',
            'checkpoints.load',
            'launch',
            'mixin',
            'paths',
            'randomness',
            'recorder',
            'rehearsal',
            'report',
            'schedule',
        },
        set(),
    ),
    'tasks/base.py': (
        {'paths', 'recorder', 'registry', 'targets', 'tasks.stages'},
        set(),
    ),
    'tasks/stages.py': ({'paths'}, set()),
    'tasks/cls.py': (ADAPTER, {'mmpretrain'}),
    'tasks/det.py': (ADAPTER, {'mmdet'}),
    'tasks/seg.py': (ADAPTER, {'mmseg'}),
    'yardstick/by_hand.py': (set(), set()),
    'yardstick/cheapest.py': (set(), set()),
    'yardstick/clock.py': (set(), set()),
    'yardstick/stand_ins.py': (set(), set()),
    'yardstick/words.py': (set(), set()),
    'yardstick/batches.py': (
        {'yardstick.pairs'},
        {'mmdet', 'mmpretrain', 'mmseg'},
    ),
    'yardstick/ranks.py': ({'', 'yardstick'}, set()),  # it imports mmkd as users do
    'yardstick': (
        {
            'build',
            'loss',
            'losses',
            'mixin',
            'registry',
            'report.measure',
            'targets',
            'yardstick',
        },
        set(),
    ),
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
            names = {module_of(str(node.module), alias.name) for alias in node.names}
            found += [(name, top) for name in sorted(names)]
    return found


def module_of(package: str, name: str) -> str:
    """'from a.b import c': the module is a.b.c, if there is one of ours, or a.b."""
    place = PACKAGE.parent.joinpath(*package.split('.'), name)
    return f'{package}.{name}' if place.with_suffix('.py').is_file() else package


def rule_of(file: Path) -> str:
    return str(file) if str(file) in RULES else file.parts[0]


@pytest.mark.parametrize('file', FILES, ids=str)
def test_rules(file: Path):
    if file == Path('__init__.py'):
        return
    own = ({file.parts[0]}, set())
    ours, theirs = own if file.name == '__init__.py' else RULES[rule_of(file)]
    for name, top in imports(file):
        package, _, rest = name.partition('.')
        if package in MM:
            assert package in theirs, f'{file} must not import {name}'
            assert not top, f'{file}: {name} must be imported where it is used'
        if package == 'mmkd':
            allowed = any(rest == part or rest.startswith(f'{part}.') for part in ours)
            assert allowed, f'{file} must not import {name}'


def test_every_file_has_a_rule():
    assert {rule_of(f) for f in FILES if f.name != '__init__.py'} == set(RULES)


ALIASES = ('Config', 'Features', 'Levels', 'Losses', 'Records', 'Shape')


@pytest.mark.parametrize('alias', ALIASES)
def test_a_type_has_its_name_in_one_file(alias: str):
    makers = [
        str(file)
        for file in FILES
        for node in ast.parse((PACKAGE / file).read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == alias
    ]
    assert len(makers) == 1, f'{alias} is defined in {makers}'


def room_of(module: str) -> str:
    """The folder or top-level file of mmkd/ that a module is in; '' is mmkd itself."""
    return module.partition('.')[2].partition('.')[0]


def test_no_two_rooms_import_each_other():
    """Not inside functions either."""
    doors = {
        (file.with_suffix('').parts[0], room_of(name))
        for file in FILES
        for name, _ in imports(file)
        if name.startswith('mmkd.')
    }
    both = {(one, other) for one, other in doors if one != other}
    both &= {(other, one) for one, other in both}
    assert not both


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
    'tool', sorted(f.name for f in TOOLS.glob('[a-z]*.py') if f.name != 'report.py')
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
