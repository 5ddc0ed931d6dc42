"""The running instance that tests of plugins get."""

from __future__ import annotations

from pathlib import Path

import pytest

from crm_core.client import Refused
from crm_core.testing.instance import RunningInstance

RULES = """
from crm_core.errors import Finding
from crm_core.plugin import hookimpl


class Rules:
    @hookimpl(specname="crm_validate_payload")
    def titles(self, section, part):
        if section == "branding" and "title" not in part:
            yield Finding("/title", "house_rule", "Give it a title.")


rules = Rules()
"""


def test_an_object_is_loaded_as_its_entry_point_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``module:object`` names it, and its hooks may have names of the author's choice."""
    (tmp_path / "house.py").write_text(RULES)
    monkeypatch.syspath_prepend(tmp_path)
    instance = RunningInstance(tmp_path / "instance", plugins=["house:rules"])
    instance.start()
    try:
        assert instance.push("branding", {"title": "Northwind"}).status == "applied"
        with pytest.raises(Refused) as refused:
            instance.push("branding", {})
    finally:
        instance.stop()
    assert [finding.pointer for finding in refused.value.findings] == ["/data/title"]
