"""Which header fields cross the manager, and which it writes itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from multidict import CIMultiDict

from crm_core.errors import MalformedRequest
from crm_core.model.sources import Network, within
from crm_core.server.source import peer_of

Fields = Iterable[tuple[bytes, bytes]]

_OF_CONNECTION: Final = frozenset(
    {
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)  # RFC 9110, section 7.6.1
_NOT_HANDED_ON: Final = _OF_CONNECTION | {b"content-length", b"expect", b"forwarded", b"via", b"x-real-ip"}
_NOT_HANDED_BACK: Final = _OF_CONNECTION | {b"date"}
_OUR_PREFIX: Final = b"x-forwarded-"
_KEPT: Final = frozenset({b"host"})  # a request cannot do without it, whatever Connection lists
_VIA: Final = "1.1 crm-manager"  # RFC 9110, section 7.6.3
_SCHEMES: Final = (b"http", b"https")
_BODILESS: Final = frozenset({204, 304})


def of_request(fields: Sequence[tuple[bytes, bytes]], *, source: str | None, scheme: str) -> CIMultiDict[str]:
    """The header fields for the upstream: the client's own, then who the client is (``source``, or nothing of it).

    Fields of the connection, those that Connection lists and those by which proxies speak to instances stay behind:
    what an instance reads of them comes from here. Raises MalformedRequest where a value is not UTF-8.
    """
    left_out = _NOT_HANDED_ON | _listed(fields)
    try:
        made = [
            (name.decode("ascii"), value.decode())
            for name, value in fields
            if name not in left_out and not name.startswith(_OUR_PREFIX)
        ]
        via = [value.decode() for name, value in fields if name == b"via"]
    except UnicodeDecodeError:
        raise MalformedRequest("The value of a header field is not UTF-8; escape what it holds.") from None
    if source is not None:
        made.append(("x-forwarded-for", source))
    made.append(("x-forwarded-proto", scheme))
    made.append(("via", ", ".join([*via, _VIA])))
    return CIMultiDict(made)


def of_answer(status: int, fields: Fields) -> list[tuple[bytes, bytes]]:
    """The header fields for the client; the server writes the date and the framing itself."""
    lower = [(name.lower(), value) for name, value in fields]
    left_out = _NOT_HANDED_BACK | _listed(lower)
    if status in _BODILESS:  # a length there is of a body that does not come; the server would wait for it
        left_out |= {b"content-length"}
    return [field for field in lower if field[0] not in left_out]


def scheme_of(scope: Any, proxies: Sequence[Network]) -> str:
    """How the client came: what a trusted proxy says of it, else how it came here."""
    if proxies and within(peer_of(scope), proxies):
        told = value_of(scope["headers"], b"x-forwarded-proto")
        if told in _SCHEMES:
            return told.decode("ascii")
    return str(scope["scheme"])


def value_of(fields: Fields, name: bytes) -> bytes | None:
    """The last value of a field; None where it is absent."""
    found = None
    for each, value in fields:
        if each == name:
            found = value
    return found


def _listed(fields: Fields) -> frozenset[bytes]:
    options = [value for name, value in fields if name == b"connection"]
    if not options:
        return frozenset()
    return frozenset(option.strip().lower() for option in b",".join(options).split(b",")) - _KEPT
