from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fronts.inside import managing, problem
from fronts.standin import upstream


async def forwarded(folder: Path, headers: dict[str, str], **settings: Any) -> dict[bytes, list[bytes]]:
    """The header fields with which a request with these arrives."""
    async with upstream() as eu, managing(folder, {"eu1": [eu.address]}, **settings) as front:
        assert (await front.ask("/i/eu1/x", headers=headers)).status == 200
        (seen,) = eu.seen
        return {name: seen.values(name) for name, _ in seen.fields}


async def test_what_passes(tmp_path: Path) -> None:
    """The client's own fields arrive as they are, and nothing is added but who the client is and the way it came."""
    own = {
        "Authorization": "Bearer crm_x",
        "Cookie": "a=1; b=2",
        "X-Request-Id": "client-1",
        "Sync-Signature": "v1=00",
        "Accept": "*/*",
        "X-Text": "Grüße".encode().decode("latin-1"),
        "Via": "1.0 other",
        "Empty": "",
    }
    seen = await forwarded(tmp_path, own)
    assert seen == {
        b"host": [b"front.example"],
        b"authorization": [b"Bearer crm_x"],
        b"cookie": [b"a=1; b=2"],
        b"x-request-id": [b"client-1"],
        b"sync-signature": [b"v1=00"],
        b"accept": [b"*/*"],
        b"x-text": ["Grüße".encode()],
        b"empty": [b""],
        b"x-forwarded-for": [b"127.0.0.1"],
        b"x-forwarded-proto": [b"http"],
        b"via": [b"1.0 other, 1.1 crm-manager"],
    }


async def test_what_stays(tmp_path: Path) -> None:
    """Fields of the connection, those that Connection lists, and those by which proxies speak do not pass."""
    theirs = {
        "Connection": "keep-alive, X-Hop, host, x-forwarded-proto",
        "Keep-Alive": "timeout=5",
        "Proxy-Connection": "keep-alive",
        "Proxy-Authorization": "Basic x",
        "TE": "trailers",
        "Trailer": "X-T",
        "X-Hop": "1",
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Prefix": "/p",
        "X-Real-IP": "192.0.2.1",
        "Forwarded": "for=192.0.2.1",
    }
    assert await forwarded(tmp_path, theirs) == {
        b"host": [b"front.example"],
        b"x-forwarded-for": [b"127.0.0.1"],
        b"x-forwarded-proto": [b"http"],
        b"via": [b"1.1 crm-manager"],
    }


@pytest.mark.parametrize(
    ("chain", "proto", "source", "scheme"),
    [
        ("192.0.2.1", "https", [b"192.0.2.1"], b"https"),
        ("203.0.113.9, 192.0.2.1", "ftp", [b"192.0.2.1"], b"http"),
        ("192.0.2.1, 127.0.0.5", "https", [b"192.0.2.1"], b"https"),
        ("not an address", "https", [b"unknown"], b"https"),
        ("[2001:db8::1]:443", "https", [b"2001:db8::1"], b"https"),
    ],
)
async def test_trusted_proxies(tmp_path: Path, chain: str, proto: str, source: list[bytes], scheme: bytes) -> None:
    """A trusted proxy in front is believed who the client is, as far as trust reaches, and how it came.

    A client that it cannot name is not taken for the manager itself, from whose address a key may be accepted.
    """
    theirs = {"X-Forwarded-For": chain, "X-Forwarded-Proto": proto}
    seen = await forwarded(tmp_path, theirs, trusted_proxies=["127.0.0.0/8"])
    assert seen[b"x-forwarded-for"] == source
    assert seen[b"x-forwarded-proto"] == [scheme]


async def test_values_that_are_no_text(tmp_path: Path) -> None:
    """A value that is not UTF-8 cannot be handed on as it is, so it is refused."""
    async with upstream() as eu, managing(tmp_path, {"eu1": [eu.address]}) as front:
        problem(await front.ask("/i/eu1/x", headers={"X-Text": "\xff"}), 400, "malformed_request")
        assert not eu.seen


async def test_host_is_the_clients(tmp_path: Path) -> None:
    """The instance sees the Host that the client asked, or none, and never the upstream's address."""
    async with upstream() as eu, managing(tmp_path, {"eu1": [eu.address]}) as front:
        await front.talk(
            b"GET http://front.example/i/eu1/x HTTP/1.1\r\nHost: front.example\r\nConnection: close\r\n\r\n"
        )
        (seen,) = eu.seen
        assert seen.line == b"GET /i/eu1/x HTTP/1.1"
        assert seen.values(b"host") == [b"front.example"]
