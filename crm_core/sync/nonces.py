"""The nonces of pushes, as claims in the store, and those of signed health requests, in memory only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from crm_core.model.keys import Key, TenantRoster
from crm_core.plugin.storage import StorageBackend
from crm_core.settings.sync import SyncSettings
from crm_core.sync.push_request import Attempt
from crm_core.sync.signature_checks import Original, replayed

_LIMIT: Final = 50_000  # beyond it the oldest is dropped: reading health twice does no harm


def nonce_claim(key: Key) -> str:
    """The kind of the claims of a key's nonces."""
    return f"nonce:{key.version}"


def other_keys(attempt: Attempt, roster: TenantRoster, settings: SyncSettings, now: datetime) -> tuple[Key, ...]:
    """The keys under which the same message may have come before, for a scheme that names no key.

    A message may have signatures of several keys. Without one of them it is still signed, by another key.
    """
    key, presented = attempt.verified_by()
    if presented.key_version is not None or attempt.scheme is None:
        return ()
    earliest = presented.timestamp - settings.future_skew_seconds
    others = [each for each in roster.keys.values() if each is not key and attempt.scheme.may_use(each)]
    begun = [each for each in others if each.state(now) != "staged"]
    return tuple([each for each in begun if each.not_after is None or each.not_after.timestamp() >= earliest])


def nonce_places(attempt: Attempt) -> list[tuple[str, str]]:
    """The claims of the nonce: that of the key that signed, then those of ``other_keys``."""
    key, presented = attempt.verified_by()
    return [(nonce_claim(each), presented.nonce) for each in (key, *attempt.other_keys)]


async def first_use(backend: StorageBackend, attempt: Attempt) -> Original | None:
    """The request that used the nonce of an attempt, if one did."""
    evidence = [await backend.claim(attempt.push.tenant, *place) for place in nonce_places(attempt)]
    return _original(attempt, evidence)


def unused_nonce(attempt: Attempt, evidence: Sequence[bytes | None]) -> None:
    """Refuse a nonce that was used; ``evidence``: of ``nonce_places``. Raises ReplayedNonce with the first use."""
    original = _original(attempt, evidence)
    if original is not None:
        raise replayed(original)


def _original(attempt: Attempt, evidence: Sequence[bytes | None]) -> Original | None:
    """The first use of the nonce: any under the key that signed; under other keys the same message."""
    own, *others = evidence
    if own is not None:
        return Original.read(own)
    found = (Original.read(each) for each in others if each is not None)
    return next((original for original in found if original.body in attempt.fingerprints), None)


class HealthNonces:
    """Refuses a health request that comes a second time. It changes nothing, so memory is enough."""

    def __init__(self) -> None:
        self._used: dict[tuple[str, int, str], Original] = {}

    def use(self, attempt: Attempt) -> None:
        """Use the nonce of a verified health request. Raises ReplayedNonce."""
        push, place = attempt.push, _place(attempt)
        original = self._used.get(place)
        if original is not None:
            raise replayed(original)
        if len(self._used) >= _LIMIT:
            del self._used[next(iter(self._used))]
        self._used[place] = Original(
            request_id=push.request_id, received_at=push.arrived_at, status="health", version=None
        )

    def give_back(self, attempt: Attempt) -> None:
        """Forget the nonce of a request that could not be answered, so that it may be sent again."""
        self._used.pop(_place(attempt), None)


def _place(attempt: Attempt) -> tuple[str, int, str]:
    key, presented = attempt.verified_by()
    return attempt.push.tenant, key.version, presented.nonce
