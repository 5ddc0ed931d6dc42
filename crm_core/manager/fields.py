"""The header fields that pass through the manager, and those it writes itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from multidict import CIMultiDict

from crm_core.errors import MalformedRequest

Fields = Iterable[tuple[bytes, bytes]]

_OF_CONNECTION: Final = frozenset(
    b"connection http2-settings keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    b"transfer-encoding upgrade".split()
)  # RFC 9110, section 7.6.1
_DROPPED_FROM_REQUEST: Final = _OF_CONNECTION | {b"content-length", b"expect", b"forwarded", b"via", b"x-real-ip"}
_DROPPED_FROM_RESPONSE: Final = _OF_CONNECTION | {b"date"}
_FORWARDED_PREFIX: Final = b"x-forwarded-"
_REQUIRED: Final = frozenset({b"host"})  # passes even if Connection lists it
_VIA: Final = "1.1 crm-manager"  # RFC 9110, section 7.6.3
_BODILESS: Final = frozenset({204, 304})


def upstream_headers(fields: Sequence[tuple[bytes, bytes]], *, source: str | None, scheme: str) -> CIMultiDict[str]:
    """Return the header fields for the upstream: the client's, then its address (``source``) if it is known.

    Fields of the connection, those that Connection lists and those of proxies are removed, so that an instance can
    trust them.

    Raises MalformedRequest if a value is not UTF-8.
    """
    dropped = _DROPPED_FROM_REQUEST | _listed(fields)
    try:
        passed = [
            (name.decode("ascii"), value.decode())
            for name, value in fields
            if name not in dropped and not name.startswith(_FORWARDED_PREFIX)
        ]
        via = [value.decode() for name, value in fields if name == b"via"]
    except UnicodeDecodeError:
        raise MalformedRequest("The value of a header field is not UTF-8. Escape it.") from None
    if source is not None:
        passed.append(("x-forwarded-for", source))
    passed.append(("x-forwarded-proto", scheme))
    passed.append(("via", ", ".join([*via, _VIA])))
    return CIMultiDict(passed)


def client_headers(status: int, fields: Fields) -> list[tuple[bytes, bytes]]:
    """Return the header fields for the client; the server writes the date and the framing itself."""
    lower = [(name.lower(), value) for name, value in fields]
    dropped = _DROPPED_FROM_RESPONSE | _listed(lower)
    if status in _BODILESS:  # the server would wait for the body that the length announces
        dropped |= {b"content-length"}
    return [field for field in lower if field[0] not in dropped]


def value_of(fields: Fields, name: bytes) -> bytes | None:
    """Return the last value of a field; None if it is absent."""
    return next((value for field, value in reversed(list(fields)) if field == name), None)


def _listed(fields: Fields) -> frozenset[bytes]:
    options = [value for name, value in fields if name == b"connection"]
    if not options:
        return frozenset()
    return frozenset(option.strip().lower() for option in b",".join(options).split(b",")) - _REQUIRED
