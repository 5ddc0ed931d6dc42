from __future__ import annotations

import pytest

from crm_core.web.slips import SLIP, nothing_here

BASE = "/i/eu1/t/nw/api/v1"


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/i/eu1/t/nw/api/customers", f"{BASE}/customers"),
        ("/i/eu1/t/nw/v1/customers", f"{BASE}/customers"),
        ("/i/eu1/t/nw/api/v2/customers", f"{BASE}/customers"),
        ("/i/us2/nw/api/v1/customers", "/i/us2/t/nw/api/v1/customers"),
        ("/us2/t/nw/api/v1/customers", "/i/us2/t/nw/api/v1/customers"),
        ("/t/nw/api/v1/customers", f"{BASE}/customers"),
        ("/i/t/nw/api/v1/customers", f"{BASE}/customers"),
        ("/nw/api/v1/customers", f"{BASE}/customers"),
        ("/api/v1/customers", "/i/eu1/t/{tenant}/api/v1/customers"),
        ("/v1/customers", "/i/eu1/t/{tenant}/api/v1/customers"),
        (f"{BASE}/customers/", f"{BASE}/customers"),
    ],
)
def test_a_forgotten_part_of_an_address_or_a_slash_too_many_is_found(path: str, meant: str) -> None:
    """The message names the address that was meant, if there is one; otherwise where all are listed."""
    assert nothing_here(path, "eu1", lambda one: one == meant).endswith(f"Did you mean {meant}?")
    assert nothing_here(path, "eu1", lambda one: False).endswith("begin with /i/{instance}/t/{tenant}/api/v1/.")
    assert "/i/eu1/docs lists the API's addresses" in nothing_here(path, "eu1", lambda one: False)
    if not path.startswith("/i/eu1/t/nw/api"):
        assert SLIP.match(path)


@pytest.mark.parametrize(
    "path", ["/", "/i/eu1/t/api/customers", "/i/eu1/t/v1/", "/i/api/t/v1", "/i/eu1/t/nw/customers/v1", "/docs", "/apis"]
)
def test_pages_are_no_slips(path: str) -> None:
    """Tenants and instances may be called api or v1."""
    assert SLIP.match(path) is None


@pytest.mark.parametrize("path", ["/" * 5000, "/i" * 5000, "/a/t" * 5000, "/api" * 5000, "x"])
def test_no_path_takes_long(path: str) -> None:
    """An answer to every path comes without much backtracking."""
    assert nothing_here(path, "eu1", lambda one: False).startswith("There is nothing")
