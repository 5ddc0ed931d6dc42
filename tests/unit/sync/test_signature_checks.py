from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest

from crm_core.errors import (
    CrmError,
    KeyInactive,
    KeyUnknown,
    SchemeNotAccepted,
    TimestampOutOfWindow,
)
from crm_core.model.keys import Key, TenantRoster
from crm_core.plugin.signature import Presented, SignatureScheme, SignedRequest
from crm_core.settings.sync import SyncSettings
from crm_core.sync import signature_checks
from crm_core.sync.signature_checks import active_keys
from crm_sync_v1.scheme import NativeScheme

NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)


class Verifying(SignatureScheme):
    """A scheme that verifies with public keys alone."""

    NAME = "verifying"
    HEADERS = ("x-verify",)
    SIGNS_INSTANCE = True
    KEY_KINDS = ("public",)

    def read(self, request: SignedRequest) -> Presented:
        raise NotImplementedError

    def matches_public(self, request: SignedRequest, presented: Presented, key: bytes) -> bool:
        raise NotImplementedError

    def sign_private(
        self, request: SignedRequest, key: bytes, key_version: int, timestamp: int, nonce: str
    ) -> Mapping[str, str]:
        raise NotImplementedError


NATIVE, VERIFYING = NativeScheme(), Verifying()


def key(version: int, **members: Any) -> Key:
    return Key(version, bytes([version]) * 32, **members)


def chosen(scheme: SignatureScheme, version: int | None, *keys: Key) -> list[int] | type[CrmError]:
    """The versions of the keys that a scheme is handed, or the refusal."""
    roster = TenantRoster(keys={one.version: one for one in keys})
    try:
        found = active_keys(scheme, Presented(timestamp=0, nonce="n", key_version=version), roster, NOW)
    except CrmError as error:
        return type(error)
    return [one.version for one in found]


@pytest.mark.parametrize(
    ("scheme", "members", "expected"),
    [
        (NATIVE, {}, [2]),
        (NATIVE, {"kind": "public"}, SchemeNotAccepted),
        (NATIVE, {"kind": "public", "schemes": frozenset({"crm-sync-v1"})}, SchemeNotAccepted),
        (NATIVE, {"schemes": frozenset({"crm-sync-v1"})}, [2]),
        (NATIVE, {"schemes": frozenset({"rfc9421"})}, SchemeNotAccepted),
        (NATIVE, {"schemes": frozenset({"rfc9421"}), "revoked": True}, SchemeNotAccepted),
        (NATIVE, {"revoked": True}, KeyInactive),
        (VERIFYING, {"kind": "public"}, [2]),
        (VERIFYING, {}, SchemeNotAccepted),
    ],
)
def test_a_named_key_is_handed_to_schemes_that_may_use_it(
    scheme: SignatureScheme, members: dict[str, Any], expected: Any
) -> None:
    """A public key cannot be signed with as if it were a secret: the scheme never receives it."""
    assert chosen(scheme, 2, key(2, **members)) == expected
    assert chosen(scheme, 3, key(2, **members)) is KeyUnknown


@pytest.mark.parametrize(
    ("members", "words"),
    [({"kind": "public"}, "is a public key"), ({"schemes": frozenset({"a", "b"})}, r"scheme crm-sync-v1\. Use a, b\.")],
)
def test_a_refused_scheme_says_why_and_what_to_use(members: dict[str, Any], words: str) -> None:
    """The refusal names the kind of the key, or the schemes to which it is limited."""
    roster = TenantRoster(keys={2: key(2, **members)})
    with pytest.raises(SchemeNotAccepted, match=words):
        active_keys(NATIVE, Presented(timestamp=0, nonce="n", key_version=2), roster, NOW)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ((key(1), key(2, kind="public"), key(3, schemes=frozenset({"rfc9421"}))), [1]),
        ((key(1), key(2, schemes=frozenset({"crm-sync-v1", "rfc9421"}))), [2, 1]),
        ((key(1, kind="public"), key(2, schemes=frozenset({"rfc9421"}))), SchemeNotAccepted),
        ((key(1, revoked=True), key(2, kind="public")), KeyInactive),
        ((key(1, revoked=True),), KeyInactive),
        ((), KeyInactive),
    ],
)
def test_if_no_key_is_named_those_that_the_scheme_may_use_are_tried(keys: tuple[Key, ...], expected: Any) -> None:
    """The newest first; a revoked key is key_inactive, only keys of other kinds are scheme_not_accepted."""
    assert chosen(NATIVE, None, *keys) == expected


@pytest.mark.parametrize(("expires", "late"), [(None, False), (1000, False), (999, True)])
def test_an_expired_signature_is_out_of_the_window(expires: int | None, late: bool) -> None:
    """A signature that names its end is refused from the second after it, however new its timestamp is."""
    presented, now = Presented(timestamp=999, nonce="n", expires=expires), datetime.fromtimestamp(1000, UTC)
    with pytest.raises(TimestampOutOfWindow, match="expired at 999") if late else nullcontext():
        signature_checks.timely(presented, SyncSettings(), now)
