from __future__ import annotations

import re
from pathlib import Path

import pytest

from crm_core.plugin.host import PluginHost
from crm_core.plugin.registry import build_registry
from crm_core.records.batch_items import MAX_ITEMS
from crm_core.records.idempotency import RETENTION_SECONDS
from crm_core.records.list_query import DEFAULT_LIMIT, MAX_LIMIT
from crm_core.web.api.records_schemas import BATCH_LIMIT, RECORD_LIMIT
from doc_pages import blocks, page, run_page
from free_ports import free_port

NAME = "docs/records.md"


@pytest.mark.slow
def test_the_examples_run_in_the_order_of_the_page(tmp_path: Path) -> None:
    """Every example of the page works as it is, one after the other, against one server; so does its program."""
    (program,) = blocks(NAME, "python")
    (tmp_path / "transfer.py").write_text(program.text)
    (tmp_path / "two_way_sync.py").write_text(page("docs/examples/two_way_sync.py"))
    reported = run_page(NAME, tmp_path, free_port())
    assert '"email":null,"phone":"+49 30 1234"' in reported
    assert '"name":"Grace M. Hopper","email":null,"phone":null,"company":"Navy"' in reported
    assert '"pointer":"/items/2/name"' in reported
    assert '"code":"revision_mismatch"' in reported
    assert len(set(re.findall(r'{"id":"([^"]+)","external_id":null,"name":"Hedy Lamarr"', reported))) == 1
    assert "id,external_id,name," in reported
    assert '"items":[],' not in reported, "each list and each page of changes shows something"
    assert '"from":"Robin","to":"Kim"' in reported
    assert reported.splitlines()[-2:] == ["705 customers", "received 0 changes"]
    assert reported.count('"name":"Lise Meitner"') == 1


def test_the_tables_are_those_of_the_record_types() -> None:
    """The page names every member, and those to sort, filter and search by."""
    host = PluginHost()
    host.load_entry_points()
    text = page(NAME)
    for name, record_type in build_registry(host).record_types.items():
        declared = (record_type.SORTABLE, record_type.FILTERABLE, record_type.SEARCHED)
        cells = " | ".join(", ".join(f"`{each}`" for each in names) for names in declared)
        assert f"| `{name}` | {cells} |" in text
        (row,) = re.findall(rf"^\| `{name}` \| (?!`name`)(.*) \|$", text, re.MULTILINE)
        common = {"name", "tags", "notes", "custom"}
        assert all(f"`{member.name}`" in row for member in record_type.members if member.name not in common)
        assert all(f"`{value}`" in row for member in record_type.members for value, _ in member.choices)


def test_the_figures_on_the_page_are_those_of_the_code() -> None:
    """Limits and lifetimes on the page are the ones that the code has."""
    text = page(NAME)
    assert f"up to {MAX_ITEMS}" in text
    assert f"For {RETENTION_SECONDS // 3600} hours" in text
    assert f"1 to {MAX_LIMIT}; default {DEFAULT_LIMIT}" in text
    assert f"may be {RECORD_LIMIT >> 10} KiB, a batch's {BATCH_LIMIT >> 20} MiB" in text
