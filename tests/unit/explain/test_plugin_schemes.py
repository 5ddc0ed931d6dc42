"""Schemes of plugins, which may show no signed text, or fail."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from crm_core.explain.captures import read_capture
from crm_core.explain.explanation import Explanation, ReceiverRules
from crm_core.explain.walk import explain
from crm_core.model.keys import Key, Roster, TenantRoster
from crm_core.plugin import hookimpl
from crm_core.plugin.host import PluginHost
from crm_core.plugin.registry import build_registry
from crm_core.plugin.signature import Presented, SignatureScheme, SignedRequest, read_timestamp
from crm_core.settings.sync import SyncSettings

AT = datetime.fromtimestamp(1790000000, UTC)
SECRET = bytes(range(1, 33))


class Silent(SignatureScheme):
    """A complete scheme; to show the signed text is optional."""

    NAME, HEADERS, SIGNS_INSTANCE = "silent", ("x-stamp", "x-mac"), False

    def read(self, request: SignedRequest) -> Presented:
        stamp, mac = (request.one(name) for name in self.HEADERS)
        return Presented(timestamp=read_timestamp(stamp, "X-Stamp"), nonce=mac[:16], evidence=mac)

    def matches(self, request: SignedRequest, presented: Presented, key: bytes) -> bool:
        return hmac.compare_digest(hmac.new(key, request.body, "sha256").hexdigest(), presented.evidence)

    def sign(
        self, request: SignedRequest, key: bytes, key_version: int, timestamp: int, nonce: str
    ) -> Mapping[str, str]:
        del key_version, nonce
        return {"X-Stamp": str(timestamp), "X-Mac": hmac.new(key, request.body, "sha256").hexdigest()}


class Failing(Silent):
    """Fails in the method of this name."""

    def __init__(self, where: str) -> None:
        def fails(*_: object) -> None:
            raise RuntimeError("secret detail")

        setattr(self, where, fails)

    def signed_text(self, request: SignedRequest, presented: Presented) -> bytes:
        return request.body


def explained(scheme: SignatureScheme, stamp: str = "1790000000") -> Explanation:
    """The explanation of a push whose signature is wrong."""

    def schemes() -> list[SignatureScheme]:
        return [scheme]

    host = PluginHost()
    host.load_entry_points()
    host.register(SimpleNamespace(crm_register_signature_schemes=hookimpl(schemes)), "acme")
    receiver = ReceiverRules(
        instance="eu1",
        settings=SyncSettings(),
        roster=Roster({"northwind": TenantRoster(keys={2: Key(2, SECRET)})}),
        registry=build_registry(host),
    )
    head = (
        "POST /i/eu1/t/northwind/api/v1/sync/branding HTTP/1.1\r\nHost: crm.example\r\nContent-Type: application/json"
    )
    raw = f"{head}\r\nX-Stamp: {stamp}\r\nX-Mac: {'0' * 64}\r\n\r\n{{}}".encode()
    captured = read_capture(raw, url=None, body=None, read_file=lambda _: b"")
    return explain(captured, receiver, at=AT, now=AT, source=None)


def codes(explanation: Explanation) -> dict[int, str | None]:
    """The code of each check that failed, by number."""
    return {check.check.number: check.code for check in explanation.checks if check.verdict == "failed"}


def test_a_scheme_may_show_no_signed_text() -> None:
    """The checks are walked as for any scheme; without the text no cause is guessed."""
    explanation = explained(Silent())
    assert codes(explanation)[6] == "signature_invalid"
    assert (explanation.scheme, explanation.signed_text, explanation.causes) == ("silent", None, ())


@pytest.mark.parametrize(
    ("where", "stamp", "check", "code"),
    [
        ("read", "1790000000", 4, "plugin_failed"),
        ("matches", "1790000000", 6, "plugin_failed"),
        ("signed_text", "1790000000", 6, "signature_invalid"),
        ("sign", "yesterday", 4, "signature_malformed"),
    ],
)
def test_a_scheme_that_fails_is_an_answer(where: str, stamp: str, check: int, code: str) -> None:
    """The rest is explained, and no traceback ends the command."""
    explanation = explained(Failing(where), stamp)
    assert codes(explanation)[check] == code
    assert "secret detail" not in repr(explanation)
