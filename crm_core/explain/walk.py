"""A captured request on its way through the receiver's checks, as far as a capture and the roster can tell.

A receiver stops at the first check that fails; here the rest is looked at too, since a sender mends all of it at once.
What only the running server knows (nonces, versions, the workspace) is said to be unknown.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from crm_core.errors import CrmError, MisdirectedInstance, PayloadTooLarge, SignatureMalformed
from crm_core.explain.addresses import FIRST_MILLISECONDS, MILLISECONDS, WRONG_INSTANCE, WRONG_TENANT, WRONG_TYPE, Names
from crm_core.explain.explanation import Cause, ExplainedCheck, Explanation, Rules
from crm_core.explain.form import Captured
from crm_core.explain.search import Search
from crm_core.model.keys import NO_ENTRY, Key, TenantRoster
from crm_core.model.names import NAME_PATTERN
from crm_core.plugin.signature import Presented, SignatureScheme
from crm_core.sync import content_checks, signature_checks
from crm_core.sync.push_request import Attempt, PushRequest

BODY_CHANGED = "body_changed"
_COMPARE = "Compare the body's SHA-256 and the key's fingerprint with what the sender has."
_PROXY_HEADERS = ("via", "x-forwarded-for", "forwarded", "x-real-ip")
_HEALTH = "health"
_PATH = re.compile(rf"/i/({NAME_PATTERN})/t/({NAME_PATTERN})/api/v1/sync/([a-z][a-z0-9_-]{{0,63}})", re.ASCII)
_ANY_PATH = re.compile(r"/i/([^/?]*)/t/([^/?]*)/api/v1/sync/([^/?]*)")


def explain(captured: Captured, rules: Rules, *, at: datetime | None, now: datetime, source: str | None) -> Explanation:
    """Walk a request through the checks. ``at``: when it was received, None where nobody knows; ``source``: from where.

    Raises ValueError with a sentence: this is no request to a receiver.
    """
    return _Walk(captured, rules, at, now, source).explanation()


class _Walk:
    """One request, and what is found on its way."""

    def __init__(
        self, captured: Captured, rules: Rules, at: datetime | None, now: datetime, source: str | None
    ) -> None:
        path, mark, query = captured.path.partition("?")
        found = _PATH.fullmatch(path) or _ANY_PATH.fullmatch(path)
        if found is None:
            raise ValueError(f"{path[:200]!a} is no receiver's path, /i/INSTANCE/t/TENANT/api/v1/sync/TYPE.")
        instance, tenant, payload_type = found.groups()
        self._captured, self._rules, self._at, self._now, self._source = captured, rules, at, now, source
        self._entry: TenantRoster = rules.roster.tenants.get(tenant, NO_ENTRY)
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
            authority=captured.authority,
            headers=captured.headers,
            read_body=_no_body,
        )
        self._attempt = Attempt(self._push, instance, at or now, body=captured.body)
        self._search: Search | None = None
        self._steps: list[ExplainedCheck] = []
        self._causes: list[Cause] = []

    def explanation(self) -> Explanation:
        """Every check in its order."""
        health = self._push.payload_type == _HEALTH
        self._check(1, "instance, tenant and type", self._address)
        if not health:
            self._check(
                2, "receiver enabled", lambda: signature_checks.receiver_enabled(self._rules.settings, self._entry)
            )
            self._check(3, "media type and size", self._body)
        self._signature()
        self._limits()
        self._unknown(9, "nonce unused", "only the server knows; a refusal as replayed_nonce tells of the first use")
        if not health:
            self._check(10, "body and address agree", self._envelope)
            self._unknown(11, "version, schema and policy", "only the server knows; crm push --preview asks it")
        return self._told()

    def _told(self) -> Explanation:
        attempt, key = self._attempt, self._attempt.key
        return Explanation(
            steps=tuple(self._steps),
            causes=tuple(dict.fromkeys(self._causes)),
            notes=self._captured.notes,
            scheme=attempt.scheme.NAME if attempt.scheme else None,
            tenant=self._push.tenant,
            key=f"{self._push.tenant}:{key.version} ({key.fingerprint})" if key else None,
            signed_text=self._search.right_text() if self._search else None,
            body_bytes=len(attempt.body),
            body_sha256=hashlib.sha256(attempt.body).hexdigest(),
        )

    def _check(self, number: int, title: str, call: Callable[[], Any]) -> CrmError | None:
        """One check, and its refusal."""
        try:
            told = call()
        except CrmError as error:
            self._steps.append(ExplainedCheck(number, title, "failed", error.code, error.detail))
            return error
        self._steps.append(ExplainedCheck(number, title, "passed", told=told if isinstance(told, str) else ""))
        return None

    def _unknown(self, number: int, title: str, told: str) -> None:
        self._steps.append(ExplainedCheck(number, title, "unknown", told=told))

    def _address(self) -> None:
        """Check 1; whether the tenant has a store is not looked at."""
        asked, ours = self._attempt.instance, self._rules.instance
        if asked != ours:
            words = f"The address names the instance {asked!a}; this one is {ours}."
            self._causes.append(Cause(WRONG_INSTANCE, words, "Push to the instance that serves the tenant."))
            raise MisdirectedInstance(words)
        if self._push.tenant not in self._rules.roster.tenants:
            words = f"The address names the tenant {self._push.tenant!a}, of whom keys.yaml knows nothing."
            self._causes.append(Cause(WRONG_TENANT, words, "Push to a tenant of this instance."))
        if self._push.payload_type != _HEALTH:
            try:
                signature_checks.known_type(self._push.payload_type, self._rules.registry.payload_types)
            except CrmError as error:
                self._causes.append(Cause(WRONG_TYPE, error.detail, "Push a payload type that is known."))
                raise

    def _body(self) -> None:
        """Check 3."""
        signature_checks.media_type(self._push)
        most = self._rules.settings.max_payload_bytes
        if len(self._attempt.body) > most:
            raise PayloadTooLarge(f"The body has {len(self._attempt.body)} bytes; up to {most} are taken.")

    def _signature(self) -> None:
        """Checks 4 to 7."""
        attempt, registry = self._attempt, self._rules.registry
        reading = partial(signature_checks.presented_signature, attempt, registry, self._entry)
        refusal = self._check(4, "signature headers", reading)
        scheme = attempt.scheme
        presented = attempt.presented or (_readable(scheme, attempt) if scheme else None)
        if scheme is None or presented is None:
            self._unknown(5, "key known and active", "no signature that can be read")
            self._unknown(6, "signature matches", "no signature that can be read")
            self._unknown(7, "time within the window", "no signature that can be read")
            return
        active = partial(signature_checks.active_keys, scheme, presented, self._entry, self._moment)
        self._check(5, "key known and active", lambda: _keys(active()))
        meant = tuple(key for key in self._meant(presented) if key.kind in scheme.KEY_KINDS)
        self._search = Search(scheme, attempt.request(), presented, meant)
        if not meant:
            self._unknown(6, "signature matches", "no key to check it with")
        elif not isinstance(refusal, SignatureMalformed):
            matching = partial(signature_checks.matching_key, attempt, scheme, presented, meant, registry)
            self._check(6, "signature matches", lambda: _key(matching()))
        else:
            self._unknown(6, "signature matches", "its form must be right first")
        if attempt.key is None:
            self._find_causes(self._search, malformed=isinstance(refusal, SignatureMalformed))
        self._time(presented)

    @property
    def _moment(self) -> datetime:
        return self._at or self._now

    def _meant(self, presented: Presented) -> tuple[Key, ...]:
        """The keys that the request could mean, whatever their state."""
        keys = self._entry.keys
        if presented.key_version is not None:
            return (keys[presented.key_version],) if presented.key_version in keys else ()
        return self._entry.active(self._moment) or tuple(keys.values())

    def _find_causes(self, search: Search, *, malformed: bool) -> None:
        """Why no key matched."""
        found = search.mistakes(self._rules.roster, self._names(), self._moment)
        if found:
            self._causes += found
        elif found is None:
            self._causes.append(self._left_over(search))
        elif malformed:
            words = "The signature itself is right; the form of a header is not (see check 4)."
            self._causes.append(Cause("signature_form", words, "Write the header as check 4 says."))
        elif not any(step.code == "signature_incomplete" for step in self._steps):
            words = "The signature is good, but the digest it covers is not this body's: the body was changed after it"
            after = Cause(BODY_CHANGED, f"{words} was signed, by a proxy or a second serialisation.", _COMPARE)
            self._causes.append(next(search.bodies(), after))

    def _left_over(self, search: Search) -> Cause:
        """What is left when no known mistake fits."""
        proxies = [name for name in _PROXY_HEADERS if self._push.all(name)]
        by = f" The header {proxies[0]} says that a proxy was in between." if proxies else ""
        keys = ", ".join(f"version {key.version} {key.fingerprint}" for key in search.keys) or "none"
        words = (
            "No known mistake explains the signature: the body was changed on its way, as by a proxy, or it was signed "
            f"with another secret than the roster's ({keys}).{by}"
        )
        return Cause(BODY_CHANGED, words, _COMPARE)

    def _names(self) -> Names:
        rules = self._rules
        host = self._push.authority.partition(":")[0].partition(".")[0]
        types = tuple(rules.registry.payload_types)
        return Names(
            instances=(rules.instance, *rules.instances, host),
            tenants=tuple(rules.roster.tenants),
            types=(*types, _HEALTH, *(f"sync/{name}" for name in types)),
            key_versions=tuple(self._entry.keys),
        )

    def _time(self, presented: Presented) -> None:
        """Check 7. Without the time of push an old request may have been in time then."""
        title, settings = "time within the window", self._rules.settings
        skew = int(self._moment.timestamp()) - presented.timestamp
        if presented.timestamp >= FIRST_MILLISECONDS:
            words = f"The time {presented.timestamp} is in milliseconds."
            self._causes.append(Cause(MILLISECONDS, words, "Send Unix seconds."))
        elif self._at is None and skew > settings.skew_seconds:
            told = f"it is {skew} seconds old by now; when it arrived is not known, --at TIME tells"
            self._unknown(7, title, told)
            return
        elif skew > settings.skew_seconds or -skew > settings.future_skew_seconds:
            side = "behind" if skew > 0 else "ahead of"
            words = f"The sender's clock is {abs(skew)} seconds {side} the receiver's, or the request lay that long."
            self._causes.append(Cause("clock_skew", words, "Set the clocks by NTP; sign right before sending."))
        self._check(7, title, lambda: signature_checks.timely(presented, settings, self._moment))

    def _limits(self) -> None:
        """Check 8."""
        key, title = self._attempt.key, "source and type allowed"
        if key is None:
            self._unknown(8, title, "no key matched")
        elif key.sources is not None and self._source is None:
            allowed = ", ".join(str(network) for network in key.sources)
            self._unknown(8, title, f"the key is for {allowed}; --source ADDRESS tells where the request came from")
        else:
            self._check(8, title, lambda: self._allowed(key))

    def _allowed(self, key: Key) -> None:
        signature_checks.source_allowed(key, self._source)
        types = self._rules.registry.payload_types
        if self._push.payload_type in types:
            signature_checks.type_allowed(key, types[self._push.payload_type])

    def _envelope(self) -> None:
        """Check 10."""
        registry = self._rules.registry
        payload_type = signature_checks.known_type(self._push.payload_type, registry.payload_types)
        envelope = content_checks.readable_push(self._attempt, payload_type)
        parts = content_checks.parts_of(envelope, payload_type, registry)
        if self._attempt.key is not None:
            content_checks.sections_allowed(self._attempt.key, parts, registry.sections)


def _readable(scheme: SignatureScheme, attempt: Attempt) -> Presented | None:
    """What the headers say, also where one of them is malformed and the others are right."""
    request = attempt.request()
    try:
        return scheme.read(request)
    except CrmError:
        pass
    if "secret" not in scheme.KEY_KINDS:
        return None  # nothing can be signed without the platform's private key
    right = {name.lower(): value for name, value in scheme.sign(request, bytes(32), 1, 0, "0" * 16).items()}
    for bad in scheme.HEADERS:
        headers = tuple((name, right[bad] if name == bad else value) for name, value in request.headers)
        try:
            return scheme.read(msgspec.structs.replace(request, headers=headers))
        except CrmError:
            continue
    return None


def _keys(keys: tuple[Key, ...]) -> str:
    return ", ".join(f"version {key.version}" for key in keys)


def _key(key: Key) -> str:
    return f"with key version {key.version}"


async def _no_body() -> bytes:
    raise LookupError("the body is in the capture")
