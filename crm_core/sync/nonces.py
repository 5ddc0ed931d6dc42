"""The nonces of signed health requests: remembered in memory only, since nothing is changed by them."""

from __future__ import annotations

from typing import Final

from crm_core.errors import ReplayedNonce
from crm_core.model.times import to_wire
from crm_core.sync.push_request import Attempt

_KEPT: Final = 50_000  # past it the oldest is forgotten: to read health twice does no harm


class HealthNonces:
    """Refuses a health request that comes a second time."""

    def __init__(self) -> None:
        self._used: dict[tuple[str, int, str], dict[str, object]] = {}

    def use(self, attempt: Attempt) -> None:
        """Use the nonce of a verified health request. Raises ReplayedNonce."""
        push, key, presented = attempt.push, attempt.key, attempt.presented
        assert key is not None
        assert presented is not None
        place = (push.tenant, key.version, presented.nonce)
        original = self._used.get(place)
        if original is not None:
            told_as = f"This nonce was used by request {original['request_id']} already; sign anew with a fresh one."
            raise ReplayedNonce(told_as, original=original)
        if len(self._used) >= _KEPT:
            del self._used[next(iter(self._used))]
        self._used[place] = {
            "request_id": push.request_id,
            "received_at": to_wire(push.received_at),
            "status": "health",
            "version": None,
        }

    def give_back(self, attempt: Attempt) -> None:
        """Forget the nonce of a request that could not be answered: the very same one may come again."""
        assert attempt.key is not None
        assert attempt.presented is not None
        self._used.pop((attempt.push.tenant, attempt.key.version, attempt.presented.nonce), None)
