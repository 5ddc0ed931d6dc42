"""A request as API and pages see it, whichever way its bytes came: made by the front, completed by the dispatcher."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from crm_core.access.streams import Waiter
from crm_core.errors import InvalidParameter, PayloadTooLarge
from crm_core.model.caller import Caller
from crm_core.model.sources import Network
from crm_core.model.text_types import plain_integer
from crm_core.server.asgi import Scope
from crm_core.server.cycle import WHOLE
from crm_core.server.source import peer_of, scheme_of, source_of

SCOPE_KEY: Final = "crm.request"
"""The member of an ASGI scope in which the framework finds our request."""

_CLIENT_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")

Chunks = Callable[[], AsyncIterator[bytes]]
"""Begins to read a body, part by part."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request. ``last``: the last value of each of ``headers``, by lower-case name; ``path`` is ``raw_path`` decoded.

    ``instance``: the code of the one that is served. ``source``: an address as text, ``unix`` for a socket peer, None
    if it is not known; ``peer``: the other end of the connection. ``scheme`` and ``source`` come from trusted proxies
    where there are any. The dispatcher sets the last five: the parameters of path and query, the sender, and the types
    and the length that a body may have. ``whole``: the body, if it arrived with the head; else ``chunks`` reads it.
    ``parsed`` has the value of a long body until the answer. ``waiter``: of a request that is dispatched again.
    """

    method: str
    raw_path: bytes
    path: str
    query_string: bytes
    headers: list[tuple[bytes, bytes]]
    last: dict[bytes, bytes]
    scheme: str
    peer: str
    source: str | None
    received_at: datetime
    request_id: str
    client_request_id: str | None
    instance: str
    chunks: Chunks
    whole: bytes | None = None
    parsed: list[Any] = []
    waiter: Waiter | None = None
    path_parameters: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    sender: Caller | None = None
    body_types: tuple[str, ...] = ()
    body_limit: int = 0

    @property
    def tenant(self) -> str:
        """The tenant that the path names."""
        return self.path_parameters["tenant"]

    @property
    def caller(self) -> Caller:
        """Who sent the request; not for operations that are open to all, or signed."""
        assert self.sender is not None, "the operation is open to all, or signed"
        return self.sender

    def fields(self, name: bytes) -> list[str]:
        """Every value of a header field, in order."""
        last = self.last.get(name)
        if last is None:
            return []
        values = [last]
        if len(self.last) < len(self.headers):  # a field is repeated
            values = [value for field, value in self.headers if field == name]
        return [value.decode("latin-1").strip(" \t") for value in values]

    def field(self, name: bytes) -> str | None:
        """The first value of a header field."""
        found = self.fields(name)
        return found[0] if found else None

    def single_field(self, name: str) -> str | None:
        """A header field that may occur once. Raises InvalidParameter."""
        found = self.fields(name.lower().encode())
        if len(found) > 1:
            raise InvalidParameter(f"The header field {name} occurs twice; send it once.", parameter=name)
        return found[0] if found else None

    def joined_field(self, name: bytes) -> str | None:
        """A list in a header field, its lines joined (RFC 9110, section 5.3)."""
        found = self.fields(name)
        return ", ".join(found) if found else None

    def cookie(self, name: str) -> str | None:
        """The first cookie of this name."""
        for field in self.fields(b"cookie"):
            for pair in field.split(";"):
                key, equals, value = pair.partition("=")
                if equals and key.strip() == name:
                    return value.strip()
        return None

    @property
    def origin(self) -> str:
        """The origin by which the client knows us (RFC 6454)."""
        return f"{self.scheme}://{self.field(b'host') or ''}"

    async def read_body(self, limit: int | None = None) -> bytes:
        """The raw body. Raises PayloadTooLarge as soon as it is over ``limit`` bytes; the rest is not read.

        Without ``limit`` the operation's own applies.
        """
        limit = self.body_limit if limit is None else limit
        if self.whole is not None:
            if len(self.whole) > limit:
                raise _too_large(limit)
            return self.whole
        announced = plain_integer(self.field(b"content-length") or "", least=0, most=2**63)
        if announced is not None and announced > limit:
            raise _too_large(limit)
        parts: list[bytes] = []
        size = 0
        async for part in self.chunks():
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            parts.append(part)
        return b"".join(parts)


def request_of(
    scope: Scope,
    chunks: Chunks,
    *,
    received_at: datetime,
    request_id: str,
    instance: str,
    proxies: tuple[Network, ...],
    waiter: Waiter | None = None,
) -> Request:
    """The request of an ASGI scope."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    last = dict(headers)
    theirs = [value for name, value in headers if name == b"x-request-id"] if b"x-request-id" in last else []
    good = len(theirs) == 1 and _CLIENT_ID.fullmatch(theirs[0]) is not None
    peer, path = peer_of(scope), scope["path"]
    return Request(
        method=scope["method"],
        raw_path=scope.get("raw_path") or path.encode(),
        path=path,
        query_string=scope["query_string"],
        headers=headers,
        last=last,
        scheme=scheme_of(scope, peer, proxies),
        peer=peer,
        source=source_of(peer, headers, proxies),
        received_at=received_at,
        request_id=request_id,
        client_request_id=theirs[0].decode() if good else None,
        instance=instance,
        chunks=chunks,
        whole=scope.get(WHOLE),
        waiter=waiter,
    )


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is over {limit} bytes; send less in one request.", limit=limit)
