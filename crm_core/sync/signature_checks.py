"""The checks before an attempt is verified: does it come from the tenant's platform, and for the first time?

Each raises its refusal, in the order of ``checks.Check``. Whether to verify never depends on anything that the sender
controls.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping
from datetime import datetime
from typing import Final

import msgspec

from crm_core.errors import (
    AmbiguousSignature,
    KeyInactive,
    KeyUnknown,
    ReceiverDisabled,
    ReplayedNonce,
    SchemeNotAccepted,
    SignatureInvalid,
    SignatureMissing,
    SourceNotAllowed,
    TimestampOutOfWindow,
    TypeNotAllowed,
    UnknownPayloadType,
)
from crm_core.model.keys import Key, TenantRoster
from crm_core.model.log import ACCEPTED
from crm_core.model.media_type import require_media_type
from crm_core.model.times import to_wire
from crm_core.plugin.payload import PayloadType
from crm_core.plugin.registry import Registry
from crm_core.plugin.signature import Presented, SignatureScheme
from crm_core.settings.sync import SyncSettings
from crm_core.sync.push_request import Attempt, PushRequest

PAYLOAD_CLAIM: Final = "payload"
FIRST_MILLISECONDS: Final = 10**11  # as seconds, the year 5138


class Original(msgspec.Struct, frozen=True, kw_only=True):
    """The request that used a nonce or applied a payload, as stored.

    ``body`` is its keyed fingerprint, ``payload_type`` that of its address (empty as 0.1 and 0.2 stored it).
    """

    request_id: str
    received_at: str
    status: str
    version: int | None
    body: str = ""
    payload_type: str = ""

    def is_repeated_by(self, fingerprints: Container[str], payload_type: str) -> bool:
        """Whether a request with this body at this address is the original sent again."""
        return self.body in fingerprints and self.payload_type in ("", payload_type)

    @classmethod
    def read(cls, evidence: bytes) -> Original:
        """Read the evidence of a claim."""
        return msgspec.json.decode(evidence, type=cls)

    def to_wire(self) -> dict[str, object]:
        """The members that a response shows."""
        return {
            "request_id": self.request_id,
            "received_at": self.received_at,
            "status": self.status,
            "version": self.version,
        }


def known_type(name: str, types: Mapping[str, PayloadType]) -> PayloadType:
    """The payload type of the address. Raises UnknownPayloadType."""
    if name not in types:
        raise UnknownPayloadType(f"Unknown payload type {name[:64]!a}. Known types: {', '.join(types)}.")
    return types[name]


def receiver_enabled(settings: SyncSettings, roster: TenantRoster) -> None:
    """Refuse if instance or tenant accepts no pushes. Raises ReceiverDisabled."""
    if not settings.enabled:
        raise ReceiverDisabled("This instance accepts no pushes: sync.enabled is false in instance.yaml.")
    if not roster.enabled:
        raise ReceiverDisabled(
            "This tenant accepts no pushes: its entry in keys.yaml is missing or says sync: disabled."
        )


async def acceptable_body(attempt: Attempt) -> None:
    """Check media type and encoding, and the size while reading. Raises UnsupportedMediaType, PayloadTooLarge."""
    media_type(attempt.push)
    attempt.body = await attempt.push.read_body()
    attempt.body_read = True


def media_type(push: PushRequest) -> None:
    """Require JSON in UTF-8, not compressed. Raises UnsupportedMediaType."""
    require_media_type(push.all("content-type"), push.all("content-encoding"), ("application/json",))


def presented_signature(
    attempt: Attempt, registry: Registry, roster: TenantRoster
) -> tuple[SignatureScheme, Presented]:
    """The scheme that the headers name, and the signature in them.

    Raises SignatureMissing, SignatureMalformed, AmbiguousSignature, SchemeNotAccepted, PluginFailed.
    """
    sent = attempt.push.last.keys()
    found = [scheme for scheme in registry.schemes.values() if not sent.isdisjoint(scheme.HEADERS)]
    if not found:
        raise SignatureMissing("The request is not signed. Send the headers of one signature scheme.")
    if len(found) > 1:
        names = " and ".join(scheme.NAME for scheme in found)
        raise AmbiguousSignature(f"The request has headers of {names}. Send those of one scheme.")
    attempt.scheme = scheme = found[0]
    if roster.schemes is not None and scheme.NAME not in roster.schemes:
        allowed = ", ".join(sorted(roster.schemes))
        raise SchemeNotAccepted(f"The scheme {scheme.NAME} is not accepted for this tenant. Use {allowed}.")
    attempt.presented = presented = registry.scheme_calls.read(scheme, attempt.request())
    return scheme, presented


def active_keys(scheme: SignatureScheme, presented: Presented, roster: TenantRoster, now: datetime) -> tuple[Key, ...]:
    """The named key, or all active keys if none is named, as far as the scheme may use them.

    Raises KeyUnknown, KeyInactive, SchemeNotAccepted.
    """
    if presented.key_version is None:
        active = roster.active(now)
        usable = tuple(key for key in active if scheme.may_use(key))
        if usable:
            return usable
        if active and not any(scheme.may_use(key) for key in roster.keys.values()):
            raise SchemeNotAccepted(f"No key of this tenant may be used with the scheme {scheme.NAME}.")
        raise KeyInactive("No key of this tenant is active now.")
    key = roster.keys.get(presented.key_version)
    if key is None:
        raise KeyUnknown(
            f"This tenant has no key of version {presented.key_version}. Sign with expected_key of sync health."
        )
    if key.kind not in scheme.KEY_KINDS:
        raise SchemeNotAccepted(
            f"The key of version {key.version} is a {key.kind} key, which {scheme.NAME} cannot use. Use another scheme."
        )
    if not scheme.may_use(key):
        allowed = ", ".join(sorted(key.schemes or ()))
        raise SchemeNotAccepted(
            f"The key of version {key.version} may not be used with the scheme {scheme.NAME}. Use {allowed}."
        )
    state = key.state(now)
    if state != "active":
        detail = f"The key of version {key.version} is {state}. Sign with expected_key of sync health."
        raise KeyInactive(detail, key_state=state)
    return (key,)


def matching_key(
    attempt: Attempt, scheme: SignatureScheme, presented: Presented, keys: Collection[Key], registry: Registry
) -> Key:
    """The key that signed, of those tried. Raises SignatureInvalid, SignatureIncomplete, PluginFailed."""
    request = attempt.request()
    calls = registry.scheme_calls
    matched = [key for key in keys if calls.matches(scheme, request, presented, key)]
    if not matched:
        raise SignatureInvalid(
            "The signature was not made with this key over these bytes. Check the bytes of the key, and that you send "
            "what you sign. crm explain finds the cause."
        )
    attempt.key, attempt.verified_signature = matched[0], True
    return matched[0]


def timely(presented: Presented, settings: SyncSettings, now: datetime) -> None:
    """Refuse a timestamp that is too old or too far ahead; the limits pass. Raises TimestampOutOfWindow."""
    skew = int(now.timestamp()) - presented.timestamp
    if skew > settings.skew_seconds or -skew > settings.future_skew_seconds:
        raise out_of_window(presented, settings, now)
    if presented.expires is not None and now.timestamp() > presented.expires:
        detail = f"The signature expired at {presented.expires}, before it arrived. Sign again, with a later end."
        raise _out_of_window(detail, presented, settings, now)


def out_of_window(presented: Presented, settings: SyncSettings, now: datetime) -> TimestampOutOfWindow:
    """The refusal of a timestamp, with both clocks."""
    skew = int(now.timestamp()) - presented.timestamp
    side = "behind" if skew > 0 else "ahead of"
    detail = (
        f"The request's clock is {abs(skew)} seconds {side} this server's. At most {settings.skew_seconds} seconds "
        f"behind and {settings.future_skew_seconds} ahead are accepted. Set the clock that is wrong."
    )
    if presented.timestamp > FIRST_MILLISECONDS:
        detail = f"The timestamp {presented.timestamp} looks like milliseconds. Send seconds."
    return _out_of_window(detail, presented, settings, now)


def nonces_forgotten(
    presented: Presented, key: Key, tenant: str, settings: SyncSettings, now: datetime
) -> TimestampOutOfWindow:
    """The refusal of a timestamp up to which the nonces of a key are forgotten, as after clocks that were ahead."""
    detail = (
        f"Key version {key.version} has signed pushes with later timestamps, whose nonces have been forgotten: this "
        f"request could be a replay. If the clocks were ahead then and are right now, ask the operator to rotate the "
        f"key: crm keys rotate {tenant}."
    )
    return _out_of_window(detail, presented, settings, now)


def _out_of_window(detail: str, presented: Presented, settings: SyncSettings, now: datetime) -> TimestampOutOfWindow:
    return TimestampOutOfWindow(
        detail,
        server_time=to_wire(now),
        skew_seconds=settings.skew_seconds,
        skew=int(now.timestamp()) - presented.timestamp,
    )


def source_allowed(key: Key, source: str | None) -> None:
    """Refuse an address that the key's networks do not contain. Raises SourceNotAllowed."""
    if not key.comes_from(source):
        raise SourceNotAllowed(f"The key of version {key.version} may not be used from this address.")


def type_allowed(key: Key, payload_type: PayloadType) -> None:
    """Refuse a section that the key may not push; those of a combined push are checked later. Raises TypeNotAllowed."""
    if payload_type.SECTION is not None and not key.admits(payload_type.NAME):
        raise section_not_allowed(key, payload_type.NAME)


def section_not_allowed(key: Key, section: str) -> TypeNotAllowed:
    """The refusal of a section that a key may not push."""
    allowed = ", ".join(sorted(key.types or ()))
    return TypeNotAllowed(f"The key of version {key.version} may not push {section}; it may push {allowed}.")


def replayed(original: Original) -> ReplayedNonce:
    """The refusal of a used nonce, with its first use."""
    detail = f"Request {original.request_id} already used this nonce. Sign again with a new one."
    if original.status in ACCEPTED:
        detail = (
            f"Request {original.request_id} already used this nonce and was accepted. If you sent it again, nothing is "
            "left to do. Sign a new push with a new nonce."
        )
    return ReplayedNonce(detail, original=original.to_wire())
