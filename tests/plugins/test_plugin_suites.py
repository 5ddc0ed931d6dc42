from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
import pytest

from crm_branding.payload import BrandingType
from crm_core.errors import Finding, PluginFailed, SignatureMalformed
from crm_core.plugin.payload import PayloadContext, PayloadType, secret
from crm_core.plugin.signature import Presented, SignatureScheme, SignedRequest, read_timestamp
from crm_core.testing.payload import PayloadTypeSuite
from crm_core.testing.signature import SchemeSuite
from crm_features.payload import FeaturesType
from crm_smtp.payload import SmtpType
from crm_workspace.payload import WorkspaceType


class TestFeatures(PayloadTypeSuite):
    payload_type_class = FeaturesType
    valid = {  # noqa: RUF012 -- a constant of the suite
        "plan": {"code": "pro", "features": ["customers.*", "deals.view"]},
        "overrides": {"deals.export": True},
        "modules": {"deals": {"enabled": True, "order": 3}},
        "roles": {"agent": {"grant": ["*.view"], "deny": ["deals.export"]}},
        "limits": {"customers": 10},
        "subscription": {"state": "trial", "ends_at": "2027-01-31T00:00:00Z"},
    }


class TestBranding(PayloadTypeSuite):
    payload_type_class = BrandingType
    valid = {  # noqa: RUF012 -- a constant of the suite
        "title": "Nordwind",
        "logo_url": "https://example.com/logo.png",
        "colors": {"primary": "#0b5cad", "background": "#ffffff"},
        "footer": {"links": [{"label": "Help", "url": "https://example.com"}]},
        "support": {"email": "help@example.com"},
    }


class TestSmtp(PayloadTypeSuite):
    payload_type_class = SmtpType
    valid = {  # noqa: RUF012 -- a constant of the suite
        "host": "smtp.example.com",
        "port": 587,
        "security": "starttls",
        "username": "mailer",
        "password": "not-a-real-password",
        "from_email": "crm@example.com",
    }


class TestWorkspace(PayloadTypeSuite):
    payload_type_class = WorkspaceType
    valid = {  # noqa: RUF012 -- a constant of the suite
        "locale": "en-GB",
        "timezone": "Europe/Berlin",
        "currency": "EUR",
        "business_hours": {"monday": [{"from": "09:00", "to": "17:00"}]},
    }


class LeakySection(msgspec.Struct):
    key: Annotated[str, secret(bound_to=("host",))] | msgspec.UnsetType = msgspec.UNSET
    name: str | msgspec.UnsetType = msgspec.UNSET


class Leaky(PayloadType):
    """Reveals its secret, raises on absent members, accepts unknown ones, and refuses its valid part."""

    NAME = "leaky"
    SECTION = LeakySection

    def validate(self, part: Any, context: PayloadContext) -> Iterable[Finding]:
        yield Finding("name", "No", f"{part.name.title()}: the key {part.key} is no good")

    def modules(self, part: Any) -> Iterable[tuple[str, str]]:
        return [("/name", "deals")]


@pytest.mark.parametrize(
    "case",
    [
        "the_valid_part_is_accepted",
        "every_member_may_be_left_out",
        "the_core_accepts_it",
        "no_finding_reveals_a_secret",
        "modules_have_pointers_to_their_names",
    ],
)
def test_the_suite_fails_on_a_type_that_breaks_its_promises(case: str) -> None:
    """A careless payload type fails each case that it breaks."""

    class Suite(PayloadTypeSuite):
        payload_type_class = Leaky
        valid = {"key": "hunter2", "name": "x"}  # noqa: RUF012 -- a constant of the suite

    with pytest.raises((AssertionError, AttributeError)) as failed:
        getattr(Suite(), f"test_{case}")()
    assert failed.value.__notes__[0].startswith("Expected: "), "a failed case shows the promise that was broken"


def test_the_suite_names_all_that_stops_a_start() -> None:
    """A section that accepts unknown members, and a secret bound to none, are both named."""

    class Suite(PayloadTypeSuite):
        payload_type_class = Leaky

    with pytest.raises(AssertionError) as caught:
        Suite().test_the_core_accepts_it()
    assert "forbid_unknown_fields=True" in str(caught.value)
    assert "bound to host, which is no member" in str(caught.value)


class Sized(msgspec.Struct, forbid_unknown_fields=True):
    size: int | msgspec.UnsetType = msgspec.UNSET


class Careless(PayloadType):
    """Declares what its own section or the core refuses, and reads members that may be absent."""

    NAME = "careless"
    SECTION = Sized
    SCHEMA_VERSION = 2

    def upgrade(self, data: dict[str, Any], from_version: int) -> dict[str, Any]:
        return {"size": data["length"]}


@pytest.mark.parametrize(
    ("members", "case", "words"),
    [
        ({"EXAMPLE": {"size": "large"}}, "the_example_is_accepted", "must have the section's types"),
        ({"mail_server": lambda *_: {}}, "its_meaning_has_the_form_that_the_core_reads", "failed in mail_server"),
        ({"regional": lambda _, part: part.size + 1}, "its_meaning_has_the_form_that_the_core_reads", "in regional"),
        ({}, "a_section_of_any_earlier_version_may_lack_every_member", "failed in upgrade"),
    ],
)
def test_the_suite_finds_what_would_only_show_in_an_instance(members: dict[str, Any], case: str, words: str) -> None:
    """A refused example, a meaning of another form, and an upgrade that needs members fail their case."""
    careless = type("Made", (Careless,), members)
    suite = type("Suite", (PayloadTypeSuite,), {"payload_type_class": careless, "valid": {"size": 5}})()
    with pytest.raises((AssertionError, PluginFailed), match=words):
        getattr(suite, f"test_{case}")()


class Padded(SignatureScheme):
    """A scheme with a list of signatures, whose nonce is the first of them: a false one in front makes a replay new."""

    NAME = "padded"
    HEADERS = ("x-stamp", "x-macs")

    def read(self, request: SignedRequest) -> Presented:
        macs = request.one("x-macs").split(",")
        if not all(re.fullmatch("[0-9a-f]{64}", mac) for mac in macs):
            raise SignatureMalformed("Each MAC is 64 lower-case hex digits.")
        return Presented(timestamp=read_timestamp(request.one("x-stamp"), "X-Stamp"), nonce=macs[0], evidence=macs)

    def matches(self, request: SignedRequest, presented: Presented, key: bytes) -> bool:
        right = hmac.new(key, f"{presented.timestamp}.".encode() + request.body, "sha256").hexdigest()
        return any(hmac.compare_digest(right, mac) for mac in presented.evidence)

    def sign(self, request: SignedRequest, key: bytes, key_version: int, timestamp: int, nonce: str) -> dict[str, str]:
        mac = hmac.new(key, f"{timestamp}.".encode() + request.body, "sha256").hexdigest()
        return {"x-stamp": str(timestamp), "x-macs": mac}


def test_the_suite_finds_a_nonce_that_a_replay_can_change() -> None:
    """A padded list of signatures is the same message; a scheme that takes it for another fails that case alone."""
    suite = type("Suite", (SchemeSuite,), {"scheme_class": Padded})()
    suite.test_its_own_signature_matches()
    suite.test_each_message_has_its_own_nonce()
    with pytest.raises(AssertionError, match="would be applied again"):
        suite.test_a_replay_in_another_spelling_has_the_same_nonce()


class Dotted(SignatureScheme):
    """The body follows the nonce after a sign that a nonce may have, and numbers are passed on as they are."""

    NAME = "dotted"
    HEADERS = ("x-stamp", "x-nonce", "x-mac")
    BETWEEN = "."

    def read(self, request: SignedRequest) -> Presented:
        stamp, nonce, mac = (request.one(name) for name in self.HEADERS)
        if not stamp.isdecimal() or not re.fullmatch("[!-~]{16,128}", nonce):
            raise SignatureMalformed("Send digits, and a nonce of printable characters.")
        return Presented(timestamp=int(stamp), nonce=nonce, evidence=mac)

    def text(self, request: SignedRequest, timestamp: int, nonce: str) -> bytes:
        return f"{timestamp}{self.BETWEEN}{nonce}{self.BETWEEN}".encode() + request.body

    def matches(self, request: SignedRequest, presented: Presented, key: bytes) -> bool:
        right = hmac.new(key, self.text(request, presented.timestamp, presented.nonce), "sha256").hexdigest()
        return hmac.compare_digest(right.encode(), presented.evidence.encode())

    def sign(self, request: SignedRequest, key: bytes, key_version: int, timestamp: int, nonce: str) -> dict[str, str]:
        mac = hmac.new(key, self.text(request, timestamp, nonce), "sha256").hexdigest()
        return {"x-stamp": str(timestamp), "x-nonce": nonce, "x-mac": mac}


class Lines(Dotted):
    BETWEEN = "\n"


@pytest.mark.parametrize("between", ["", ".", ":", "_"])
def test_the_suite_finds_a_signature_that_fits_two_messages(between: str) -> None:
    """A part of the body can be sent as a part of the nonce, unless no nonce has the sign between the two."""
    scheme = type("Between", (Dotted,), {"BETWEEN": between})
    suite = type("Suite", (SchemeSuite,), {"scheme_class": scheme})()
    with pytest.raises(AssertionError, match="no clear borders"):
        suite.test_no_other_message_has_the_same_signature(between)
    good = type("Suite", (SchemeSuite,), {"scheme_class": Lines})()
    good.test_no_other_message_has_the_same_signature(between)


def test_the_suite_finds_a_number_without_a_limit() -> None:
    """A timestamp of thirty digits fits no log."""
    suite = type("Suite", (SchemeSuite,), {"scheme_class": Lines})()
    with pytest.raises(AssertionError, match=r"2\^53"):
        suite.test_a_number_of_any_size_is_refused_by_name("9" * 30)
