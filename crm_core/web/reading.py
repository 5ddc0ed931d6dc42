"""Reading requests: bodies within their limits and media types, and query parameters that are all known."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qsl

from quart import request

from crm_core.errors import InvalidParameter, PayloadTooLarge, UnknownParameter, UnsupportedMediaType
from crm_core.model.strict_json import loads
from crm_core.model.text_types import plain_integer


async def read_body(limit: int) -> bytes:
    """The raw body. Raises PayloadTooLarge as soon as it is over ``limit`` bytes; the rest is not read."""
    announced = plain_integer("".join(fields("content-length")[:1]), least=0, most=2**63)
    if announced is not None and announced > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    async for part in request.body:
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    return b"".join(parts)


def fields(name: str) -> list[str]:
    """Every value of a header field; ``name`` in lower case."""
    wanted = name.encode()
    return [value.decode("latin-1").strip(" \t") for field, value in request.scope["headers"] if field == wanted]


async def read_json(limit: int, media_types: Collection[str] = ("application/json",)) -> Any:
    """The body as strict JSON. Raises UnsupportedMediaType, PayloadTooLarge, MalformedJson."""
    require_media_type(media_types)
    return loads(await read_body(limit))


def require_media_type(media_types: Collection[str]) -> None:
    """Raise UnsupportedMediaType unless the body is of one of the types, in UTF-8 and not compressed."""
    kind = "".join(fields("content-type")[:1])
    encoding = fields("content-encoding")
    if kind in media_types and not encoding:
        return
    sent, _, parameters = kind.partition(";")
    charset = [value for name, value in _parameters(parameters) if name == "charset"]
    known = " or ".join(media_types)
    if sent.strip().lower() not in media_types:
        raise UnsupportedMediaType(f"Send the body as {known}.")
    if any(value.lower() not in ("utf-8", "utf8") for value in charset) or len(charset) > 1:
        raise UnsupportedMediaType(f"Send {known} in UTF-8.")
    if any(each.lower() != "identity" for each in encoding if each):
        raise UnsupportedMediaType("Send the body without a content encoding.")


def parameters(known: Collection[str]) -> dict[str, str]:
    """The query's parameters. Raises UnknownParameter, and InvalidParameter for one that stands twice or is no text."""
    query: bytes = request.scope["query_string"]
    found: dict[str, str] = {}
    if not query:
        return found
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise InvalidParameter("The query cannot be read; percent-encode UTF-8.") from None
    for name, value in pairs:
        if name not in known:
            told = f"The parameter {name[:60]!a} is not known here; known are {', '.join(sorted(known)) or 'none'}."
            raise UnknownParameter(told, parameter=name[:60])
        if name in found:
            raise InvalidParameter(f"The parameter {name} stands twice; send it once.", parameter=name)
        if "\0" in value:
            raise InvalidParameter(f"The parameter {name} holds U+0000; leave it out.", parameter=name)
        found[name] = value
    return found


def whole_number(name: str, text: str | None, *, default: int, least: int = 1, most: int) -> int:
    """A parameter as a whole number. Raises InvalidParameter."""
    if text is None:
        return default
    number = plain_integer(text, least=least, most=most)
    if number is None:
        raise InvalidParameter(f"{name} is a whole number from {least} to {most}.", parameter=name)
    return number


def _parameters(text: str) -> list[tuple[str, str]]:
    found = []
    for each in text.split(";"):
        name, equals, value = each.partition("=")
        if equals:
            found.append((name.strip().lower(), value.strip().strip('"')))
    return found


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is over {limit} bytes; send less at once.", limit=limit)
