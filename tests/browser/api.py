"""Another system that works with the tenant's records."""

from __future__ import annotations

from typing import Any

import httpx

from contract.box import Box

SCOPES = tuple(f"{name}:{access}" for name in ("customers", "deals", "tasks") for access in ("read", "write"))


class Api:
    """Another system that writes records of the tenant."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self._bearer = box.bearer(*SCOPES)

    def put(self, kind: str, external_id: str, **members: Any) -> dict[str, Any]:
        """Create or change a record."""
        path = f"{self.box.base()}/{kind}/external/{external_id}"
        found: dict[str, Any] = _good(self.box.client.put(path, json=members, headers=self._bearer))
        return found

    def get(self, kind: str, record_id: str) -> dict[str, Any]:
        """A record."""
        path = f"{self.box.base()}/{kind}/{record_id}"
        found: dict[str, Any] = _good(self.box.client.get(path, headers=self._bearer))
        return found


def _good(answer: httpx.Response) -> Any:
    assert answer.status_code in (200, 201), answer.text
    return answer.json()
