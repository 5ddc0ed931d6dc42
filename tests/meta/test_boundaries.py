"""Tests that keep the code readable: sizes, names, and a sentence for each test."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST_MODULE, LONGEST_FUNCTION, LONGEST_TEST_FILE = 300, 60, 400
SAYING_NOTHING = {"utils", "util", "helpers", "helper", "common", "base", "misc"}
PRODUCT = sorted([*(ROOT / "crm_core").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")])
TESTS = sorted((ROOT / "tests").rglob("*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef


def reported(path: Path) -> str:
    """A path as a reader knows it."""
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[Function]:
    """Every function of a module, methods and inner ones too."""
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, Function))


def own_lines(function: Function) -> int:
    """The lines of a function without those of functions inside it, which are read by themselves."""
    inner = [node for node in ast.walk(function) if isinstance(node, Function) and node is not function]
    lines = {line for node in inner for line in range(node.lineno, (node.end_lineno or 0) + 1)}
    return (function.end_lineno or 0) - function.lineno + 1 - len(lines)


def test_a_module_has_one_subject() -> None:
    """No module is longer than 300 lines, no test file longer than 400."""
    long = [(reported(path), len(path.read_text().splitlines())) for path in PRODUCT]
    assert [one for one in long if one[1] > LONGEST_MODULE] == []
    long = [(reported(path), len(path.read_text().splitlines())) for path in TESTS]
    assert [one for one in long if one[1] > LONGEST_TEST_FILE] == []


def test_a_function_fits_on_a_screen() -> None:
    """None is longer than 60 lines; a list of operations is a table, not a function."""
    long = [
        (reported(path), function.name, own_lines(function))
        for path in PRODUCT
        for function in functions(path)
        if (function.end_lineno or 0) - function.lineno >= LONGEST_FUNCTION
        and own_lines(function) > LONGEST_FUNCTION
        and function.name != "operations"
    ]
    assert long == []


def test_modules_are_named_for_things_of_the_domain() -> None:
    """A name that says nothing collects everything."""
    own = {"crm_core/errors/base.py", "plugins/crm_rfc9421/base.py"}  # RFC 9421 calls it the signature base
    assert [reported(path) for path in PRODUCT if path.stem in SAYING_NOTHING and reported(path) not in own] == []


@pytest.mark.parametrize("path", [path for path in TESTS if path.name.startswith("test_")], ids=reported)
def test_each_test_says_in_a_sentence_what_it_checks(path: Path) -> None:
    """Its docstring is the behaviour; a test without one is hard to judge when it fails."""
    silent = [
        function.name
        for function in functions(path)
        if function.name.startswith("test_") and not (ast.get_docstring(function) or "").strip().endswith((".", "?"))
    ]
    assert silent == []


def test_public_code_says_what_it_is_for() -> None:
    """Each module of the product starts with a docstring; only marker files are empty."""
    silent = [
        reported(path)
        for path in PRODUCT
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_nothing_waits_for_later() -> None:
    """The code contains no note to the future."""
    marks = [f"{mark}:" for mark in ("TODO", "FIXME", "XXX", "HACK")]
    assert [reported(path) for path in PRODUCT if any(mark in path.read_text() for mark in marks)] == []
