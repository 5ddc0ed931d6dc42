from __future__ import annotations

import re
from pathlib import Path

import pytest

from crm_tinydb.opening import IDENTITY, MARKER
from crm_tinydb.ring import NAME as RING
from crm_tinydb.segments import FULL, PREVIOUS
from crm_tinydb.tenant import FOLD_AT, FOLD_SHARE
from doc_pages import ROOT, blocks, page, run_page
from free_ports import free_port

NAME = "docs/storage.md"


@pytest.mark.slow
def test_the_examples_run_in_the_order_of_the_page(tmp_path: Path) -> None:
    """Every command of the page works as written, and its function reads a fold."""
    output = run_page(NAME, tmp_path, free_port())
    assert "northwind  folded" in output
    assert "westwind: no problems found" in output
    (python,) = blocks(NAME, "python")
    known: dict[str, object] = {}
    exec(python.text, known)
    (folded,) = (tmp_path / "tenants" / "northwind").glob("store-*.json")
    assert known["bodies"](folded, "users") == []  # type: ignore[operator]


def test_names_and_figures_are_current() -> None:
    """The page has the store's file names and sizes."""
    text = page(NAME)
    for name in (IDENTITY, MARKER, RING, f"{PREVIOUS}/"):
        assert f"`{name}`" in text
    assert f"up to {FULL:,} entries" in text
    assert f"{FOLD_AT >> 20} MiB or a quarter" in text
    assert FOLD_SHARE == 4


def test_every_reason_is_explained() -> None:
    """Every reason for damage appears on the page."""
    text = page(NAME)
    sources = "".join(path.read_text() for path in (ROOT / "plugins" / "crm_tinydb").glob("*.py"))
    clauses = {
        re.sub(r"[({].*", "", clause).strip()
        for clause in re.findall(r"Damaged\(f?\"((?:is|has|does|begins|jumps|cannot|follows)[^\"]*)\"", sources)
    }
    assert len(clauses) > 8
    explained_elsewhere = {"has a log whose chain breaks at entry", "is of generation", "is"}
    missing = {clause for clause in clauses if clause not in text} - explained_elsewhere
    assert missing == set()
