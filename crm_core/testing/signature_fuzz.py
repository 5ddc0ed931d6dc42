"""Hostile requests for signature schemes: damaged valid ones, and random ones. Fast and repeatable."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

import msgspec

from crm_core.errors import AmbiguousSignature, KeyUnknown, SignatureIncomplete, SignatureMalformed, SignatureMissing
from crm_core.model.keys import Key
from crm_core.plugin.signature import Presented, SignatureScheme, SignedRequest

ALLOWED = (SignatureMissing, SignatureMalformed, AmbiguousSignature, SignatureIncomplete, KeyUnknown)
_PIECES = (
    *("", " ", "\t", ",", ", ", ";", ":", "::", "=", '"', "\\", "(", ")", "()", "?0", "?1", ".", "-", "*", "%", "\0"),
    *("\r\n", "\x7f", "\x80", "\xff", "\u0100", "\ud800", "v1", "v1=", "v1,", "v1a,", "v2,x", "sync", "sync1="),
    *("0", "00", "-1", "+1", "1e3", "1.5", "9" * 15, "9" * 16, "9" * 400, "\u0661", "\u00b2", "nan", "true"),
    *("created", ";created=1", ";nonce=n", ';tag="crm-sync"', ';keyid="northwind:2"', ";expires=0", ";alg=x", ";sf"),
    *('"@method"', '"@path"', '"content-digest"', '"@query"', '"@authority"', '"@signature-params"', '"x"', ";bs"),
    *("sha-256=", "sha-512=:", ":AAAA:", "=:", "A" * 43 + "=", "a" * 64, "A" * 64, "0" * 64, "x" * 300, "x" * 9000),
)
_LONG = re.compile(r"[A-Za-z0-9+/_-]{16,}")  # long enough for a signature or nonce
_SEED = 20260921
_CHARACTERS = "abcxyzABCXYZ0189 \t\"'()<>[]{}=;:,.?@*%/\\+-_~!#$&^`|\x00\x0a\x0d\x1f\x7f\x80\xe9\xff"


def respelled(request: SignedRequest, names: tuple[str, ...]) -> Iterator[SignedRequest]:
    """The request with the values of these headers padded with false signatures, in another order and spelling."""
    for at, (name, value) in enumerate(request.headers):
        for text in _spellings(value) if name in names else ():
            headers = (*request.headers[:at], (name, text), *request.headers[at + 1 :])
            yield msgspec.structs.replace(request, headers=headers)


def _spellings(value: str) -> Iterator[str]:
    for separator in (",", ", ", " ", ";"):
        parts = value.split(separator.strip() or separator)
        yield separator.join(reversed(parts))
        for part in parts:
            false = _LONG.sub(lambda found: ("B" if found[0][0] == "A" else "A") + found[0][1:], part)
            zeros = _LONG.sub(lambda found: "0" * len(found[0]), part)
            yield from (separator.join(each) for each in ((false, value), (value, false), (zeros, value)))
            yield separator.join((part, value))
    yield from (value.upper(), value.lower(), value.rstrip("="), f" {value} ", f"{value},")


def damaged(request: SignedRequest, rng: Random) -> SignedRequest:
    """The request with one to three changes to header values, the set of headers, body or address."""
    for _ in range(rng.randint(1, 3)):
        request = rng.choice(_DAMAGES)(request, rng)
    return request


def random_request(request: SignedRequest, names: tuple[str, ...], rng: Random) -> SignedRequest:
    """The request with random values for headers of these names."""
    headers = [(name, _any_value(rng)) for name in names for _ in range(rng.choice((0, 1, 1, 1, 1, 1, 1, 2)))]
    rng.shuffle(headers)
    return msgspec.structs.replace(request, headers=request.headers + tuple(headers))


def fuzz(
    scheme: SignatureScheme, plain: SignedRequest, signed: SignedRequest, *, key: Key, other: Key, rounds: int
) -> Counter[str]:
    """Count the outcomes of hostile requests. Raises AssertionError with a request that was wrongly accepted.

    ``signed`` is ``plain`` signed with ``key``. A damaged request may match under ``key`` if nothing signed was
    damaged; then body, address, time, nonce and key version must be unchanged. Under ``other`` none may match.
    """
    rng, outcomes = Random(_SEED), Counter[str]()
    good = scheme.read(signed)
    added = [name for name, _ in signed.headers[len(plain.headers) :]]
    names = tuple(dict.fromkeys((*scheme.HEADERS, *added)))
    for at in range(rounds):
        hostile = random_request(plain, names, rng) if at % 4 == 0 else damaged(signed, rng)
        outcome, presented = _outcome(scheme, hostile, key)
        outcomes[outcome] += 1
        if outcome == "matched":
            assert presented is not None
            assert hostile.body == signed.body, f"matched with another body: {hostile}"
            assert _claims(presented) == _claims(good), f"matched with another time, nonce or key version: {hostile}"
            moved = scheme.SIGNS_INSTANCE and _address_of(hostile) != _address_of(signed)
            assert not moved, f"matched at another address: {hostile}"
        assert _outcome(scheme, hostile, other)[0] != "matched", f"matched under another key: {hostile}"
    return outcomes


def _outcome(scheme: SignatureScheme, request: SignedRequest, key: Key) -> tuple[str, Presented | None]:
    """The outcome: ``matched``, ``not matched`` or the code of the refusal; and the parsed headers."""
    try:
        presented = scheme.read(request)
        return ("matched" if scheme.verifies(request, presented, key) else "not matched"), presented
    except ALLOWED as refusal:
        return str(getattr(refusal, "code", "")), None


def _claims(presented: Presented) -> tuple[int, str, int | None]:
    return presented.timestamp, presented.nonce, presented.key_version


def _address_of(request: SignedRequest) -> tuple[str, str, str]:
    return request.instance, request.tenant, request.payload_type


def _any_value(rng: Random) -> str:
    if rng.random() < 0.5:
        return "".join(rng.choice(_PIECES) for _ in range(rng.randint(0, 8)))
    return "".join(rng.choice(_CHARACTERS) for _ in range(rng.randint(0, 60)))


def _spliced(text: str, rng: Random) -> str:
    """The text with a part replaced by another piece, by one of its parts, or by nothing."""
    start = rng.randint(0, len(text))
    end = min(len(text), start + rng.choice((0, 0, 1, 1, 2, 8, 64)))
    own = text[(at := rng.randint(0, len(text))) : at + rng.randint(0, 20)]
    return text[:start] + rng.choice((rng.choice(_PIECES), rng.choice(_CHARACTERS), own, "")) + text[end:]


def _header(request: SignedRequest, rng: Random) -> SignedRequest:
    headers = list(request.headers)
    if headers:
        at = rng.randrange(len(headers))
        name, value = headers[at]
        headers[at] = (name, rng.choice((_spliced(value, rng), value.swapcase(), _any_value(rng), value * 2)))
    return msgspec.structs.replace(request, headers=tuple(headers))


def _headers(request: SignedRequest, rng: Random) -> SignedRequest:
    """Remove, repeat or rename a header, or shuffle all."""
    headers = list(request.headers)
    if headers:
        at, by = rng.randrange(len(headers)), rng.randrange(len(headers))
        match rng.randrange(4):
            case 0:
                del headers[at]
            case 1:
                headers.append(headers[at])
            case 2:
                headers[at] = (headers[by][0], headers[at][1])
            case _:
                rng.shuffle(headers)
    return msgspec.structs.replace(request, headers=tuple(headers))


def _body(request: SignedRequest, rng: Random) -> SignedRequest:
    body = bytearray(request.body)
    if body and rng.random() < 0.7:
        body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
    else:
        body += rng.choice((b"\n", b" ", b"\0", b"{}"))
    return msgspec.structs.replace(request, body=bytes(body))


def _address(request: SignedRequest, rng: Random) -> SignedRequest:
    other = rng.choice(("eu2", "contoso", "smtp", "", "NORTHWIND"))
    member = rng.choice(("instance", "tenant", "payload_type"))
    current: str = getattr(request, member)
    path = "/".join(other if part == current else part for part in request.path.split("/"))
    return msgspec.structs.replace(request, **{member: other, "path": path})


_Damage = Callable[[SignedRequest, Random], SignedRequest]
_DAMAGES: tuple[_Damage, ...] = (_header, _header, _header, _headers, _body, _address)
