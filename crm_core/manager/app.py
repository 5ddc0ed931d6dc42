"""The manager as an ASGI application: which request goes where."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from crm_core.errors import CrmError, MalformedPath, MethodNotAllowed, MisdirectedInstance, NotFound
from crm_core.manager import fields
from crm_core.manager.answers import tell, tell_error
from crm_core.manager.client import ClientLeft, Downstream
from crm_core.manager.relay import Relay, RelayedRequest
from crm_core.manager.roster import InstanceRoster
from crm_core.manager.upstream import log
from crm_core.server.paths import refused
from crm_core.server.source import UNIX, is_operator, source_of

_INSTANCES: Final = "/i/"
_OWN: Final = {"/healthz": {"status": "ok"}, "/readyz": {"status": "ready"}}


class Manager:
    """Serves ``/i/{instance}/...`` from that instance's upstreams, and answers a few addresses by itself."""

    def __init__(self, roster: InstanceRoster, relay: Relay, new_request_id: Callable[[], str]) -> None:
        self._roster = roster
        self._relay = relay
        self._new_request_id = new_request_id

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """As ASGI says."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        client = Downstream(receive)
        try:
            await self._serve(scope, client, send)
        except CrmError as error:
            await self._refuse(scope, error, send)
        except ClientLeft:
            pass
        except asyncio.CancelledError:
            if not client.left:
                raise
        finally:
            client.forget()

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        async with self._roster.in_force():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, scope: Any, client: Downstream, send: Any) -> None:
        reason = refused(scope["raw_path"])
        if reason is not None:
            raise MalformedPath(reason)
        path: str = scope["path"]
        if path.startswith(_INSTANCES):
            await self._carry(scope, client, send, path.split("/", 3)[2])
        elif path in _OWN:
            _only_get(scope)
            await tell(send, _OWN[path], self._new_request_id())
        elif path == "/-/instances" and self._is_operator(scope):
            _only_get(scope)
            await tell(send, self._roster.told(), self._new_request_id())
        else:
            raise NotFound("There is nothing at this address. Instances are at /i/{instance}/.")

    async def _carry(self, scope: Any, client: Downstream, send: Any, code: str) -> None:
        instance = self._roster.routes.find(code)
        if instance is None:
            raise MisdirectedInstance("No instance of this code is served here.")
        proxies = self._roster.settings.trusted_proxies
        source = source_of(scope, proxies)
        headers = fields.of_request(
            scope["headers"], source=None if source == UNIX else source, scheme=fields.scheme_of(scope, proxies)
        )
        body = await client.body()
        if not isinstance(body, bytes | None):
            length = fields.value_of(scope["headers"], b"content-length")
            if length is not None:
                headers["content-length"] = length.decode("ascii")
        request = RelayedRequest(scope["method"], _target(scope), headers, body)
        await self._relay.carry(request, instance.order(), client, send)

    def _is_operator(self, scope: Any) -> bool:
        settings = self._roster.settings
        return is_operator(scope, proxies=settings.trusted_proxies, operators=settings.operators)

    async def _refuse(self, scope: Any, error: CrmError, send: Any) -> None:
        request_id = self._new_request_id()
        if error.status >= 500:
            log.warning(
                "request_failed", code=error.code, method=scope["method"], path=scope["path"], request_id=request_id
            )
        accepted = fields.value_of(scope["headers"], b"accept") or b""
        await tell_error(send, error, request_id, as_page=b"text/html" in accepted and "/api/" not in scope["path"])


def _target(scope: Any) -> str:
    """The path and query as they came."""
    target: bytes = scope["raw_path"]
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    return target.decode("ascii")


def _only_get(scope: Any) -> None:
    if scope["method"] not in ("GET", "HEAD"):
        raise MethodNotAllowed("Use GET here.")
