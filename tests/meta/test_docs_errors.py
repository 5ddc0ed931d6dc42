from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import get_args

from crm_core import errors
from crm_core.errors import CrmError
from crm_core.mail.errors import FailureKind
from doc_pages import ROOT, page, section

PAGE = page("docs/errors.md")
_ROW = re.compile(r"^\| `([a-z_]+)` \| ([0-9]{3}) \|", re.MULTILINE)
_CODE = re.compile(r"`([a-z_]+)`")
# The code of a SecretRequired is made from its member: on the page stands the one of the built-in sections.
EXAMPLE = {"secret_required": "password_required"}


def _wire_codes() -> dict[str, int]:
    found: dict[str, int] = {}
    for name in errors.__all__:
        kind = getattr(errors, name)
        if isinstance(kind, type) and issubclass(kind, CrmError) and "code" in vars(kind):
            found[EXAMPLE.get(kind.code, kind.code)] = kind.status
    return found


def test_every_wire_code_stands_in_the_tables_with_its_status() -> None:
    """The page lists exactly the codes that there are classes for, each once, with the status it travels with."""
    rows = _ROW.findall(PAGE)
    assert len(rows) == len(dict(rows))
    assert {code: int(status) for code, status in rows} == _wire_codes()


def _finding_codes() -> Iterator[tuple[str, str]]:
    """The second argument of every ``Finding(...)`` in the project that is a plain text, and where it stands."""
    for folder in ("crm_core", "plugins"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding":
                    code = node.args[1] if len(node.args) > 1 else None
                    if isinstance(code, ast.Constant):
                        yield str(code.value), str(path.relative_to(ROOT))


def test_every_code_of_a_finding_stands_on_the_page() -> None:
    """What may stand in ``errors`` and ``warnings`` is explained, and nothing is that cannot stand there."""
    table = section(PAGE, "Codes in `errors` and `warnings`")
    shown = {code for line in table.splitlines() if line.startswith("|") for code in _CODE.findall(line.split("|")[1])}
    made = {"module_blocked", "module_unsupported", "password_required"}  # from a kind or a member's name
    assert shown - made == {code for code, _ in _finding_codes()}


def test_every_piece_of_evidence_is_reported() -> None:
    """The further members of a problem are named on the page."""
    for path in (ROOT / "crm_core").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and hasattr(errors, node.func.id):
                given = {keyword.arg for keyword in node.keywords} - {None, "errors", "retry_after"}
                kind = getattr(errors, node.func.id)
                if isinstance(kind, type) and issubclass(kind, CrmError):
                    assert all(f"`{name}`" in PAGE for name in given), (path.name, node.func.id, given)


def test_every_trouble_with_mail_is_explained() -> None:
    """The page's last table has each kind of trouble that a test mail may say."""
    table = section(PAGE, "Why a mail was not delivered")
    assert sorted(re.findall(r"^\| `([a-z_]+)` \|", table, re.MULTILINE)) == sorted(get_args(FailureKind))
