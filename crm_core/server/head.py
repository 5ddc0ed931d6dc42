"""Request heads that are refused although the parser accepts them (RFC 9112, section 11.2: request smuggling)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final
from urllib.parse import unquote

import httptools

from crm_core.errors import CrmError, HeadTooLarge, MalformedPath, MalformedRequest

HEAD_LIMIT: Final = 64 * 1024
"""Bytes of a request's line and header fields together."""

HEADERS_LIMIT: Final = 200
"""Header fields of one request."""

# RFC 9112, section 3.2: what can be no host and port is refused, such as two words, a path, or a user name.
_HOST: Final = re.compile(rb"[ \t]*[^\x00-\x20\x7f-\xff\"/<>?@#\\]*[ \t]*")
_HOP_FIELDS: Final = (b"connection", b"upgrade")
Headers = Sequence[tuple[bytes, bytes]]


def refusal(version: str, method: bytes, url: bytes, headers: Headers) -> CrmError | None:
    """Return why a complete head is refused, or None. ``headers`` are in order, their names in lower case.

    The parser itself (llhttp in its strict mode) refuses repeated or bad Content-Length, Content-Length with
    Transfer-Encoding, folded header fields, bare CR and LF, and white space before a colon.
    """
    size = len(url) + sum(map(len, chain.from_iterable(headers))) + 4 * len(headers)
    if size > HEAD_LIMIT or len(headers) > HEADERS_LIMIT:
        return HeadTooLarge(f"The request head is over {HEAD_LIMIT} bytes or {HEADERS_LIMIT} header fields.")
    if version not in {"1.0", "1.1"}:
        return MalformedRequest("Use HTTP/1.1 or HTTP/1.0.")
    if method == b"CONNECT":
        return MalformedRequest("CONNECT is not supported: this is not a proxy.")
    if b"#" in url:
        return MalformedPath("The request's address contains a fragment. Remove the part from # on.")
    return _framing(version, headers) or _host(version, url, headers)


def line_of(version: str, method: bytes, url: bytes) -> dict[str, Any]:
    """The members of an ASGI scope for a request line."""
    address = httptools.parse_url(url)
    path = address.path.decode("ascii")
    return {
        "method": method.decode("ascii"),
        "http_version": version,
        "path": unquote(path) if "%" in path else path,
        "raw_path": address.path,
        "query_string": address.query or b"",
    }


def _framing(version: str, headers: Headers) -> CrmError | None:
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    if codings and (version == "1.0" or codings != [b"chunked"]):
        return MalformedRequest("Transfer-Encoding must be a single chunked, in HTTP/1.1.")
    return None


def _host(version: str, url: bytes, headers: Headers) -> CrmError | None:
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        return MalformedRequest("Send exactly one Host header field.")
    if not url.startswith((b"/", b"*")):
        authority = url.partition(b"://")[2].partition(b"/")[0].partition(b"?")[0]
        if authority.lower() != (hosts[0].strip().lower() if hosts else authority.lower()):
            return MalformedRequest("The request's address and its Host header field name different hosts.")
    if hosts and _HOST.fullmatch(hosts[0]) is None:
        return MalformedRequest("The Host header field is not a host name or address.")
    return None


def parser_refusal(error: httptools.HttpParserError) -> CrmError:
    """Return the parser's refusal as an error."""
    if isinstance(error, httptools.HttpParserInvalidURLError):
        return MalformedPath("The request's address contains a byte that must be escaped.")
    if isinstance(error, httptools.HttpParserCallbackError):
        return MalformedRequest("The request's address cannot be read.")
    return MalformedRequest(f"This is not well-formed HTTP: {error}.")


def without_upgrade(version: str, method: bytes, url: bytes, headers: Headers) -> bytes:
    """Return a head without its upgrade offer, as the client would have sent it."""
    lines = [b"%b %b HTTP/%b" % (method, url, version.encode())]
    lines += [name + b": " + value for name, value in headers if name not in _HOP_FIELDS]
    options = b",".join(value for name, value in headers if name == b"connection").lower().split(b",")
    if b"close" in [option.strip() for option in options]:
        lines.append(b"connection: close")
    return b"\r\n".join([*lines, b"", b""])
