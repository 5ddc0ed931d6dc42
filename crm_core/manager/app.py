"""The manager as an ASGI application: which request goes where."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from crm_core.errors import CrmError, MalformedPath, MethodNotAllowed, MisdirectedInstance, NotFound
from crm_core.manager import fields
from crm_core.manager.client import ClientDisconnected, Downstream
from crm_core.manager.relay import Relay, RelayedRequest
from crm_core.manager.responses import NOTHING_HERE, UNKNOWN_INSTANCE, send_json, send_problem
from crm_core.manager.roster import InstanceRoster
from crm_core.manager.routes import Instance
from crm_core.manager.upstream import log
from crm_core.server.asgi import Receive, Scope, Send
from crm_core.server.paths import refused
from crm_core.server.source import UNIX, is_operator, is_own_host, peer_of, scheme_of, source_of

_INSTANCES: Final = "/i/"
_UNKNOWN: Final = "unknown"  # as RFC 7239, section 6.2, has it; without a field the source would be this host
_OWN: Final = {"/healthz": {"status": "ok"}, "/readyz": {"status": "ready"}}


class Manager:
    """Serve ``/i/{instance}/...`` from that instance's upstreams, and a few addresses itself."""

    def __init__(self, roster: InstanceRoster, relay: Relay, new_request_id: Callable[[], str]) -> None:
        self._roster = roster
        self._relay = relay
        self._new_request_id = new_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI 3)."""
        client = Downstream(receive)
        try:
            await self._serve(scope, client, send)
        except CrmError as error:
            await self._refuse(scope, error, send)
        except ClientDisconnected:
            pass
        except asyncio.CancelledError:
            if not client.disconnected:
                raise
        finally:
            client.close()

    async def _serve(self, scope: Scope, client: Downstream, send: Send) -> None:
        reason = refused(scope["raw_path"])
        if reason is not None:
            raise MalformedPath(reason)
        path: str = scope["path"]
        if path.startswith(_INSTANCES):
            await self._forward(scope, client, send, path.split("/", 3)[2])
        elif path in _OWN:
            _only_get(scope)
            await send_json(send, _OWN[path], self._new_request_id())
        elif path == "/-/instances" and self._is_operator(scope):
            _only_get(scope)
            await send_json(send, self._roster.report(), self._new_request_id())
        else:
            raise NotFound(NOTHING_HERE)

    async def _forward(self, scope: Scope, client: Downstream, send: Send, code: str) -> None:
        self._instance(code)  # an unknown one is refused before its body is requested
        proxies, peer = self._roster.settings.trusted_proxies, peer_of(scope)
        source = source_of(peer, scope["headers"], proxies)
        headers = fields.upstream_headers(
            scope["headers"],
            source=None if source == UNIX else source or _UNKNOWN,
            scheme=scheme_of(scope, peer, proxies),
        )
        body = await client.body()
        if not isinstance(body, bytes | None):
            length = fields.value_of(scope["headers"], b"content-length")
            if length is not None:
                headers["content-length"] = length.decode("ascii")
        request = RelayedRequest(scope["method"], _target(scope), headers, body)
        upstreams = self._instance(code).order()  # they may have changed while the body came
        await self._relay.forward(request, upstreams, client, send)

    def _instance(self, code: str) -> Instance:
        instance = self._roster.routes.find(code)
        if instance is None:
            raise MisdirectedInstance(UNKNOWN_INSTANCE)
        return instance

    def _is_operator(self, scope: Scope) -> bool:
        settings = self._roster.settings
        host = fields.value_of(scope["headers"], b"host") or b""
        return is_own_host(host.decode("ascii")) and is_operator(
            peer_of(scope), scope["headers"], proxies=settings.trusted_proxies, operators=settings.operators
        )

    async def _refuse(self, scope: Scope, error: CrmError, send: Send) -> None:
        request_id = self._new_request_id()
        if error.status >= 500:
            path = _without_secret(scope["path"])
            log.warning("request_failed", code=error.code, method=scope["method"], path=path, request_id=request_id)
        accepted = fields.value_of(scope["headers"], b"accept") or b""
        page_for = scope["method"] if b"text/html" in accepted and "/api/" not in scope["path"] else None
        await send_problem(send, error, request_id, instance=self._documented_by(scope["path"]), page_for=page_for)

    def _documented_by(self, path: str) -> str | None:
        """The instance whose page explains a problem: the one that the path leads to, else the first."""
        instances = self._roster.settings.instances
        code = path.split("/", 3)[2] if path.startswith(_INSTANCES) else ""
        return code if code in instances else next(iter(instances), None)


def _target(scope: Scope) -> str:
    """Return the path and query as received."""
    target: bytes = scope["raw_path"]
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    return target.decode("ascii")


def _without_secret(path: str) -> str:
    """A path for the log: that of a page without what follows its name, since a link to set a password is a secret."""
    of_tenant, page = path.split("/")[:5], path.split("/")[5:]
    return path if len(page) < 2 or page[0] == "api" else "/".join([*of_tenant, page[0], "..."])


def _only_get(scope: Scope) -> None:
    if scope["method"] not in ("GET", "HEAD"):
        raise MethodNotAllowed("Use GET here.", allow="GET, HEAD")
