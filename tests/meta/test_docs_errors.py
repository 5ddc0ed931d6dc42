from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import get_args

from crm_core import errors
from crm_core.errors import CrmError
from crm_core.mail.errors import FailureKind
from doc_pages import ROOT, page, section

PAGE = page("docs/errors.md")
_ROW = re.compile(r"^\| `([a-z_]+)` \| ([0-9]{3}) \|", re.MULTILINE)
_CODE = re.compile(r"`([a-z_]+)`")
# The code of a SecretRequired is made from its member: the page has the one of the built-in sections.
EXAMPLE = {"secret_required": "password_required"}


def _wire_codes() -> dict[str, int]:
    found: dict[str, int] = {}
    for name in errors.__all__:
        kind = getattr(errors, name)
        if isinstance(kind, type) and issubclass(kind, CrmError) and "code" in vars(kind):
            found[EXAMPLE.get(kind.code, kind.code)] = kind.status
    return found


def test_every_wire_code_is_in_the_tables_with_its_status() -> None:
    """The page lists exactly the codes that there are classes for, each once, with the status it travels with."""
    rows = _ROW.findall(PAGE)
    assert len(rows) == len(dict(rows))
    assert {code: int(status) for code, status in rows} == _wire_codes()


def _finding_codes() -> Iterator[tuple[str, str]]:
    """The second argument of every ``Finding(...)`` that is a plain text or the code of a problem, and its place."""
    for folder in ("crm_core", "plugins"):
        for path, call in _calls(folder, {"Finding"}):
            code = call.args[1] if len(call.args) > 1 else None
            if isinstance(code, ast.Constant):
                yield str(code.value), str(path.relative_to(ROOT))
            elif code is not None and (kind := ast.unparse(code).removesuffix(".code")) in errors.__all__:
                yield getattr(errors, kind).code, str(path.relative_to(ROOT))


def _calls(folder: str, names: Collection[str]) -> Iterator[tuple[Path, ast.Call]]:
    """The calls of these names; only files that have one are parsed."""
    called = re.compile(rf"\b(?:{'|'.join(names)})\(")
    for path in (ROOT / folder).rglob("*.py"):
        if called.search(text := path.read_text()):
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                    yield path, node


def test_every_code_of_a_finding_is_on_the_page() -> None:
    """Each code of ``errors`` and ``warnings`` is explained, and no other is."""
    table = section(PAGE, "Codes in `errors` and `warnings`")
    shown = {code for line in table.splitlines() if line.startswith("|") for code in _CODE.findall(line.split("|")[1])}
    made = {"password_required"}  # from a member's name
    assert shown - made == {code for code, _ in _finding_codes()}


def test_every_piece_of_evidence_is_reported() -> None:
    """The further members of a problem are named on the page."""
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, CrmError)}
    seen = set()
    for path, call in _calls("crm_core", kinds):
        given = {keyword.arg for keyword in call.keywords} - {None, "errors", "operator_detail", "retry_after"}
        assert all(f"`{name}`" in PAGE for name in given), (path.name, ast.unparse(call), given)
        seen |= given
    assert len(seen) > 10


def test_every_trouble_with_mail_is_explained() -> None:
    """The page's last table has each kind of trouble that a test mail may say."""
    table = section(PAGE, "Why a mail was not delivered")
    assert sorted(re.findall(r"^\| `([a-z_]+)` \|", table, re.MULTILINE)) == sorted(get_args(FailureKind))
