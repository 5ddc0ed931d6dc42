from __future__ import annotations

import pytest

from crm_core.web.pages.records.forms import entries_of


@pytest.mark.parametrize(
    ("text", "found"),
    [("", {}), ('{"a":"b"}', {"a": "b"}), ("'", {}), ("[1]", {}), ("1", {}), ('{"a": 1}', {}), ("{", {})],
)
def test_what_holds_no_entries_is_passed_over(text: str, found: dict[str, str]) -> None:
    """A form's values may come from the address, which anybody may write: it opens all the same."""
    assert entries_of(text) == found
