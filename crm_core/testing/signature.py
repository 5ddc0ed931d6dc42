"""The conformance suite of signature schemes, which a scheme's own tests inherit.

::

    class TestShared(SchemeSuite):
        scheme_class = Shared

A scheme that verifies keys of both kinds is tested once for each: ``key_kind = "public"`` in a second class. A scheme
without a nonce in its headers makes one of what identifies the message, such as the signature.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_core.errors import (
    AmbiguousSignature,
    KeyUnknown,
    PushError,
    SignatureIncomplete,
    SignatureMalformed,
    SignatureMissing,
)
from crm_core.model.ed25519 import public_key_of
from crm_core.model.keys import Key, KeyKind
from crm_core.plugin.signature import SignatureScheme, SignedRequest
from crm_core.testing.promises import Suite
from crm_core.testing.signature_fuzz import fuzz, respelled

KEY = bytes(range(1, 33))
OTHER_KEY = bytes(range(2, 34))
KEY_VERSION = 2
TIMESTAMP = 1790000000
NONCE = "n0nce-0123456789abcdef"

# The suite's methods run for each scheme's class: the same property with another executor, on purpose.
_any_bytes = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
# Header values from a server: bytes decoded as latin-1; and, to be safe, any other text.
_header_text = st.one_of(
    st.binary(max_size=80).map(lambda raw: raw.decode("latin-1")),
    st.text(max_size=80),
    st.text(alphabet='()"=;:,?@*.- \tabv1', max_size=80),
)


def push_request(body: bytes = b'{"tenant":"northwind"}', tenant: str = "northwind") -> SignedRequest:
    """A push without a signature."""
    return SignedRequest(
        method="POST",
        path=f"/i/eu1/t/{tenant}/api/v1/sync/branding",
        query=None,
        authority="crm.example",
        headers=(("content-type", "application/json"),),
        body=body,
        instance="eu1",
        tenant=tenant,
        payload_type="branding",
    )


def with_headers(request: SignedRequest, headers: Mapping[str, str]) -> SignedRequest:
    """The request with more headers, their names in lower case as from a server."""
    further = tuple((name.lower(), value) for name, value in headers.items())
    return msgspec.structs.replace(request, headers=request.headers + further)


def accepts(scheme: SignatureScheme, request: SignedRequest, key: bytes | Key) -> bool:
    """Whether the scheme accepts the request as signed with the key (bytes: a secret); an error is a refusal."""
    try:
        return scheme.verifies(request, scheme.read(request), Key(KEY_VERSION, key) if isinstance(key, bytes) else key)
    except PushError:
        return False


class SchemeSuite(Suite):
    """Inherit it in a test class and name the scheme's class. ``key_kind`` None: the first kind that it verifies."""

    scheme_class: ClassVar[type[SignatureScheme]]
    key_kind: ClassVar[KeyKind | None] = None

    def verifying(self, key: bytes = KEY, kind: KeyKind | None = None) -> Key:
        """The key that the receiver has: the secret, or the public key of a private one."""
        kind = kind or self.key_kind or self.scheme_class.KEY_KINDS[0]
        return Key(KEY_VERSION, key if kind == "secret" else public_key_of(key), kind=kind)

    def signed(self, request: SignedRequest | None = None, timestamp: int = TIMESTAMP) -> SignedRequest:
        """A request with the headers from the scheme's ``sign``, or ``sign_private``."""
        plain, scheme = request or push_request(), self.scheme_class()
        sign = scheme.sign if self.verifying().kind == "secret" else scheme.sign_private
        return with_headers(plain, sign(plain, KEY, KEY_VERSION, timestamp, NONCE))

    def replaced(self, old: str, new: str) -> SignedRequest:
        """A signed request with a text in its headers replaced."""
        request = self.signed()
        headers = tuple((name, value.replace(old, new)) for name, value in request.headers)
        assert headers != request.headers, f"no header contains {old}, so the scheme does not sign it"
        return msgspec.structs.replace(request, headers=headers)

    def test_its_own_signature_matches(self) -> None:
        """A signature from ``sign`` is read with its timestamp and nonce, and matches under the same key."""
        request, scheme = self.signed(), self.scheme_class()
        presented = scheme.read(request)
        assert presented.timestamp == TIMESTAMP, "the timestamp that is signed is the one that read returns"
        assert presented.nonce == NONCE or not self._sends_its_nonce(), "a nonce that is sent is the one read returns"
        assert presented.key_version in (None, KEY_VERSION)
        assert scheme.verifies(request, presented, self.verifying()) is True

    def test_each_message_has_its_own_nonce(self) -> None:
        """The same request has the same nonce; without one in the headers another message has another nonce."""
        scheme, nonce = self.scheme_class(), self.scheme_class().read(self.signed()).nonce
        assert scheme.read(self.signed()).nonce == nonce, "a replayed request has another nonce, so it is applied again"
        if not self._sends_its_nonce():
            others = (self.signed(push_request(b"{}")), self.signed(timestamp=TIMESTAMP + 1))
            assert all(scheme.read(other).nonce != nonce for other in others), "two messages share a nonce"

    def test_a_replay_in_another_spelling_has_the_same_nonce(self) -> None:
        """Anyone can pad, reorder or respell what no signature covers: if it still matches, it is the same message."""
        request, scheme = self.signed(), self.scheme_class()
        nonce = scheme.read(request).nonce
        for other in respelled(request, scheme.HEADERS):
            if accepts(scheme, other, self.verifying()):
                assert scheme.read(other).nonce == nonce, f"a replay with {other.headers} would be applied again"

    def test_a_key_of_the_other_kind_does_not_match(self) -> None:
        """A signature does not match the same bytes as a key of the other kind: no MAC is made with a public key."""
        mine = self.verifying()
        other: KeyKind = "public" if mine.kind == "secret" else "secret"
        if other in self.scheme_class.KEY_KINDS:
            for key in (Key(KEY_VERSION, mine.material, kind=other), self.verifying(kind=other)):
                assert not accepts(self.scheme_class(), self.signed(), key)

    def test_an_empty_body_can_be_signed(self) -> None:
        """A signed request without a body, such as for health, matches."""
        request = msgspec.structs.replace(push_request(b""), method="GET", payload_type="health")
        assert accepts(self.scheme_class(), self.signed(request), self.verifying())

    def test_any_bytes_can_be_signed(self) -> None:
        """A body that is not text can be signed."""
        assert accepts(self.scheme_class(), self.signed(push_request(b"\xff\x00\r\n\x80")), self.verifying())

    def test_another_key_does_not_match(self) -> None:
        """A signature with one key does not match under another."""
        assert not accepts(self.scheme_class(), self.signed(), self.verifying(OTHER_KEY))

    @pytest.mark.parametrize("body", [b"", b'{"tenant":"northwinD"}', b'{"tenant":"northwind"} '])
    def test_a_changed_body_is_refused(self, body: bytes) -> None:
        """A body with a byte added, removed or changed does not match."""
        assert not accepts(self.scheme_class(), msgspec.structs.replace(self.signed(), body=body), self.verifying())

    def test_a_changed_nonce_is_refused(self) -> None:
        """A nonce that is sent is signed, so a captured push cannot get a new one."""
        if self._sends_its_nonce():
            assert not accepts(self.scheme_class(), self.replaced(NONCE, NONCE.swapcase()), self.verifying())

    @pytest.mark.parametrize("between", ["", *".:;,|/_-"])
    def test_no_other_message_has_the_same_signature(self, between: str) -> None:
        """A part of the body that is sent as a part of the nonce makes another message, for any sign between."""
        if self._sends_its_nonce():
            body = b'{"tenant":"northwind"}'
            request = self.signed(push_request(f"moved{between}".encode() + body))
            headers = tuple((name, text.replace(NONCE, f"{NONCE}{between}moved")) for name, text in request.headers)
            moved = msgspec.structs.replace(request, headers=headers, body=body)
            assert not accepts(self.scheme_class(), moved, self.verifying()), "the signed text has no clear borders"

    def test_a_changed_timestamp_is_refused(self) -> None:
        """The timestamp is signed, so a captured push cannot get a newer one."""
        assert not accepts(self.scheme_class(), self.replaced(str(TIMESTAMP), str(TIMESTAMP + 1)), self.verifying())

    @pytest.mark.parametrize("number", ["9" * 30, "-1", "1e9", "\u0661"])
    def test_a_number_of_any_size_is_refused_by_name(self, number: str) -> None:
        """A timestamp that is no number of seconds, or one that no clock reaches, is refused and not passed on."""
        self._is_total_for(self.replaced(str(TIMESTAMP), number))

    def test_signs_instance_is_true(self) -> None:
        """A scheme refuses a push sent on to another instance if, and only if, it declares SIGNS_INSTANCE."""
        moved = msgspec.structs.replace(
            self.signed(), instance="us2", path="/i/us2/t/northwind/api/v1/sync/branding", authority="us2.example"
        )
        assert accepts(self.scheme_class(), moved, self.verifying()) is not self.scheme_class.SIGNS_INSTANCE

    def test_its_headers_are_lower_case_and_sent(self) -> None:
        """HEADERS has names in lower case, and ``sign`` returns some of them; others may be aliases of these."""
        assert all(name == name.lower() for name in self.scheme_class.HEADERS), "HEADERS are in lower case"
        assert self._sent_headers(), "sign returns none of HEADERS, so the core would not find the scheme"

    def test_each_header_is_required(self) -> None:
        """A request without one of the scheme's headers has no signature."""
        request = self.signed()
        for absent in self._sent_headers():
            headers = tuple(header for header in request.headers if header[0] != absent)
            with pytest.raises(SignatureMissing):
                self.scheme_class().read(msgspec.structs.replace(request, headers=headers))

    def test_no_header_may_be_repeated(self) -> None:
        """A repeated header of the scheme is malformed: two readers could pick different ones."""
        request = self.signed()
        for twice in self._sent_headers():
            headers = (*request.headers, (twice, request.one(twice)))
            with pytest.raises(SignatureMalformed):
                self.scheme_class().read(msgspec.structs.replace(request, headers=headers))

    @_any_bytes
    @given(data=st.data())
    def test_arbitrary_headers_get_a_named_refusal(self, data: st.DataObject) -> None:
        """For any header values the scheme returns, or raises an error of its interface."""
        values = {name: data.draw(_header_text, label=name) for name in self.scheme_class.HEADERS}
        self._is_total_for(with_headers(push_request(), values))

    @_any_bytes
    @given(data=st.data())
    def test_damaged_headers_get_a_named_refusal(self, data: st.DataObject) -> None:
        """A valid header with text removed or inserted is refused by name, or does not match under another key."""
        request = self.signed()
        at = data.draw(st.integers(1, len(request.headers) - 1), label="header")
        name, value = request.headers[at]
        start = data.draw(st.integers(0, len(value)), label="start")
        end = data.draw(st.integers(start, len(value)), label="end")
        damaged = value[:start] + data.draw(_header_text, label="put in") + value[end:]
        headers = (*request.headers[:at], (name, damaged), *request.headers[at + 1 :])
        self._is_total_for(msgspec.structs.replace(request, headers=headers))

    def test_hostile_requests_are_refused_by_name(self) -> None:
        """Damaged and random requests get a named refusal, and never match if anything signed was changed.

        ``CRM_FUZZ`` sets their number.
        """
        plain = push_request()
        rounds = int(os.environ.get("CRM_FUZZ", "1000"))
        keys = {"key": self.verifying(), "other": self.verifying(OTHER_KEY)}
        outcomes = fuzz(self.scheme_class(), plain, self.signed(plain), **keys, rounds=rounds)
        print(f"{self.scheme_class.NAME}: {rounds} hostile requests:", dict(outcomes.most_common()))  # noqa: T201 - shown by make fuzz
        assert outcomes.total() == rounds
        assert {"signature_missing", "signature_malformed", "not matched"} <= outcomes.keys()

    def _sent_headers(self) -> tuple[str, ...]:
        """Those of HEADERS that ``sign`` returns."""
        sent = {name for name, _ in self.signed().headers}
        return tuple(name for name in self.scheme_class.HEADERS if name in sent)

    def _sends_its_nonce(self) -> bool:
        """Whether the nonce that ``sign`` receives is in a header."""
        return any(NONCE in value for _, value in self.signed().headers)

    def _is_total_for(self, request: SignedRequest) -> None:
        scheme = self.scheme_class()
        try:
            presented = scheme.read(request)
        except (SignatureMissing, SignatureMalformed, AmbiguousSignature, KeyUnknown):
            return
        assert type(presented.timestamp) is int, f"a timestamp is whole seconds, but is {presented.timestamp!r}"
        for number in (presented.timestamp, presented.key_version or 0, presented.expires or 0):
            assert 0 <= number < 2**53, f"times and versions are from 0 to 2^53 - 1, but one is {number}"
        assert 1 <= len(presented.nonce) <= 256, f"a nonce has 1 to 256 characters, but is {presented.nonce!r}"
        try:
            matched = scheme.verifies(request, presented, self.verifying(OTHER_KEY))
            assert matched is False, f"a request that was never signed with this key must not match: {request}"
        except (SignatureIncomplete, SignatureMalformed):
            return
