"""Header fields are found by name, in their order."""

from __future__ import annotations

import pytest

from crm_core.model.header_fields import HeaderFields


@pytest.mark.parametrize(
    ("headers", "values"),
    [
        ((("host", "a"), ("accept", "b")), ("b",)),
        ((("accept", "a"), ("host", "b"), ("accept", "c")), ("a", "c")),
        ((("host", "a"), ("accept", "b"), ("host", "c")), ("b",)),
        ((("host", "a"),), ()),
        ((), ()),
    ],
)
def test_every_value_in_order(headers: tuple[tuple[str, str], ...], values: tuple[str, ...]) -> None:
    """Whether the header, another one, or none is repeated."""
    assert HeaderFields(headers=headers).all("accept") == values
