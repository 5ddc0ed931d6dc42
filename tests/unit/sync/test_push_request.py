"""What schemes see of a push, and what the log has of an attempt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from crm_core.errors import (
    AmbiguousSignature,
    CrmError,
    KeyInactive,
    KeyUnknown,
    SchemeNotAccepted,
    SignatureIncomplete,
    SignatureInvalid,
    SignatureMalformed,
    SignatureMissing,
    StaleVersion,
)
from crm_core.model.envelope import Envelope
from crm_core.model.keys import Key
from crm_core.model.log import LogEntry, LoggedFinding
from crm_core.plugin.signature import Presented
from crm_core.sync.push_request import Attempt, PushRequest
from crm_sync_v1.scheme import NativeScheme

ARRIVED = datetime(2026, 11, 24, 2, tzinfo=UTC)
BODY = b'{"data": {}}'


async def read_body() -> bytes:
    return BODY


PUSH = PushRequest(
    tenant="northwind",
    payload_type="x" * 70,
    request_id="r1",
    client_request_id="theirs",
    source="192.0.2.7",
    received_at=ARRIVED,
    method="POST",
    path="/i/eu1/t/northwind/api/v1/sync/branding",
    query="a=1",
    scheme="http",
    authority="crm.example.com",
    headers=(("x-a", "1"), ("x-b", "2"), ("x-a", "3")),
    read_body=read_body,
)
KEY = Key(7, b"k" * 32)


def attempt(**known: Any) -> Attempt:
    return Attempt(PUSH, "eu1", ARRIVED, **known)


def test_a_scheme_sees_the_request_as_it_came() -> None:
    """Method, path, query, scheme, host, headers, body and address are those of the push."""
    request = attempt(body=BODY).request()
    seen = {name: getattr(request, name) for name in PUSH.__struct_fields__ if hasattr(request, name)}
    assert seen == {name: getattr(PUSH, name) for name in seen}
    assert {"method", "path", "query", "scheme", "authority", "headers", "tenant", "payload_type"} <= set(seen)
    assert (request.body, request.instance) == (BODY, "eu1")
    assert PUSH.all("x-a") == ("1", "3")


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (SignatureMissing("m"), "missing"), (SignatureMalformed("m"), "malformed"),
        (AmbiguousSignature("m"), "malformed"), (SchemeNotAccepted("m"), "unchecked"), (KeyUnknown("m"), "unknown_key"),
        (KeyInactive("m"), "inactive_key"), (SignatureInvalid("m"), "invalid"), (SignatureIncomplete("m"), "invalid"),
        (StaleVersion("m"), "unchecked"), (None, "unchecked"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_became_of_the_signature(error: CrmError | None, result: str) -> None:
    """The log has the result of the signature's checks, and valid once it has matched."""
    assert attempt().signature_result(error) == result
    assert attempt(verified_signature=True).signature_result(error) == "valid"
    assert attempt().entry("e", "rejected", ARRIVED, error=error).signature_result == result


def test_the_entry_of_an_attempt_of_which_little_is_known() -> None:
    """Before the body is read an entry has the address and the error; a long name is cut, a clock may step back."""
    entry = attempt().entry("e1", "rejected", ARRIVED - timedelta(seconds=1), error=KeyUnknown("No such key."))
    assert entry == LogEntry(
        id="e1", received_at="2026-11-24T02:00:00.000Z", instance="eu1", tenant="northwind", payload_type="x" * 64,
        signature_result="unknown_key", status="rejected", error_code="key_unknown", error_message="No such key.",
        request_id="r1", client_request_id="theirs", source_ip="192.0.2.7", duration_ms=0,
    )  # fmt: skip


def test_the_entry_of_a_verified_attempt() -> None:
    """An entry has key, nonce, version, sizes and findings; its message may replace that of the error."""
    known = attempt(
        body=BODY, body_read=True, hash_shown=True, scheme=NativeScheme(), key=KEY, verified_signature=True,
        presented=Presented(timestamp=1, nonce="n" * 20, key_version=7),
        envelope=Envelope(tenant="northwind", type="branding", version=12, data={}, mode="preview"),
    )  # fmt: skip
    findings = (LoggedFinding(pointer="/data", code="c", message="m"),)
    later = ARRIVED + timedelta(microseconds=1500900)
    entry = known.entry(
        "e2",
        "failed",
        later,
        error=StaleVersion("Old."),
        message="Another.",
        revision=3,
        changes_count=2,
        errors=findings,
    )
    assert entry == LogEntry(
        id="e2", received_at="2026-11-24T02:00:00.000Z", instance="eu1", tenant="northwind", payload_type="x" * 64,
        payload_version=12, mode="preview", scheme="crm-sync-v1", key_version=7, signature_result="valid",
        status="failed", error_code="stale_version", error_message="Another.", request_id="r1",
        client_request_id="theirs", source_ip="192.0.2.7", nonce="n" * 20, payload_sha256=known.request().sha256,
        payload_bytes=len(BODY), duration_ms=1500, revision=3, changes_count=2, actor="key:7", errors=findings,
    )  # fmt: skip
    assert known.entry("e3", "applied", later).errors is msgspec.UNSET
    assert known.seconds == 1.5009


def test_a_key_that_did_not_sign_is_no_actor() -> None:
    """An entry names the key version that was claimed, and an actor only once its key has signed."""
    claimed = attempt(presented=Presented(timestamp=1, nonce="n" * 20, key_version=5)).entry("e", "rejected", ARRIVED)
    found = attempt(key=KEY).entry("e", "rejected", ARRIVED)
    assert (claimed.key_version, claimed.actor) == (5, None)
    assert (found.key_version, found.actor) == (7, None)
