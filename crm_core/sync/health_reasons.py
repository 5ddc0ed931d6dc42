"""Reasons of sync health, as sentences."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from crm_core.errors import SignatureInvalid
from crm_core.model.keys import TenantRoster
from crm_core.model.times import from_wire
from crm_core.plugin.storage import Summary
from crm_core.plugin.summary import RECENT
from crm_core.workspace.section import Acceptance

_SPANS: Final = (
    (timedelta(days=1), "1 day", "{} days"),
    (timedelta(hours=1), "1 hour", "{} hours"),
    (timedelta(minutes=1), "1 minute", "{} minutes"),
    (timedelta(seconds=1), "1 second", "{} seconds"),
)


def mismatches(tenant: str, roster: TenantRoster, summary: Summary) -> Iterable[str]:
    """A reason if verification keeps failing: the two sides may have different keys or clocks.

    It changes no status, since a sender of forged pushes must not be able to turn a healthy tenant red.
    """
    recent, failed = summary.recent, summary.unverified
    if len(failed) < RECENT or (recent and recent[0].id > failed[-1].id):
        return
    if any(entry.error_code != SignatureInvalid.code for entry in failed):
        yield (
            f"The newest {RECENT} signed attempts failed verification, and none has passed since. If they are the "
            f"platform's, this is why: {failed[0].error_message}"
        )
        return
    versions = {entry.key_version for entry in failed}
    keys = ", ".join(f"{tenant}:{version}" for version in sorted(roster.keys) if version in versions)
    yield (
        f"The newest {RECENT} attempts had signatures that do not match {keys or 'any active key'}, and none was "
        "verified since. If they are the platform's, compare the key's fingerprint on both sides, or find the "
        "cause with crm explain."
    )


def orphan_sentence(record_type: str) -> str:
    """The finding that records have no plugin, and what to do next."""
    return (
        f"There are records of the type {record_type}, which no plugin brings. They stay stored. Install or enable it."
    )


def staleness(roster: TenantRoster, last: Acceptance | None, now: datetime) -> Iterable[str]:
    """A reason if no push was accepted for longer than the roster expects."""
    every = roster.expect_every
    if every is None:
        return
    if last is None:
        yield f"A push is expected every {_span(every, every)}, but none was accepted yet."
    elif now - from_wire(last.at) > every:
        age = _span(now - from_wire(last.at), every)
        yield f"A push is expected every {_span(every, every)}; the last was accepted {age} ago."


def _span(span: timedelta, least: timedelta) -> str:
    """A time in the largest unit in which it is at least ``least`` when rounded down: 90 minutes are not 1 hour."""
    for unit, one, several in _SPANS:
        if (number := span // unit) * unit >= least:
            return one if number == 1 else several.format(number)
    return "0 seconds"
