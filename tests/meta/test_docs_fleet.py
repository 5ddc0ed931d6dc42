"""docs/fleet.md and the folder in docs/examples, run as written."""

from __future__ import annotations

from pathlib import Path

import pytest

from crm_core.cli.apply import command
from crm_core.client.desired import ApplyStatus
from doc_pages import ROOT, blocks, page, run_page
from free_ports import free_port

NAME = "docs/fleet.md"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_example_folder_is_planned_applied_and_then_as_desired(tmp_path: Path) -> None:
    """The page's commands work in their order, and the last plan prints what the page shows."""
    reported = run_page(NAME, tmp_path, free_port(), CLONE=str(ROOT))
    assert "2 tenants: 2 previewed" in reported
    assert "northwind  applied as revision 1" in reported
    assert reported.endswith(blocks(NAME, "text")[1].text)


def test_the_page_names_every_status_and_option_that_it_needs() -> None:
    """Each status of a result has a row, and each option of the command appears."""
    for status in ApplyStatus.__args__:
        assert f"`{status}`" in page(NAME)
    named = {option for one in command.params for option in one.opts if option.startswith("--")}
    assert [option for option in named - {"--config"} if option not in page(NAME)] == []
