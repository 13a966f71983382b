"""Files and functions stay short, so that each can be read in one go."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / 'mmkd'
FILES = {
    str(file.relative_to(PACKAGE)): file.read_text()
    for file in sorted(PACKAGE.rglob('*.py'))
}
# What is longer still. Strike off what has become short.
LONG_FILES: set[str] = set()
LONG_FUNCTIONS: set[str] = set()


def functions(node: ast.AST, name: str = '') -> Iterator[tuple[str, int]]:
    """Names of functions, with the classes around them, and their lines."""
    for child in ast.iter_child_nodes(node):
        inner = name
        if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            inner = f'{name}.{child.name}' if name else child.name
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield inner, int(child.end_lineno or 0) - child.lineno + 1
        yield from functions(child, inner)


def test_half_of_the_files_have_at_most_110_lines():
    assert statistics.median(len(text.splitlines()) for text in FILES.values()) <= 110


def test_no_file_has_over_320_lines():
    long = {file for file, text in FILES.items() if len(text.splitlines()) > 320}
    assert long == LONG_FILES


def test_no_function_has_over_45_lines():
    long = {
        f'{file}: {name}'
        for file, text in FILES.items()
        for name, lines in functions(ast.parse(text))
        if lines > 45
    }
    assert long == LONG_FUNCTIONS
