from __future__ import annotations

from pathlib import Path

import pytest

from crm_core.access.sessions import ACCESS_LIFETIME, BROWSER_LIFETIME, MAX_SESSIONS, REFRESH_LIFETIME
from crm_core.access.tokens import MAX_TOKENS
from crm_core.web.callers import COOKIE, CSRF_HEADER
from doc_pages import page, run_page
from free_ports import free_port

NAME = "docs/access.md"


@pytest.mark.slow
def test_the_examples_run_in_the_order_of_the_page(tmp_path: Path) -> None:
    """Every example of the page works as it is, one after the other, against one server."""
    reported = run_page(NAME, tmp_path, free_port())
    assert '"items":[]' in reported
    assert '"assignment":["customers.*","*.view"]' in reported
    assert reported.count('event: record.changed\ndata: {"type":"customers"') == 2, "one heard, one missed"


def test_the_figures_on_the_page_are_those_of_the_code() -> None:
    """Lifetimes, limits and names on the page are the ones that the code has."""
    text = page(NAME)
    assert f"valid for {ACCESS_LIFETIME.seconds // 60} minutes" in text
    assert f"not used for {REFRESH_LIFETIME.days} days" in text
    assert BROWSER_LIFETIME.days == 7
    assert "valid for seven days" in text
    assert f"up to {MAX_SESSIONS} sign-ins" in text
    assert f"up to {MAX_TOKENS:,} tokens" in text
    assert f"`{COOKIE}`" in text
    assert f"`{CSRF_HEADER}`" in text
