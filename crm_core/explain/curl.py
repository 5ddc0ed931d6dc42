"""The request that a curl command sends."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator

from crm_core.explain.captured_request import CapturedRequest, UnreadableCapture, split_target

_START = re.compile(r"\s*(?:\$\s+)?curl\s")
_JOINED_LINES = re.compile(r"\\\r?\n")
_DATA = ("data", "data-ascii", "data-raw", "data-binary", "json")
_SHORT = {"X": "request", "H": "header", "d": "data"}
# Other options with a value, which must not be mistaken for the URL.
_TAKING = frozenset({
    "user", "output", "max-time", "connect-timeout", "user-agent", "referer", "resolve", "cacert", "cert", "key",
    "proxy", "write-out", "unix-socket", "retry", "retry-delay", "limit-rate", "cookie", "interface",
})  # fmt: skip
_SHORT_TAKING = frozenset("uomAexwbEc")


def is_curl(text: str) -> bool:
    """Whether a capture is a curl command."""
    return _START.match(text) is not None


def read_curl(text: str, read_file: Callable[[str], bytes]) -> CapturedRequest:
    """The request of a command; ``@file`` is read. Raises UnreadableCapture."""
    try:
        words = shlex.split(_JOINED_LINES.sub(" ", text.strip().removeprefix("$")))[1:]
    except ValueError as error:
        raise UnreadableCapture(f"The curl command cannot be split into words ({error}). Check its quotes.") from None
    address: str | None = None
    method: str | None = None
    headers: list[tuple[str, str]] = []
    parts: list[bytes] = []
    notes: list[str] = []
    for option, value in _options(words):
        match option:
            case "url":
                address = value
            case "request":
                method = value
            case "header":
                name, _, content = value.partition(":")
                headers.append((name.strip().lower(), content.strip()))
            case _ if option in _DATA:
                parts.append(_data(option, value, read_file, notes))
                if option == "json":
                    headers.append(("content-type", "application/json"))
    if address is None:
        raise UnreadableCapture("The curl command has no URL.")
    if re.search(r"\$\{?[A-Za-z_]", " ".join(value for _, value in [*headers, ("", address)])):
        notes.append("The command contains $variables; capture it with their values.")
    return _captured(address, method, headers, b"&".join(parts) if parts else None, notes)


def _captured(
    address: str, method: str | None, headers: list[tuple[str, str]], body: bytes | None, notes: list[str]
) -> CapturedRequest:
    """The request, with the defaults that curl adds."""
    if body is not None and not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", "application/x-www-form-urlencoded"))
    path, authority = split_target(address if "://" in address else f"http://{address}")
    hosts = [value for name, value in headers if name == "host"]
    sent = method or ("GET" if body is None else "POST")
    scheme, host = "https" if address.startswith("https://") else "http", hosts[0] if hosts else authority
    return CapturedRequest(sent, path, host, tuple(headers), body or b"", tuple(notes), scheme)


def _options(words: list[str]) -> Iterator[tuple[str, str]]:
    """Each option with its value; other words are URLs. Options without a value do not matter here."""
    rest = iter(words)
    for word in rest:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if name in (*_DATA, "request", "header", "url", *_TAKING):
                yield name, value if equals else next(rest, "")
        elif word.startswith("-") and len(word) > 1:
            yield from _short(word[1:], rest)
        else:
            yield "url", word


def _short(options: str, rest: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Short options may be combined, the last with its value: ``-sSXPOST``."""
    for at, option in enumerate(options):
        if option in _SHORT or option in _SHORT_TAKING:
            yield _SHORT.get(option, ""), options[at + 1 :] or next(rest, "")
            return


def _data(option: str, value: str, read_file: Callable[[str], bytes], notes: list[str]) -> bytes:
    """The bytes of one data option; --data with a file drops its line ends, as curl does."""
    if not value.startswith("@") or option == "data-raw":
        return value.encode(errors="surrogateescape")
    raw = read_file(value[1:])
    if option in ("data-binary", "json"):
        return raw
    plain = raw.replace(b"\r", b"").replace(b"\n", b"")
    if plain != raw:
        notes.append("curl --data drops the line ends of a file; --data-binary sends the bytes unchanged.")
    return plain
