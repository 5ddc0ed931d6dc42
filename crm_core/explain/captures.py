"""A captured request, read from raw HTTP, from headers and a separate body, or from a curl command."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from crm_core.explain.captured_request import CapturedRequest, UnreadableCapture, split_target
from crm_core.explain.curl import is_curl, read_curl
from crm_core.model.text_types import plain_integer

_REQUEST_LINE = re.compile(r"([A-Z]{1,16}) (\S{1,8192})(?: HTTP/[0-9.]+)?")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}):[ \t]*(.*?)[ \t]*")
_TRACED = re.compile(rb"^> ([^\r\n]*)", re.MULTILINE)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})(?:;[^\r\n]*)?\r?\n")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")


def read_capture(
    raw: bytes, *, url: str | None, body: bytes | None, read_file: Callable[[str], bytes]
) -> CapturedRequest:
    """The request in a capture.

    ``url``: where it went, for headers without a request line; ``body``: the body, if it is in another file;
    ``read_file`` reads a file that a curl command sends. Raises UnreadableCapture.
    """
    command = raw.decode(errors="surrogateescape")
    captured = read_curl(command, read_file) if is_curl(command) else _read_message(raw, url)
    if body is not None:
        captured = msgspec.structs.replace(captured, body=body, notes=())
    return captured


def _read_message(raw: bytes, url: str | None) -> CapturedRequest:
    """A request line, headers, an empty line, the body; of the output of ``curl -v``, the sent lines."""
    traced = _TRACED.findall(raw)
    end = None if traced else _END_OF_HEAD.search(raw)
    head, body = (raw[: end.start()], raw[end.end() :]) if end else (b"\n".join(traced) or raw, b"")
    lines = [line for line in head.decode("latin-1").replace("\r", "").split("\n") if line]
    first = _REQUEST_LINE.fullmatch(lines[0]) if lines else None
    headers = tuple(_header(line) for line in (lines[1:] if first else lines))
    if url is not None:
        method, path, authority = first[1] if first else "POST", *split_target(url)
    elif first is not None:
        method, path, authority = first[1], *split_target(first[2])
    else:
        raise UnreadableCapture(
            "The capture has no request line such as POST /i/eu1/... HTTP/1.1. Add it, or give --url."
        )
    https = (url or (first[2] if first else "")).startswith("https://")
    hosts = [value for name, value in headers if name == "host"]
    chunked = any(name == "transfer-encoding" and value.lower() == "chunked" for name, value in headers)
    sent, notes = (_joined(body), ()) if chunked else _of_length(body, headers)
    host = authority or (hosts[0] if hosts else "")
    return CapturedRequest(method, path, host, headers, sent, notes, "https" if https else "http")


def _header(line: str) -> tuple[str, str]:
    match = _HEADER.fullmatch(line)
    if match is None:
        raise UnreadableCapture(f"The line {line[:60]!a} of the capture is not a header. Write it as Name: value.")
    return match[1].lower(), match[2]


def _of_length(body: bytes, headers: tuple[tuple[str, str], ...]) -> tuple[bytes, tuple[str, ...]]:
    """The body of the length that Content-Length says: an editor adds a line end when it saves a capture."""
    lengths = [value for name, value in headers if name == "content-length"]
    length = plain_integer(lengths[0], least=0, most=2**63) if lengths else None
    if length is None:
        return body, ()
    if len(body) > length and body[length:].strip(b"\r\n") == b"":
        return body[:length], (f"The line end after the {length} bytes that Content-Length says is ignored.",)
    if len(body) != length:
        note = f"Content-Length says {length} bytes, the capture has {len(body)}: it is incomplete or was changed."
        return body, (note,)
    return body, ()


def _joined(body: bytes) -> bytes:
    """A chunked body, assembled (RFC 9112, 7.1). Raises UnreadableCapture."""
    parts, at = [], 0
    while (size := _CHUNK.match(body, at)) is not None and int(size[1], 16):
        length = int(size[1], 16)
        parts.append(body[size.end() : size.end() + length])
        at = size.end() + length
        at += 2 if body.startswith(b"\r\n", at) else 1
    if size is None:
        raise UnreadableCapture("The headers say that the body is chunked, but it is not, or it is incomplete.")
    return b"".join(parts)
