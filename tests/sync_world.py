"""An instance in the tests' process: the real use cases and store, with a clock and faults that tests set.

Pushes are signed as a platform signs them; nothing goes over a network.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import msgspec

from crm_core.model.signed_text import signature, signed_text
from crm_core.plugin.storage import Committed, Conflict, Unit
from crm_core.services import Services
from crm_core.sync.push_request import PushRequest
from crm_tinydb.storage import TinyDBBackend

KEY = bytes(range(32))
SECRET = "base64:" + "c2VjcmV0" * 8


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, seconds: float) -> None:
        """Move the clock, backwards if negative."""
        self.moment += timedelta(seconds=seconds)


class Faulty(TinyDBBackend):
    """The default store with a fault that a test sets: raised before or after a commit."""

    before: Exception | None = None
    after: Exception | None = None

    async def commit(self, tenant: str, unit: Unit) -> Committed | Conflict:
        if self.before is not None:
            raise self.before
        committed = await super().commit(tenant, unit)
        if self.after is not None:
            raise self.after
        return committed


@dataclass
class World:
    """An instance in this process, with its own clock."""

    services: Services
    backend: Faulty
    clock: Clock
    serial: count[int]

    def push(
        self,
        data: Any = None,
        *,
        kind: str = "branding",
        raw: bytes | None = None,
        key: tuple[int, bytes] = (2, KEY),
        **members: Any,
    ) -> PushRequest:
        """A push signed now; ``raw`` replaces the body; ``key``: the version of the key and its bytes."""
        version, secret = key
        number = next(self.serial)
        envelope = {"tenant": "northwind", "type": kind, "version": number, "data": data, **members}
        body = msgspec.json.encode(envelope) if raw is None else raw
        stamp, nonce = int(self.clock().timestamp()), f"nonce-{number:020d}"
        text = signed_text(
            instance="eu1",
            tenant="northwind",
            payload_type=kind,
            key_version=version,
            timestamp=stamp,
            nonce=nonce,
            sha256=hashlib.sha256(body).hexdigest(),
        )
        headers = {
            "content-type": "application/json",
            "sync-key-version": str(version),
            "sync-timestamp": str(stamp),
            "sync-nonce": nonce,
            "sync-signature": "v1=" + signature(secret, text),
        }

        async def read_body() -> bytes:
            return body

        return PushRequest(
            tenant="northwind",
            payload_type=kind,
            request_id=f"request-{number}",
            client_request_id=None,
            source="192.0.2.1",
            received_at=self.clock(),
            method="POST",
            path=f"/i/eu1/t/northwind/api/v1/sync/{kind}",
            query=None,
            scheme="https",
            authority="crm",
            headers=tuple(headers.items()),
            read_body=read_body,
        )

    async def entries(self) -> list[Any]:
        """The log, newest first."""
        found, _ = await self.services.log.page("northwind", {}, limit=100, cursor=None)
        return list(found)


def recorded(world: World) -> list[Unit]:
    """The units that are committed from now on."""
    units: list[Unit] = []
    commit = world.backend.commit

    async def recording(tenant: str, unit: Unit) -> Any:
        units.append(unit)
        return await commit(tenant, unit)

    world.backend.commit = recording  # type: ignore[method-assign]
    return units


def overtaken(world: World, *, rounds: int) -> list[Unit]:
    """Have the first commits refused because the workspace has changed; the list receives every unit."""
    units: list[Unit] = []
    commit = world.backend.commit

    async def refused(tenant: str, unit: Unit) -> Any:
        units.append(unit)
        return Conflict("workspace") if len(units) <= rounds else await commit(tenant, unit)

    world.backend.commit = refused  # type: ignore[method-assign]
    return units
