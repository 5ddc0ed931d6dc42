from __future__ import annotations

from crm_core.web.pages.records.list_filters import chips_of
from crm_customers.record_type import Customers


def test_a_filter_says_what_it_is_called_now() -> None:
    """The head of a list is cached by what it shows, so nothing in it may depend on the present time."""
    parameters = {"updated_since": "2026-11-28T10:00:00Z"}
    (chip,) = chips_of(Customers(), parameters, {"updated_since": "12 min ago"}, lambda **_: "/customers")
    assert chip.text == "Updated since 12 min ago"
