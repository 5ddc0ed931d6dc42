"""A whole instance on its own socket, with its use cases available: the base of tests over the wire."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import httpx

from crm_core.compose import application, clock, open_backend
from crm_core.model.caller import Caller
from crm_core.server.limits import Deadlines
from crm_core.server.serve import serve
from crm_core.services import Services
from crm_core.settings.configuration import Configuration
from crm_core.settings.installation import install
from plain_http import PLAIN

KEY = bytes(range(1, 33))
FILES = {
    "instance.yaml": (
        "instance: eu1\nlisten: 127.0.0.1:0\ntenants_dir: ../tenants\nsecret_key: base64:{secret}\n"
        "sync: {{unverified_per_minute: 100000}}\n"
    ),
    "keys.yaml": (
        "tenants:\n"
        "  northwind: {{keys: [{{version: 2, secret: 'hex:{key}'}}]}}\n"
        "  contoso: {{keys: [{{version: 1, secret: 'hex:{other}'}}]}}\n"
    ),
}
ALL = {"code": "all", "name": "All", "features": ["customers.*", "deals.*", "tasks.*", "reports.*"]}
SCOPES = tuple(f"{name}:{access}" for name in ("customers", "deals", "tasks") for access in ("read", "write", "delete"))


@dataclass
class Instance:
    """The running instance ``eu1`` with the tenants ``northwind`` (key version 2) and ``contoso`` (1)."""

    url: str
    services: Services
    versions: count[int]

    def base(self, tenant: str = "northwind") -> str:
        """The address of a tenant's API."""
        return f"{self.url}/i/eu1/t/{tenant}/api/v1/"

    def client(self, credential: str | None = None, tenant: str = "northwind") -> httpx.AsyncClient:
        """A client of a tenant's API; close it, or use it as a context."""
        headers = {} if credential is None else {"Authorization": f"Bearer {credential}"}
        return httpx.AsyncClient(base_url=self.base(tenant), headers=headers, timeout=30, verify=PLAIN)

    async def token(self, *scopes: str, tenant: str = "northwind") -> str:
        """A token with these scopes; all scopes of records unless others are given."""
        return (await self.services.tokens.create(tenant, scopes=scopes or SCOPES, by=None))[0]

    async def user(self, role: str, tenant: str = "northwind", assignment: Iterable[str] | None = None) -> str:
        """The access token of a user of this role, just signed in."""
        data: dict[str, Any] = {"email": f"u{next(self.versions)}@example.com", "name": role, "role": role}
        if assignment is not None:
            data["assignment"] = list(assignment)
        user = await self.services.users.create(tenant, data, None)
        session = await self.services.sessions.open(tenant, user, "api")
        return self.services.sessions.grant(tenant, session).access_token

    def signed(self, payload_type: str, body: bytes, tenant: str = "northwind") -> dict[str, str]:
        """The header fields of a push in the native scheme."""
        key, version = (KEY, 2) if tenant == "northwind" else (KEY[::-1], 1)
        stamp, nonce = str(int(self.services.now().timestamp())), f"nonce-{next(self.versions):020d}"
        lines = [
            "crm-sync-v1",
            "eu1",
            tenant,
            payload_type,
            str(version),
            stamp,
            nonce,
            hashlib.sha256(body).hexdigest(),
        ]
        mac = hmac.new(key, "\n".join(lines).encode(), hashlib.sha256).hexdigest()
        return {
            "Content-Type": "application/json",
            "Sync-Key-Version": str(version),
            "Sync-Timestamp": stamp,
            "Sync-Nonce": nonce,
            "Sync-Signature": f"v1={mac}",
        }

    async def push(self, payload_type: str, data: Any, tenant: str = "northwind") -> dict[str, Any]:
        """Push over the wire; it must be applied."""
        envelope = {"tenant": tenant, "type": payload_type, "version": next(self.versions), "data": data}
        body = json.dumps(envelope).encode()
        async with self.client(tenant=tenant) as client:
            headers = self.signed(payload_type, body, tenant)
            answer = await client.post(f"sync/{payload_type}", content=body, headers=headers)
        assert answer.status_code == 200, answer.text
        reported: dict[str, Any] = answer.json()
        return reported


@asynccontextmanager
async def instance(
    folder: Path,
    files: dict[str, str] | None = None,
    *,
    now: Callable[[], datetime] = clock,
    random: Random | None = None,
    through_framework: bool = False,
    deadlines: Deadlines | None = None,
) -> AsyncIterator[Instance]:
    """Serve an instance from a folder, fresh or of an earlier one; ``files``: config files besides the usual ones.

    ``through_framework``: requests take the road through Quart.
    """
    config = folder / "config"
    config.mkdir(exist_ok=True)
    known = {"secret": "c2VjcmV0" * 8, "key": KEY.hex(), "other": KEY[::-1].hex()}
    for name, text in FILES.items():
        (config / name).write_text(text.format(**known))
    for name, text in (files or {}).items():
        (config / name).write_text(text)
    installation = install(config, os.environ)
    backend = await open_backend(installation)
    for tenant in ("northwind", "contoso"):
        if not await backend.has(tenant):
            await backend.create(tenant)
    services = Services(installation, backend, Configuration(installation, now), now, random)
    app = application(services)
    if through_framework:
        app.answers = lambda _request: False  # type: ignore[method-assign]
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve(
            app,
            listen="127.0.0.1:0",
            ready=address.set_result,
            on_stop=services.stop.set,
            new_request_id=services.ids.new,
            instance="eu1",
            lifespan=app.serving(),
            deadlines=deadlines,
        )
    )
    await asyncio.wait({address, serving}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()
    try:
        yield Instance(address.result(), services, count(1))
    finally:
        if not serving.done():
            os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(20):
            await serving
        await backend.close()


def caller(*scopes: str) -> Caller:
    """A token's caller with these scopes, without a token."""
    return Caller(kind="token", id="t1", name="t", revision=1, scopes=frozenset(scopes))


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem that an answer must be."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text[:500]} (expected {status} {code})"
    assert answer.headers["content-type"] == "application/problem+json"
    reported: dict[str, Any] = answer.json()
    assert reported["code"] == code, reported
    assert reported["status"] == status
    assert reported["request_id"] == answer.headers["x-request-id"]
    return reported
