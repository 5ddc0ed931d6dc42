"""A captured request in the receiver's checks, as far as the capture and the roster say.

A receiver stops at the first check that fails; this continues with the rest, since a sender fixes all of it together.
What only the running server knows (nonces, versions, the workspace) is reported as unknown.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from crm_core.errors import (
    CrmError,
    MisdirectedInstance,
    PayloadTooLarge,
    PluginFailed,
    SignatureIncomplete,
    SignatureMalformed,
)
from crm_core.explain.addresses import MILLISECONDS, WRONG_INSTANCE, WRONG_TENANT, WRONG_TYPE, AddressNames
from crm_core.explain.captured_request import CapturedRequest
from crm_core.explain.cause import Cause
from crm_core.explain.explanation import ExplainedCheck, Explanation, ReceiverRules
from crm_core.explain.search import Search
from crm_core.model.keys import NO_ENTRY, Key, TenantRoster
from crm_core.model.names import NAME_PATTERN
from crm_core.plugin.scheme_calls import SchemeCalls
from crm_core.plugin.signature import Presented, SignatureScheme
from crm_core.sync import content_checks, signature_checks
from crm_core.sync.checks import Check
from crm_core.sync.push_request import Attempt, PushRequest

BODY_CHANGED = "body_changed"
_COMPARE = "Compare the body's SHA-256 and the key's fingerprint with what the sender has."
_PROXY_HEADERS = ("via", "x-forwarded-for", "forwarded", "x-real-ip")
_HEALTH = "health"
_PATH = re.compile(rf"/i/({NAME_PATTERN})/t/({NAME_PATTERN})/api/v1/sync/([a-z][a-z0-9_-]{{0,63}})", re.ASCII)
_ANY_PATH = re.compile(r"/i/([^/?]*)/t/([^/?]*)/api/v1/sync/([^/?]*)")
_UNREADABLE = "the signature cannot be read"
_SERVER_ONLY = "only the server knows"
_PREVIEW = "only the server knows; crm push --preview asks it"


def explain(
    captured: CapturedRequest, receiver: ReceiverRules, *, at: datetime | None, now: datetime, source: str | None
) -> Explanation:
    """Walk a request through the checks. ``at``: when it was received, if known; ``source``: its address, if known.

    Raises:
        ValueError: this is not a request to a receiver; the text is a sentence.
    """
    return _Walk(captured, receiver, at, now, source).explanation()


class _Walk:
    """One request and its findings."""

    def __init__(
        self, captured: CapturedRequest, receiver: ReceiverRules, at: datetime | None, now: datetime, source: str | None
    ) -> None:
        path, mark, query = captured.path.partition("?")
        match = _PATH.fullmatch(path) or _ANY_PATH.fullmatch(path)
        if match is None:
            raise ValueError(f"{path[:200]!a} is not a receiver's path; that is /i/INSTANCE/t/TENANT/api/v1/sync/TYPE.")
        instance, tenant, payload_type = match.groups()
        self._captured, self._receiver, self._source = captured, receiver, source
        self._at, self._now = at, now
        self._entry: TenantRoster = receiver.roster.tenants.get(tenant, NO_ENTRY)
        scheme, _, authority = (receiver.public_url or f"{captured.scheme}://{captured.authority}").partition("://")
        self._push = PushRequest(
            tenant=tenant,
            payload_type=payload_type,
            request_id="",
            client_request_id=None,
            source=source,
            received_at=at or now,
            method=captured.method,
            path=path,
            query=query if mark else None,
            scheme="https" if scheme == "https" else "http",
            authority=authority,
            headers=captured.headers,
            read_body=_no_body,
        )
        self._attempt = Attempt(self._push, instance, at or now, body=captured.body)
        self._search: Search | None = None
        self._checks: list[ExplainedCheck] = []
        self._causes: list[Cause] = []

    def explanation(self) -> Explanation:
        """Every check in order."""
        health = self._push.payload_type == _HEALTH
        self._check(Check.ADDRESS, self._address)
        if not health:
            enabled = partial(signature_checks.receiver_enabled, self._receiver.settings, self._entry)
            self._check(Check.RECEIVER, enabled)
            self._check(Check.BODY, self._body)
        self._signature()
        self._limits()
        self._unknown(Check.NONCE, _SERVER_ONLY)
        if not health:
            self._check(Check.ENVELOPE, self._envelope)
            for check in list(Check)[Check.ENVELOPE.number :]:
                self._unknown(check, _SERVER_ONLY if check is Check.APPLY else _PREVIEW)
        attempt, key = self._attempt, self._attempt.key
        return Explanation(
            checks=tuple(self._checks),
            causes=tuple(dict.fromkeys(self._causes)),
            notes=self._captured.notes,
            scheme=attempt.scheme.NAME if attempt.scheme else None,
            tenant=self._push.tenant,
            key=f"{self._push.tenant}:{key.version} ({key.fingerprint})" if key else None,
            signed_text=(self._search.right_text() or None) if self._search else None,
            body_bytes=len(attempt.body),
            body_sha256=hashlib.sha256(attempt.body).hexdigest(),
        )

    def _check(self, check: Check, call: Callable[[], Any]) -> CrmError | None:
        """Run a check, record its verdict, and return its refusal."""
        try:
            detail = call()
        except CrmError as error:
            self._checks.append(ExplainedCheck(check, "failed", error.code, error.detail, error.errors))
            return error
        self._checks.append(ExplainedCheck(check, "passed", detail=detail if isinstance(detail, str) else ""))
        return None

    def _unknown(self, check: Check, why: str) -> None:
        self._checks.append(ExplainedCheck(check, "unknown", detail=why))

    def _address(self) -> None:
        """Whether the tenant has a store is not checked."""
        instance, ours = self._attempt.instance, self._receiver.instance
        if instance != ours:
            words = f"The address names the instance {instance!a}; this one is {ours}."
            self._causes.append(Cause(WRONG_INSTANCE, words, "Push to the instance that serves the tenant."))
            raise MisdirectedInstance(words)
        if self._push.tenant not in self._receiver.roster.tenants:
            words = f"The address names the tenant {self._push.tenant!a}, which has no entry in keys.yaml."
            self._causes.append(Cause(WRONG_TENANT, words, "Push to a tenant of this instance."))
        if self._push.payload_type != _HEALTH:
            try:
                signature_checks.known_type(self._push.payload_type, self._receiver.registry.payload_types)
            except CrmError as error:
                self._causes.append(Cause(WRONG_TYPE, error.detail, "Push a known payload type."))
                raise

    def _body(self) -> None:
        signature_checks.media_type(self._push)
        most = self._receiver.settings.max_payload_bytes
        if len(self._attempt.body) > most:
            raise PayloadTooLarge(f"The body has {len(self._attempt.body)} bytes; at most {most} are accepted.")

    def _signature(self) -> None:
        """The signature's headers, key, match and time."""
        attempt, registry = self._attempt, self._receiver.registry
        reading = partial(signature_checks.presented_signature, attempt, registry, self._entry)
        refusal = self._check(Check.HEADERS, reading)
        scheme = attempt.scheme
        presented = attempt.presented or (_readable(registry.scheme_calls, scheme, attempt) if scheme else None)
        if scheme is None or presented is None:
            for check in (Check.KEY, Check.SIGNATURE, Check.TIMESTAMP):
                self._unknown(check, _UNREADABLE)
            return
        active = partial(signature_checks.active_keys, scheme, presented, self._entry, self._moment)
        self._check(Check.KEY, lambda: ", ".join(f"version {key.version}" for key in active()))
        meant = tuple(key for key in self._meant(presented) if key.kind in scheme.KEY_KINDS)
        self._search = Search(registry.scheme_calls, scheme, attempt.request(), presented, meant)
        malformed, unmatched = isinstance(refusal, SignatureMalformed), None
        if malformed or not meant:
            self._unknown(Check.SIGNATURE, "its form must be right first" if meant else "no key to check it with")
        else:
            matching = partial(signature_checks.matching_key, attempt, scheme, presented, meant, registry)
            unmatched = self._check(Check.SIGNATURE, lambda: f"with key version {matching().version}")
        shown = type(scheme).signed_text is not SignatureScheme.signed_text
        if attempt.key is None and shown and not isinstance(unmatched, PluginFailed):
            self._find_causes(self._search, malformed=malformed)
        self._time(presented)

    @property
    def _moment(self) -> datetime:
        return self._at or self._now

    def _meant(self, presented: Presented) -> tuple[Key, ...]:
        """The keys that the request could mean, in any state."""
        keys = self._entry.keys
        if presented.key_version is not None:
            return (keys[presented.key_version],) if presented.key_version in keys else ()
        return self._entry.active(self._moment) or tuple(keys.values())

    def _find_causes(self, search: Search, *, malformed: bool) -> None:
        """Why no key matched."""
        causes = search.causes(self._receiver.roster, self._names(), self._moment)
        if causes:
            self._causes += causes
        elif causes is None:
            self._causes.append(self._left_over(search))
        elif malformed:
            number = Check.HEADERS.number
            words = f"The signature itself is right; the form of a header is not (see check {number})."
            self._causes.append(Cause("signature_form", words, f"Write the header as check {number} says."))
        elif not any(check.code == SignatureIncomplete.code for check in self._checks):
            words = "The signature is right, but its digest is of another body: a proxy or a second serialisation"
            after = Cause(BODY_CHANGED, f"{words} changed the body after signing.", _COMPARE)
            self._causes.append(next(search.bodies(), after))

    def _left_over(self, search: Search) -> Cause:
        """The cause if no known mistake fits."""
        proxies = [name for name in _PROXY_HEADERS if self._push.all(name)]
        by = f" The header {proxies[0]} shows that a proxy forwarded it." if proxies else ""
        keys = ", ".join(f"version {key.version} {key.fingerprint}" for key in search.keys) or "none"
        words = (
            "No known mistake explains the signature: the body was changed in transit, such as by a proxy, or it was "
            f"signed with another key than the roster's ({keys}).{by}"
        )
        return Cause(BODY_CHANGED, words, _COMPARE)

    def _names(self) -> AddressNames:
        receiver = self._receiver
        host = self._captured.authority.partition(":")[0].partition(".")[0]
        types = tuple(receiver.registry.payload_types)
        return AddressNames(
            instances=(receiver.instance, *receiver.instances, host),
            tenants=tuple(receiver.roster.tenants),
            types=(*types, _HEALTH, *(f"sync/{name}" for name in types)),
            key_versions=tuple(self._entry.keys),
        )

    def _time(self, presented: Presented) -> None:
        """If the time of the push is unknown, an old request may have been in time then."""
        settings = self._receiver.settings
        skew = int(self._moment.timestamp()) - presented.timestamp
        if presented.timestamp > signature_checks.FIRST_MILLISECONDS:
            words = f"The timestamp {presented.timestamp} is in milliseconds."
            self._causes.append(Cause(MILLISECONDS, words, "Send Unix seconds."))
        elif self._at is None and skew > settings.skew_seconds:
            self._unknown(Check.TIMESTAMP, f"it is {skew} seconds old now; give the time of arrival with --at TIME")
            return
        elif skew > settings.skew_seconds or -skew > settings.future_skew_seconds:
            side = "behind" if skew > 0 else "ahead of"
            words = f"The sender's clock is {abs(skew)} seconds {side} the receiver's, or the request was delayed."
            self._causes.append(Cause("clock_skew", words, "Set the clocks by NTP; sign right before sending."))
        self._check(Check.TIMESTAMP, lambda: signature_checks.timely(presented, settings, self._moment))

    def _limits(self) -> None:
        key = self._attempt.key
        if key is None:
            self._unknown(Check.KEY_LIMITS, "no key matched")
        elif key.sources is not None and self._source is None:
            allowed = ", ".join(str(network) for network in key.sources)
            self._unknown(Check.KEY_LIMITS, f"the key is for {allowed}; give the source with --source ADDRESS")
        else:
            self._check(Check.KEY_LIMITS, lambda: self._allowed(key))

    def _allowed(self, key: Key) -> None:
        signature_checks.source_allowed(key, self._source)
        types = self._receiver.registry.payload_types
        if self._push.payload_type in types:
            signature_checks.type_allowed(key, types[self._push.payload_type])

    def _envelope(self) -> None:
        registry = self._receiver.registry
        payload_type = signature_checks.known_type(self._push.payload_type, registry.payload_types)
        envelope = content_checks.readable_push(self._attempt, payload_type)
        parts = content_checks.parts_of(envelope, payload_type, registry)
        if self._attempt.key is not None:
            content_checks.sections_allowed(self._attempt.key, parts, registry.sections)


def _readable(calls: SchemeCalls, scheme: SignatureScheme, attempt: Attempt) -> Presented | None:
    """The headers' content, even if one of them is malformed and the others are right."""
    request = attempt.request()
    try:
        return calls.read(scheme, request)
    except CrmError:
        pass
    try:  # a scheme for public keys alone cannot: nothing can be signed without the platform's private key
        signed = calls.sign(scheme, "secret", request, bytes(32), 1, 0, "0" * 16)
    except CrmError:
        return None
    right = {name.lower(): value for name, value in signed.items()}
    for bad in (name for name in scheme.HEADERS if name in right):
        headers = tuple((name, right[bad] if name == bad else value) for name, value in request.headers)
        try:
            return calls.read(scheme, msgspec.structs.replace(request, headers=headers))
        except CrmError:
            continue
    return None


async def _no_body() -> bytes:
    raise LookupError("the attempt has the body of the capture")
