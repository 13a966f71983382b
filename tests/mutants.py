r"""Break the code in small ways, one at a time: does a test notice?

    python tests/mutants.py --sample 150        # some, drawn with --seed
    python tests/mutants.py --modules term.py   # all of one module
    python tests/mutants.py --only count_classes  # does my new test notice?

A mutant is one module with one change: an operator of arithmetic, comparison or logic,
a negated condition, a number one up or down, a flipped bool, another string, ``None``
returned, a keyword argument, decorator or statement left out. The words of errors,
docstrings and annotations stay as they are. A mutant is killed if one test fails.

Everything but mmkd is imported once, and each mutant is a fork: it imports mmkd with
the change, and runs the tests that reach the changed line, fastest first, up to
``BUDGET`` seconds. Which these are is measured first, in one run of ``TESTS``; those
that fail without a mutant are left out. A stopped run goes on from its log; survivors
are tried again when tests changed.
"""

from __future__ import annotations

import argparse
import ast
import gc
import hashlib
import importlib
import importlib.machinery
import io
import json
import os
import random
import re
import resource
import signal
import sys
import time
import tokenize
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import coverage
import mmcv  # noqa: F401  (before the fork)
import mmdet  # noqa: F401
import mmengine  # noqa: F401
import mmpretrain  # noqa: F401
import mmseg  # noqa: F401
import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'mmkd'
FOLDER = ROOT / 'tests' / 'methods'
MODULES = ('losses', 'connectors', 'loss.py', 'paths.py', 'recorder.py', 'side.py')
MODULES += ('term.py', 'terms.py')
NAMES = 'recorder term terms own loss labels prelude connectors uniformize regions'
NAMES += ' numbers build_codebook'
TESTS = [f'tests/test_{name}.py' for name in NAMES.split()]
TESTS += [f'tests/methods/{file.name}' for file in sorted(FOLDER.glob('test_*'))]
BUDGET = 60.0  # CPU seconds of tests that one mutant may have
LONGEST = 3.0  # a test that takes longer is left out

# `# same: only speed` behind a statement, or alone before it, says that its mutants
# change nothing that a test could see, and why; `# same[keyword, 1 -> 0]: …` says it of
# these kinds and changes alone.
MARK = re.compile(r'# same(?:\[(.+?)\])?: \S')

SWAPS: dict[type, tuple[type, ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Div,),
    ast.Mod: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.MatMult: (ast.Mult,),
    ast.BitOr: (ast.BitAnd,),
    ast.BitAnd: (ast.BitOr,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.Break: (ast.Continue,),
    ast.Continue: (ast.Break,),
}
OPPOSITES = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
STATEMENTS = (ast.Expr, ast.AugAssign, ast.Delete, ast.Raise)
SCOPES = (ast.FunctionDef, ast.ClassDef)
LOG = ROOT / 'work_dirs' / 'mutants.jsonl'
OUT = object()  # in the place of a node: leave it out


# -- mutants ---------------------------------------------------------------------------


@dataclass
class Mutant:
    """One change of one module.

    Args:
        module: Path in the package.
        scope: The function or class it is in.
        lines: Of the statement.
        kind: Which operator.
        change: Only what is changed: '1 -> 0'; a keyword or decorator that goes.
        apply: Makes the change in the tree; returns what undoes it.
        loads: Whether the statement runs when the module is imported.
        name: What it is known by in the log: the statement, before and after.
    """

    module: str
    scope: str
    lines: range
    kind: str
    change: str
    apply: Callable[[], Callable[[], Any]]
    loads: bool
    name: str
    same: bool = False


@dataclass
class Source:
    """A module and its mutants."""

    module: str
    text: str
    tree: ast.Module
    mutants: list[Mutant] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)

    @property
    def digest(self) -> str:
        return hashlib.sha1(self.text.encode()).hexdigest()[:12]

    @classmethod
    def read(cls, path: Path) -> Source:
        text = path.read_text()
        source = cls(path.relative_to(PACKAGE).as_posix(), text, ast.parse(text))
        source.find(source.tree, [], None)
        seen: dict[str, int] = defaultdict(int)
        for mutant in source.mutants:
            seen[mutant.name] += 1
            if seen[mutant.name] > 1:
                mutant.name += f' #{seen[mutant.name]}'
        source.mark()
        return source

    def mark(self) -> None:
        """Read the marks; those of no mutant are ``unread``."""
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            found = MARK.match(token.string)
            if token.type != tokenize.COMMENT or found is None:
                continue
            line, column = token.start
            line += not self.text.splitlines()[line - 1][:column].strip()  # alone
            only = (found[1] or '').split(', ')
            for one in only:
                own = [
                    mutant
                    for mutant in self.mutants
                    if line in mutant.lines and one in ('', mutant.kind, mutant.change)
                ]
                for mutant in own:
                    mutant.same = True
                self.unread += [] if own else [token.start[0]]

    def find(self, node: ast.AST, scope: list[str], statement: Any) -> None:
        """Add the mutants of ``node`` and of what is in it."""
        if isinstance(node, ast.stmt):
            statement = node
        inner = [*scope, node.name] if isinstance(node, SCOPES) else scope
        for name, value in ast.iter_fields(node):
            if name in ('annotation', 'returns', 'msg', 'exc', 'cause'):
                continue
            for index, child in enumerate(
                value if isinstance(value, list) else [value]
            ):
                if not isinstance(child, ast.AST) or silent(child):
                    continue
                place = index if isinstance(value, list) else None
                own = child if isinstance(child, ast.stmt) else statement
                for kind, new in changes(child, name):
                    self.add(kind, (node, name, place, new), inner, own)
                self.find(child, inner, own)

    def add(
        self, kind: str, change: tuple[Any, ...], scope: list[str], statement: Any
    ) -> None:
        body = getattr(statement, 'body', None)
        first = min(
            [statement, *getattr(statement, 'decorator_list', [])],
            key=lambda node: node.lineno,
        ).lineno
        last = body[0].lineno - 1 if body else statement.end_lineno
        holder = self.holder(statement)
        before = headline(statement)
        undo = put(*change)
        replaced = isinstance(change[-1], ast.stmt)
        after = headline(change[-1] if replaced else statement)
        undo()
        module, name = self.module, '.'.join(scope) or 'module'
        self.mutants.append(
            Mutant(
                module,
                name,
                range(first, max(first, last) + 1),
                kind,
                changed(*change),
                lambda: put(*change),
                isinstance(holder, (ast.Module, ast.ClassDef))
                or isinstance(statement, SCOPES),
                f'{module} {name}: {shortened(before, after)}',
            )
        )

    def holder(self, statement: ast.stmt) -> ast.AST:
        """What the statement runs in: a function, a class or the module."""
        found: ast.AST = self.tree
        for node in ast.walk(self.tree):
            if isinstance(node, SCOPES) and node is not statement:
                inside = node.lineno <= statement.lineno <= (node.end_lineno or 0)
                if inside and getattr(node, 'lineno', 0) >= getattr(found, 'lineno', 0):
                    found = node
        return found


def silent(node: ast.AST) -> bool:
    """Docstrings, imports, ``__all__``, and what abstract methods raise."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0]) == '__all__'
    if isinstance(node, ast.Raise):
        return ast.unparse(node) == 'raise NotImplementedError'
    return isinstance(node, (ast.Import, ast.ImportFrom))


def changes(node: ast.AST, name: str) -> Iterator[tuple[str, Any]]:
    """What may stand in the place of a node, and what kind of change that is."""
    for other in SWAPS.get(type(node), ()):
        yield 'operator', located(other(), node)
    if isinstance(node, ast.Constant):
        yield from constants(node)
    if isinstance(node, ast.UnaryOp) and not isinstance(node.operand, ast.Constant):
        yield 'unary', node.operand
    if name in ('test', 'ifs') and not plain(node):
        yield 'condition', located(ast.UnaryOp(ast.Not(), node), node)
    if isinstance(node, ast.Return) and not is_none(node.value):
        yield 'return', located(ast.Return(ast.Constant(None)), node)
    if isinstance(node, STATEMENTS):
        yield 'statement', located(ast.Pass(), node)
    if isinstance(node, ast.keyword):
        yield 'keyword', OUT
    if name == 'decorator_list':
        yield 'decorator', OUT


def constants(node: ast.Constant) -> Iterator[tuple[str, Any]]:
    value = node.value
    if isinstance(value, bool):
        yield 'bool', located(ast.Constant(not value), node)
    elif isinstance(value, (int, float)):
        yield 'number', located(ast.Constant(value + 1), node)
        yield 'number', located(ast.Constant(value - 1), node)
    elif isinstance(value, str):
        yield 'string', located(ast.Constant(f'{value}XX'), node)


def plain(node: ast.AST) -> bool:
    """Whether another change negates this condition already."""
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not)
    return isinstance(node, ast.Compare) and isinstance(node.ops[0], OPPOSITES)


def is_none(node: ast.AST | None) -> bool:
    return node is None or (isinstance(node, ast.Constant) and node.value is None)


def changed(owner: Any, name: str, index: int | None, new: Any) -> str:
    """A change of a number, a word or the like, and of nothing around it."""
    old = getattr(owner, name) if index is None else getattr(owner, name)[index]
    if new is OUT:
        return old.arg or '**' if isinstance(old, ast.keyword) else ast.unparse(old)
    if isinstance(old, ast.Constant):
        return f'{ast.unparse(old)} -> {ast.unparse(new)}'
    return f'{type(old).__name__} -> {type(new).__name__}'


def located(new: ast.AST, old: ast.AST) -> ast.AST:
    return ast.fix_missing_locations(ast.copy_location(new, old))


def put(owner: Any, name: str, index: int | None, new: Any) -> Callable[[], Any]:
    """Put a node in its place, or leave it out; return what undoes that."""
    if index is None:
        old = getattr(owner, name)
        setattr(owner, name, new)
        return lambda: setattr(owner, name, old)
    items = getattr(owner, name)
    whole = list(items)
    items[index : index + 1] = [] if new is OUT else [new]
    return lambda: items.__setitem__(slice(None), whole)


def headline(statement: ast.AST) -> str:
    """A statement on one line; of a function or a block what comes before its body."""
    text = ast.unparse(statement)
    if not getattr(statement, 'body', None):
        return ' '.join(text.split())
    lines = text.splitlines()
    stop = next(i for i, line in enumerate(lines) if not line.startswith('@'))
    return ' '.join(lines[: stop + 1])


def shortened(before: str, after: str, around: int = 24, most: int = 90) -> str:
    """Before and after, of long ones only what is near the change."""
    if max(len(before), len(after)) <= most:
        return f'{before} -> {after}'
    start = len(os.path.commonprefix([before, after]))
    end = len(os.path.commonprefix([before[start:][::-1], after[start:][::-1]]))
    first = max(0, start - around)
    old, new = (
        text[first : max(start, len(text) - end) + around] for text in (before, after)
    )
    return f'…{old}… -> …{new}…'


# -- tests -----------------------------------------------------------------------------


@dataclass
class Reach:
    """Which tests reach which lines of a module, and how long each test takes."""

    lines: dict[str, dict[int, list[str]]]
    seconds: dict[str, float]
    imported: list[str]
    failed: list[str]

    def tests(self, mutant: Mutant) -> list[str]:
        """Those that reach a mutant, fastest first, as far as the budget goes."""
        lines = self.lines.get(mutant.module, {})
        found = {test for line in mutant.lines for test in lines.get(line, ())}
        if mutant.loads or '' in found:  # what is built then is used anywhere
            found = {test for tests in lines.values() for test in tests}
        chosen, total = [], 0.0
        for test in sorted(found & set(self.seconds), key=self.seconds.__getitem__):
            total += self.seconds[test]
            if self.seconds[test] > LONGEST or total > BUDGET:
                break
            chosen.append(test)
        return chosen


class Measure:
    """A plugin that notes which test runs which lines."""

    def __init__(self, files: list[Path]) -> None:
        self.coverage = coverage.Coverage(
            data_file=None, config_file=False, include=[str(file) for file in files]
        )
        self.files = files
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()
        self.coverage.start()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        for name, module in list(sys.modules.items()):  # what is kept hides who runs it
            if name.startswith('mmkd'):
                for value in list(vars(module).values()):
                    getattr(value, 'cache_clear', lambda: None)()
        self.coverage.switch_context(item.nodeid)
        start = time.process_time()
        yield
        if item.nodeid not in self.failed:
            self.seconds[item.nodeid] = time.process_time() - start
        self.coverage.switch_context('')

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self.failed.add(report.nodeid)

    def result(self) -> dict[str, Any]:
        self.coverage.stop()
        data = self.coverage.get_data()
        lines = {
            file.relative_to(PACKAGE).as_posix(): data.contexts_by_lineno(str(file))
            for file in self.files
        }
        names = [
            name
            for name, module in list(sys.modules.items())
            if str(ROOT) not in str(getattr(module, '__file__', None) or ROOT)
            or '/site-packages/' in str(getattr(module, '__file__', ''))
        ]
        return dict(
            lines=lines,
            seconds=self.seconds,
            imported=names,
            failed=sorted(self.failed),
        )


class Selected:
    """A plugin that keeps these tests, in their order, and notes which one failed."""

    def __init__(self, tests: list[str]) -> None:
        self.order = {test: i for i, test in enumerate(tests)}
        self.failed = ''

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid in self.order]
        items.sort(key=lambda item: self.order[item.nodeid])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = report.nodeid


def run_pytest(files: list[str], plugin: Any, *more: str) -> int:
    options = ['-q', '-m', 'not slow', '--tb=line', '-p', 'no:cacheprovider']
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    return int(pytest.main([*options, *more, *files], plugins=[plugin]))


def forked(job: Callable[[], Any], limit: float, log: Path) -> tuple[int, Any]:
    """Do a job in a fork: the signal that ended it (0: none) and what it returned."""
    answer = log.with_suffix('.answer')
    answer.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit)))
            with log.open('w') as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            answer.write_text(json.dumps(job()))
        finally:
            os._exit(0)
    started = time.monotonic()
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() - started > 60 + 20 * limit:  # it waits, and for nothing
            os.kill(child, signal.SIGKILL)
        time.sleep(0.02)
    result = json.loads(answer.read_text()) if answer.exists() else None
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, result


def measure(files: list[Path], tests: list[str], log: Path) -> Reach:
    """Run the tests without a mutant; only those that pass count. It is kept."""

    def job() -> dict[str, Any]:
        plugin = Measure(files)
        run_pytest(tests, plugin)
        return plugin.result()

    state = digest([*(ROOT / test for test in tests), *PACKAGE.rglob('*.py')])
    kept = log.with_suffix(f'.{state}.json')
    if not kept.exists():
        output = log.with_suffix('.out')
        _, result = forked(job, 3600, output)
        if result is None or not result['seconds']:
            raise SystemExit(f'The tests do not run; see {output}.')
        kept.write_text(json.dumps(result))
    result = json.loads(kept.read_text())
    for module in result['lines'].values():
        for line in list(module):
            module[int(line)] = module.pop(line)
    return Reach(**result)


def attempt(
    source: Source, mutant: Mutant, tests: list[str], seconds: float, log: Path
) -> Any:
    """Run the tests with a mutant in the module's place."""

    def job() -> dict[str, Any]:
        mutant.apply()
        sys.meta_path.insert(0, Replaced(source))
        plugin = Selected(tests)
        files = list(dict.fromkeys(test.partition('::')[0] for test in tests))
        code = run_pytest(files, plugin, '-x')
        return dict(code=code, by=plugin.failed)

    return forked(job, 30 + 5 * seconds, log.with_suffix('.out'))


class Replaced:
    """Finds one module, and gives it the code of a changed tree."""

    def __init__(self, source: Source) -> None:
        self.path = PACKAGE / source.module
        parts = self.path.relative_to(ROOT).with_suffix('').parts
        self.name = '.'.join(parts).removesuffix('.__init__')
        self.source = source

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != self.name:
            return None
        tree = self.source.tree

        class Loader(importlib.machinery.SourceFileLoader):
            def get_code(self, fullname: str) -> Any:
                return compile(tree, self.path, 'exec', dont_inherit=True)

        return importlib.util.spec_from_file_location(
            name, self.path, loader=Loader(name, str(self.path))
        )


# -- the run ---------------------------------------------------------------------------


class Log:
    """What came of each mutant, a line each; of other code nothing is taken."""

    def __init__(self, path: Path, sources: list[Source], tests: str) -> None:
        self.path = path
        self.tests = tests
        self.found: dict[str, dict[str, Any]] = {}
        digests = {source.module: source.digest for source in sources}
        for line in path.read_text().splitlines() if path.exists() else ():
            entry = json.loads(line)
            same = entry['source'] == digests.get(entry['module'])
            if same and (entry['tests'] == tests or entry['state'] != 'survived'):
                self.found[entry['mutant']] = entry

    def add(self, **entry: Any) -> None:
        self.found[entry['mutant']] = {**entry, 'tests': self.tests}
        with self.path.open('a') as file:
            file.write(json.dumps(self.found[entry['mutant']]) + '\n')


def table(sources: list[Source], log: Log) -> None:
    """What was run and what came of it, and who survives."""
    total: dict[str, int] = defaultdict(int)
    heads = ('mutants', 'same', 'run', 'killed', 'survived')
    print(f'\n{"module":26s}' + ''.join(f'{head:>11s}' for head in heads) + '  killed')
    for source in sources:
        counts = count(source, log)
        for head in heads:
            total[head] += counts[head]
        print(row(source.module, counts, heads))
    print(row('all', total, heads) + '\n')
    for source in sources:
        for line in source.unread:
            print(f'{source.module}:{line} its mark is of no mutant')
        for mutant in source.mutants:
            state = log.found.get(mutant.name, {}).get('state')
            if state == 'survived' and not mutant.same:
                module, _, rest = mutant.name.partition(' ')
                print(f'{module}:{mutant.lines[0]} {rest}')


def count(source: Source, log: Log) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int, mutants=len(source.mutants))
    for mutant in source.mutants:
        entry = log.found.get(mutant.name)
        if mutant.same:
            counts['same'] += 1
        elif entry is not None:
            counts['run'] += 1
            counts['survived' if entry['state'] == 'survived' else 'killed'] += 1
    return counts


def row(name: str, counts: dict[str, int], heads: tuple[str, ...]) -> str:
    share = 100 * counts['killed'] / counts['run'] if counts['run'] else float('nan')
    numbers = ''.join(f'{counts[head]:11d}' for head in heads)
    return f'{name:26s}{numbers}  {share:5.1f} %'


def digest(paths: list[Path]) -> str:
    text = ''.join(path.read_text() for path in sorted(paths))
    return hashlib.sha1(text.encode()).hexdigest()[:12]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--modules', nargs='+', default=MODULES, help='in mmkd/')
    parser.add_argument('--tests', nargs='+', default=TESTS, help='files')
    parser.add_argument('--sample', type=int, help='how many mutants; all')
    parser.add_argument('--only', default='', help='those with this text in the name')
    parser.add_argument('--seed', type=int, default=0, help='of the sample')
    parser.add_argument('--log', type=Path, default=LOG)
    parser.add_argument('--list', action='store_true', help='run nothing')
    return parser.parse_args()


def files_of(modules: Iterable[str]) -> list[Path]:
    paths = [PACKAGE / module for module in modules]
    return [
        file
        for path in paths
        for file in (sorted(path.rglob('*.py')) if path.is_dir() else [path])
    ]


def main() -> None:
    args = arguments()
    args.log = args.log.resolve()
    args.log.parent.mkdir(parents=True, exist_ok=True)
    files = files_of(args.modules)
    tests = [test for test in args.tests if (ROOT / test).exists()]
    sources = [source for source in map(Source.read, files) if source.mutants]
    log = Log(args.log, sources, digest([ROOT / test for test in tests]))
    todo = [
        (source, mutant)
        for source in sources
        for mutant in source.mutants
        if args.only in mutant.name
    ]
    if args.sample is not None:
        drawn = random.Random(args.seed).sample(range(len(todo)), len(todo))
        todo = [todo[i] for i in drawn[: args.sample]]
    todo = [
        (source, mutant)
        for source, mutant in todo
        if mutant.name not in log.found and not mutant.same
    ]
    if not args.list:
        kill(todo, files, tests, log)
    table(sources, log)


def kill(
    todo: list[tuple[Source, Mutant]], files: list[Path], tests: list[str], log: Log
) -> None:
    """Try the mutants that the log does not have."""
    torch.set_num_threads(1)
    print(f'{len(todo)} mutants. First the tests without any …', flush=True)
    reach = measure(files, tests, log.path)
    print(f'{len(reach.seconds)} tests in {sum(reach.seconds.values()):.0f} s.')
    for test in reach.failed:
        print(f'It does not pass, and is left out: {test}')
    for name in reach.imported:
        try:
            importlib.import_module(name)
        except Exception:  # a part that cannot be imported alone: the fork does it
            continue
    gc.freeze()
    begun, survived = time.monotonic(), 0
    for i, (source, mutant) in enumerate(todo, start=1):
        own = reach.tests(mutant)
        start = time.monotonic()
        seconds = sum(map(reach.seconds.__getitem__, own))
        stopped, result = attempt(source, mutant, own, seconds, log.path)
        state = 'timeout' if stopped else 'killed'
        if not own or (result is not None and result['code'] == 0):
            state = 'survived'
        survived += state == 'survived'
        log.add(
            mutant=mutant.name,
            module=source.module,
            source=source.digest,
            kind=mutant.kind,
            state=state,
            by=(result or {}).get('by', ''),
            reached=len(own),
            seconds=round(time.monotonic() - start, 2),
        )
        left = (time.monotonic() - begun) / i * (len(todo) - i) / 60
        bar = '#' * round(30 * i / len(todo))
        line = f'[{bar:30s}] {i}/{len(todo)}, {survived} survived, {left:.0f} min left'
        print(f'\r{line}', end='', file=sys.stderr, flush=True)


if __name__ == '__main__':
    main()
