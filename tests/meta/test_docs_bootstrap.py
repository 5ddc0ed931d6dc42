from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crm_core.web.api.bootstrap import Bootstrap, LastSync, ModuleShown
from doc_pages import blocks, page, run_page
from free_ports import free_port

NAME = "docs/bootstrap.md"


def _same_shape(shown: Any, real: Any) -> None:
    """The page's example has the members that the server reports, in their kinds."""
    assert type(shown) is type(real)
    if isinstance(shown, dict):
        assert list(shown) == list(real) or not shown or not real
        for name in set(shown) & set(real):
            _same_shape(shown[name], real[name])
    if isinstance(shown, list) and shown and real:
        _same_shape(shown[0], real[0])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_example_gets_what_the_page_shows(tmp_path: Path) -> None:
    """The page's commands work, a known tag gets 304, and the answer has the members and values that are shown."""
    reported = run_page(NAME, tmp_path, free_port())
    own, after = reported.rpartition("}304\n")[::2]
    real = json.loads(own[own.index('{"instance"') :] + "}")
    (shown,) = (json.loads(block.text) for block in blocks(NAME, "json"))
    _same_shape(shown, real)
    for name in ("instance", "tenant", "user", "role", "features", "branding", "limits", "subscription", "sections"):
        assert shown[name] == real[name]
    assert shown["modules"] == real["modules"][:2]
    assert json.loads(after) == {"branding": {"title": "Nordwind"}}


def test_every_member_is_explained() -> None:
    """The table names each member of bootstrap, of a module and of the last sync."""
    text = page(NAME)
    for kind in (Bootstrap, ModuleShown, LastSync):
        assert [name for name in kind.__struct_fields__ if f"`{name}`" not in text] == []
