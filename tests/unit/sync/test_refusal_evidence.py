"""The evidence in refusals of the signature checks: clocks, sections of a key, the first use of a nonce."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from crm_core.errors import TimestampOutOfWindow
from crm_core.model.keys import Key
from crm_core.plugin.signature import Presented
from crm_core.settings.sync import SyncSettings
from crm_core.sync.signature_checks import (
    FIRST_MILLISECONDS,
    Original,
    nonces_forgotten,
    out_of_window,
    section_not_allowed,
    timely,
)

NOW = datetime.fromtimestamp(10_000, UTC)
SETTINGS = SyncSettings(skew_seconds=300, future_skew_seconds=60)


def presented(timestamp: int) -> Presented:
    return Presented(timestamp=timestamp, nonce="n")


@pytest.mark.parametrize(
    ("timestamp", "skew", "words"),
    [
        (9_600, 400, "is 400 seconds behind this server's"),
        (10_100, -100, "is 100 seconds ahead of this server's"),
    ],
)
def test_a_late_or_early_request_learns_both_clocks(timestamp: int, skew: int, words: str) -> None:
    """The refusal has the server's time, the window and the difference, and says on which side the request is."""
    with pytest.raises(TimestampOutOfWindow, match=words) as caught:
        timely(presented(timestamp), SETTINGS, NOW)
    extra = {name: caught.value.evidence[name] for name in ("server_time", "skew_seconds", "skew")}
    assert extra == {"server_time": "1970-01-01T02:46:40.000Z", "skew_seconds": 300, "skew": skew}
    assert "At most 300 seconds behind and 60 ahead are accepted." in caught.value.detail
    assert "milliseconds" not in caught.value.detail


@pytest.mark.parametrize(("timestamp", "passes"), [(9_700, True), (9_699, False), (10_060, True), (10_061, False)])
def test_the_limits_of_the_window_pass(timestamp: int, passes: bool) -> None:
    """The last second on either side is accepted, the next is not."""
    if passes:
        timely(presented(timestamp), SETTINGS, NOW)
    else:
        with pytest.raises(TimestampOutOfWindow):
            timely(presented(timestamp), SETTINGS, NOW)


def test_milliseconds_are_recognized() -> None:
    """The refusal says so in place of the clocks; a timestamp in seconds of any age has the clocks."""
    detail = out_of_window(presented(FIRST_MILLISECONDS + 1), SETTINGS, NOW).detail
    assert detail == f"The timestamp {FIRST_MILLISECONDS + 1} looks like milliseconds. Send seconds."
    assert "milliseconds" not in out_of_window(presented(FIRST_MILLISECONDS), SETTINGS, NOW).detail


def test_forgotten_nonces_are_refused_with_the_clocks() -> None:
    """The refusal names the command that ends it, and has the members of every refusal of a timestamp."""
    error = nonces_forgotten(presented(9_990), Key(2, bytes(32)), "northwind", SETTINGS, NOW)
    assert error.detail.endswith("crm keys rotate northwind.")
    assert error.evidence["skew"] == 10


def test_a_key_names_the_sections_that_it_may_push() -> None:
    """In order, so that the text is the same each time; a key without a list names none."""
    key = Key(2, bytes(32), types=frozenset({"features", "branding"}))
    assert section_not_allowed(key, "smtp").detail == (
        "The key of version 2 may not push smtp; it may push branding, features."
    )
    assert section_not_allowed(Key(2, bytes(32)), "smtp").detail.endswith("it may push .")


@pytest.mark.parametrize(
    ("stored", "repeats"),
    [
        ({"body": "b1", "payload_type": "branding"}, True),
        ({"body": "b2", "payload_type": "branding"}, True),
        ({"body": "b1", "payload_type": ""}, True),
        ({"body": "b3", "payload_type": "branding"}, False),
        ({"body": "", "payload_type": ""}, False),
        ({"body": "b1", "payload_type": "features"}, False),
        ({"body": "b1", "payload_type": "XXXX"}, False),
    ],
)
def test_a_repeat_has_the_body_and_the_address_of_its_original(stored: dict[str, Any], repeats: bool) -> None:
    """Both must be the same; what earlier versions stored has no address."""
    original = Original(request_id="r", received_at="2026-11-24T02:00:00.000Z", status="applied", version=7, **stored)
    assert original.is_repeated_by(("b1", "b2"), "branding") is repeats
    assert original.to_wire() == {
        "request_id": "r", "received_at": "2026-11-24T02:00:00.000Z", "status": "applied", "version": 7,
    }  # fmt: skip
