"""Failed sign-ins delay an account and a source, each of them alone, until a new password or time ends that."""

from __future__ import annotations

import pytest

from contract.box import BRANDING, TENANT, Box, good, problem
from contract.conftest import Boxes

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def box(boxes: Boxes) -> Box:
    """An instance behind a trusted proxy."""
    return boxes(settings={"trusted_proxies": ["::ffff:127.0.0.1"]})


def login(box: Box, email: str, password: str, source: str) -> int:
    sent = {"email": email, "password": password}
    return box.client.post(f"{box.base()}/auth/login", json=sent, headers={"X-Forwarded-For": source}).status_code


def test_the_command_for_a_new_password_ends_a_lock_out(box: Box) -> None:
    """``crm user passwd`` reaches the running server: the user signs in with the new password, without a wait."""
    options = ("--tenant", TENANT, "--password-stdin")
    box.crm("user", "create", *options, "--email", "ada@example.com", "--role", "agent", stdin=PASSWORD + "\n")
    assert [login(box, "ada@example.com", "wrong", f"192.0.2.{n}") for n in range(11)] == [401] * 10 + [429]
    assert login(box, " Ada@example.com", PASSWORD, "192.0.2.20") == 429
    box.crm("user", "passwd", "ada@example.com", *options, stdin="another long one\n")
    assert login(box, "ada@example.com", "another long one", "192.0.2.20") == 200


def test_an_address_of_ipv4_written_as_ipv6_is_that_address(box: Box) -> None:
    """In the sync log and its filter, and a hundred failures of one do not delay another."""
    # One failure is forgotten every nine seconds, so it may take some more than a hundred.
    assert 429 in (login(box, f"u{n}@example.com", "wrong", "::ffff:198.51.100.1") for n in range(300))
    assert 429 in (login(box, f"v{n}@example.com", "wrong", "198.51.100.1") for n in range(5))
    assert login(box, "more@example.com", "wrong", "::ffff:198.51.100.2") == 401
    headers = {"Sync-Signature": None, "X-Forwarded-For": "::FFFF:198.51.100.3"}
    problem(box.push("branding", BRANDING, headers=headers), 401, "signature_missing")
    for spelling in ("198.51.100.3", "::ffff:198.51.100.3"):
        entries = good(box.get("sync/log", source_ip=spelling))["items"]
        assert [entry["source_ip"] for entry in entries] == ["198.51.100.3"]
