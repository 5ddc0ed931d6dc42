from __future__ import annotations

import ast
import re

from doc_pages import ROOT, page, section

_EVENT = re.compile(r"[a-z][a-z_]+")
_LEVELS = ("debug", "info", "warning", "error", "critical")
_CALL = re.compile(rf"\.(?:{'|'.join(_LEVELS)})\(")


def _events() -> set[str]:
    """The names of events that the core logs: the first argument of a logging call, where it is one word."""
    found = set()
    for path in (ROOT / "crm_core").rglob("*.py"):
        text = path.read_text()
        for node in ast.walk(ast.parse(text)) if _CALL.search(text) else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                first = node.args[0]
                if node.func.attr in _LEVELS and isinstance(first, ast.Constant) and _EVENT.fullmatch(str(first.value)):
                    found.add(first.value)
    return found


def test_every_event_of_the_log_is_explained() -> None:
    """The table of operating.md has each event that a server may log, and none that it does not."""
    rows = re.findall(r"^\| (`.+?`) \|", section(page("docs/operating.md"), "Logs"), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)} == _events()
