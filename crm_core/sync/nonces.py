"""The nonces of signed health requests: in memory only, since these requests change nothing."""

from __future__ import annotations

from typing import Final

from crm_core.model.times import to_wire
from crm_core.sync.push_request import Attempt
from crm_core.sync.signature_checks import Original, replayed

_LIMIT: Final = 50_000  # beyond it the oldest is dropped: reading health twice does no harm


class HealthNonces:
    """Refuses a health request that comes a second time."""

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
        received_at = to_wire(push.received_at)
        self._used[place] = Original(request_id=push.request_id, received_at=received_at, status="health", version=None)

    def give_back(self, attempt: Attempt) -> None:
        """Forget the nonce of a request that could not be answered, so that it may be sent again."""
        self._used.pop(_place(attempt), None)


def _place(attempt: Attempt) -> tuple[str, int, str]:
    key, presented = attempt.verified_by()
    return attempt.push.tenant, key.version, presented.nonce
