"""Reading requests: media types, JSON bodies, and query parameters that are all known."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from crm_core.errors import InvalidParameter, InvalidRecord, NotAcceptable, UnknownParameter
from crm_core.model.fields import convert
from crm_core.model.media_type import require_media_type
from crm_core.model.strict_json import loads
from crm_core.model.text_types import plain_integer
from crm_core.web.accept import preferred
from crm_core.web.request import Request

_INLINE: Final = 16 * 1024  # bytes of JSON that the event loop parses itself
MAX_VALUES: Final = 20  # of a parameter that may be sent several times
T = TypeVar("T")


async def read_json(request: Request) -> Any:
    """The body as strict JSON. Raises UnsupportedMediaType, PayloadTooLarge, MalformedJson."""
    return (await read_json_and_bytes(request))[0]


async def read_body_as(request: Request, kind: type[T]) -> T:
    """The body as a value of a type. Raises InvalidRecord, and what ``read_json`` raises."""
    return value_as(await read_json(request), kind)


def value_as(data: Any, kind: type[T]) -> T:
    """Decoded JSON as a value of a type. Raises InvalidRecord."""
    found, findings = convert(data, kind)
    if found is None:
        raise InvalidRecord("The body does not fit; every error is listed.", errors=findings)
    made: T = found
    return made


async def read_json_and_bytes(request: Request) -> tuple[Any, bytes]:
    """The body as strict JSON and as it came. Raises UnsupportedMediaType, PayloadTooLarge, MalformedJson."""
    require_media_type(request.fields(b"content-type"), request.fields(b"content-encoding"), request.body_types)
    raw = await request.read_body()
    if len(raw) > _INLINE:  # a thread shares the interpreter with the loop while it parses
        data = await asyncio.to_thread(loads, raw)
        request.parsed.append(data)
        return data, raw
    return loads(raw), raw


def free(parsed: list[Any]) -> None:
    """Forget values of JSON one by one: freed as a whole, a body of millions would occupy the interpreter."""
    while parsed:
        value = parsed.pop()
        if isinstance(value, list):
            parsed += value
        elif isinstance(value, dict):
            parsed += value.values()
            parsed += value


def accepted(request: Request, offered: Sequence[str]) -> str:
    """The media type to answer with: the one that Accept prefers, the first if it is absent (RFC 9110, section 12.5.1).

    Raises:
        NotAcceptable: if none of them will do.
    """
    best = preferred(request.fields(b"accept"), offered)
    if best is None:
        raise NotAcceptable(f"Send Accept with one of {', '.join(offered)}.")
    return best


def require_acceptable(request: Request, offered: Sequence[str]) -> None:
    """Raise NotAcceptable if Accept excludes every media type of an answer."""
    sent = request.field(b"accept")
    if sent is not None and sent != "*/*" and sent not in offered:
        accepted(request, offered)


def read_query(query: bytes, known: Collection[str], repeatable: Collection[str] = ()) -> dict[str, str]:
    """The query's parameters; of one that is ``repeatable`` the first value, ``read_values`` has all.

    Raises:
        UnknownParameter: for one that is not ``known``.
        InvalidParameter: for one that occurs twice or is no text.
    """
    found: dict[str, str] = {}
    if not query:
        return found
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise InvalidParameter("The query cannot be read; percent-encode UTF-8.") from None
    for name, value in pairs:
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            raise UnknownParameter(f"Unknown parameter {name[:60]!a}. Known parameters: {names}.", parameter=name[:60])
        if name in found and name not in repeatable:
            raise InvalidParameter(f"The parameter {name} occurs twice; send it once.", parameter=name)
        if "\0" in value:
            raise InvalidParameter(f"The parameter {name} contains U+0000; leave it out.", parameter=name)
        found.setdefault(name, value)
    return found


def read_values(request: Request, repeatable: Collection[str]) -> Mapping[str, str | tuple[str, ...]]:
    """The query's parameters, with every value of those that are ``repeatable``. Raises InvalidParameter."""
    if request.query_string.count(b"&") < len(request.query):  # no parameter was sent twice
        return request.query
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(request.query_string.decode("ascii"), keep_blank_values=True):
        if name in repeatable:
            found.setdefault(name, []).append(value)
            if len(found[name]) > MAX_VALUES:
                raise InvalidParameter(f"{name} may be sent up to {MAX_VALUES} times.", parameter=name)
    return {**request.query, **{name: tuple(values) for name, values in found.items()}}


def whole_number(name: str, text: str | None, *, default: int, least: int = 1, most: int) -> int:
    """A parameter as a whole number. Raises InvalidParameter."""
    if text is None:
        return default
    number = plain_integer(text, least=least, most=most)
    if number is None:
        raise InvalidParameter(f"{name} is a whole number from {least} to {most}.", parameter=name)
    return number


def flag(query: Mapping[str, str], name: str) -> bool:
    """A parameter that is ``true`` or ``false``; False if it is absent. Raises InvalidParameter."""
    text = query.get(name)
    if text not in (None, "true", "false"):
        raise InvalidParameter(f"{name} is true or false.", parameter=name)
    return text == "true"
