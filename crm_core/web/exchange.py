"""What is known of a request before anything looks at what it wants: its id, where it comes from, when it came."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final

import msgspec
from quart import request

from crm_core.model.sources import Network
from crm_core.server.source import source_of

_CLIENT_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
SCOPE_KEY: Final = "crm.exchange"


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """A request under way. ``source``: an address as text, ``unix`` for a socket peer, None where it is not known."""

    request_id: str
    client_request_id: str | None
    source: str | None
    received_at: datetime


def exchange() -> Exchange:
    """The exchange of the request that is being answered."""
    found: Exchange = request.scope[SCOPE_KEY]  # type: ignore[typeddict-item]  # the front put it there
    return found


def begin(
    scope: dict[str, Any], *, now: Callable[[], datetime], new_id: Callable[[], str], proxies: Iterable[Network]
) -> Exchange:
    """The exchange of a request that has just arrived (an ASGI scope)."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    theirs = [value for name, value in headers if name == b"x-request-id"]
    good = len(theirs) == 1 and _CLIENT_ID.fullmatch(theirs[0]) is not None
    return Exchange(
        request_id=new_id(),
        client_request_id=theirs[0].decode() if good else None,
        source=source_of(scope, tuple(proxies)),
        received_at=now(),
    )
