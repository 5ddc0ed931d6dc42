"""Ways in which the signed address, time and key version may differ from those of the request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from crm_core.errors import MalformedJson
from crm_core.explain.cause import Cause
from crm_core.explain.keys import WRONG_VERSION
from crm_core.model.strict_json import loads
from crm_core.plugin.signature import Presented, SignedRequest

WRONG_INSTANCE, WRONG_TENANT, WRONG_TYPE, MILLISECONDS = "wrong_instance", "wrong_tenant", "wrong_type", "milliseconds"


Variant = tuple[Cause, SignedRequest, Presented]


class AddressNames(msgspec.Struct, frozen=True):
    """The names that the signed text may contain instead of those in the address."""

    instances: tuple[str, ...]
    tenants: tuple[str, ...]
    types: tuple[str, ...]
    key_versions: tuple[int, ...]


def other_addresses(request: SignedRequest, presented: Presented, names: AddressNames) -> Iterator[Variant]:
    """Variants of the request whose text may have been signed."""
    body = _object(request.body)
    yield from _of(request, presented, "instance", (*_named(body, "instance"), *names.instances), WRONG_INSTANCE)
    yield from _of(request, presented, "payload_type", (*_named(body, "type"), *names.types), WRONG_TYPE)
    yield from _times(request, presented)
    for version in names.key_versions:
        if presented.key_version not in (None, version):
            words = f"The signed text names key version {version}, the headers {presented.key_version}."
            other = msgspec.structs.replace(presented, key_version=version)
            yield Cause(WRONG_VERSION, words, "Name the same key version in both."), request, other
    yield from _by_proxies(request, presented)
    # Last, since there may be many: the first ones are also tried in pairs with other causes.
    yield from _of(request, presented, "tenant", (*_named(body, "tenant"), *names.tenants), WRONG_TENANT)


def _of(
    request: SignedRequest, presented: Presented, member: str, values: Iterable[str], code: str
) -> Iterator[Variant]:
    """The request with another instance, tenant or payload type, in its path too."""
    current: str = getattr(request, member)
    what = member.replace("_", " ")
    for value in dict.fromkeys((*values, current.upper(), "")):
        if value == current:
            continue
        words = f"The signed text names the {what} {value!r}; the address names {current!r}."
        path = "/".join(value if part == current else part for part in request.path.split("/"))
        changed: dict[str, Any] = {member: value, "path": path}
        yield (
            Cause(code, words, f"Sign the {what} of the address."),
            msgspec.structs.replace(request, **changed),
            presented,
        )


def _times(request: SignedRequest, presented: Presented) -> Iterator[Variant]:
    words = "The signed text has the time in {}, the header in {}."
    for other, signed, sent in (
        (presented.timestamp * 1000, "milliseconds", "seconds"),
        (presented.timestamp // 1000, "seconds", "milliseconds"),
    ):
        cause = Cause(MILLISECONDS, words.format(signed, sent), "Use Unix seconds in both.")
        yield cause, request, msgspec.structs.replace(presented, timestamp=other)


def _by_proxies(request: SignedRequest, presented: Presented) -> Iterator[Variant]:
    """Changes of the address by a proxy, if the scheme covers it."""
    fix = "Have the proxy forward path and Host unchanged, or do not cover them."
    for host in request.all("x-forwarded-host"):
        cause = Cause("proxy_changed_host", f"The signature covers the host {host!r}; a proxy changed it.", fix)
        yield cause, msgspec.structs.replace(request, authority=host), presented
    for start in ("/api/v1", "/sync"):
        at = request.path.find(start)
        if at > 0:
            path = request.path[at:]
            cause = Cause(
                "proxy_changed_path", f"The signature covers the path {path}; the request went to another.", fix
            )
            yield cause, msgspec.structs.replace(request, path=path), presented


def _named(body: dict[str, Any], member: str) -> tuple[str, ...]:
    value = body.get(member)
    return (value,) if isinstance(value, str) and len(value) <= 64 and value.isprintable() else ()


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = loads(body)
    except MalformedJson:
        return {}
    return value if isinstance(value, dict) else {}
