from __future__ import annotations

import hashlib

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from crm_core.model.log import GENESIS, Head, LogEntry, hashed_text, is_intact, link


def made(**members: object) -> LogEntry:
    """An entry as the core hands it to a store."""
    reported = {
        "id": "019b0000-0000-7000-8000-000000000000",
        "received_at": "2026-11-24T02:00:00Z",
        "instance": "eu1",
        "tenant": "northwind",
        "status": "applied",
        "signature_result": "valid",
        "request_id": "r-1",
    }
    return msgspec.convert({**reported, **members}, LogEntry)


def test_the_first_link_follows_sixty_four_zeros() -> None:
    """A chain begins at seq 1 with the genesis hash before it."""
    first = link(made(), Head())
    assert (first.seq, first.prev_hash) == (1, GENESIS)


def test_a_reader_of_the_api_can_recompute_a_link() -> None:
    """entry_hash is SHA-256 over prev_hash, LF and the RFC 8785 JSON of the other members as shown."""
    shown = msgspec.to_builtins(link(made(error_message="späť\u2028\u0007"), Head(4, "ab" * 32)))
    reported = {name: value for name, value in shown.items() if name not in {"prev_hash", "entry_hash"}}
    text = ("ab" * 32).encode() + b"\n" + rfc8785.dumps(reported)
    assert shown["entry_hash"] == hashlib.sha256(text).hexdigest()


@given(st.text(), st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1))
def test_the_fast_form_is_the_rfc_form(text: str, number: int) -> None:
    """For any text and integers in an entry, its hashed text is what RFC 8785 says."""
    entry = made(error_message=text, duration_ms=number)
    members = msgspec.to_builtins(entry)
    del members["prev_hash"], members["entry_hash"]
    assert hashed_text(entry) == rfc8785.dumps(members)


@pytest.mark.parametrize("change", [{"status": "rejected"}, {"seq": 9}, {"prev_hash": "0" * 63 + "1"}, {"revision": 3}])
def test_an_edited_entry_shows(change: dict[str, object]) -> None:
    """A member changed after the fact no longer fits the entry's own hash."""
    entry = link(made(), Head())
    assert is_intact(entry)
    assert not is_intact(msgspec.structs.replace(entry, **change))


def test_an_unverified_entry_is_not_intact() -> None:
    """An entry outside the chain has no hash."""
    assert not is_intact(made())
