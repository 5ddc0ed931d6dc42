from __future__ import annotations

import zlib

import httpx

from served import ALL, Instance

GZIP = {"Accept-Encoding": "gzip;q=0.5, br"}


async def raw(client: httpx.AsyncClient, path: str, **headers: str) -> tuple[httpx.Headers, bytes]:
    """The header fields of an answer, and its body as it came."""
    async with client.stream("GET", path, headers={"Accept-Encoding": "identity", **headers}) as answer:
        assert answer.status_code == 200, path
        return answer.headers, b"".join([part async for part in answer.aiter_raw()])


async def test_lists_and_exports_come_in_gzip_on_request(live: Instance) -> None:
    """The same bytes, shorter; small ones, details, event streams and other codings stay plain; caches know of it."""
    await live.push("features", {"plan": ALL})
    async with live.client(await live.token("customers:read", "customers:write", "sync:read")) as client:
        items = [{"name": f"Customer {number}", "notes": "n" * 2000} for number in range(60)]
        made = (await client.post("customers/batch", json={"items": items})).json()["results"]
        for path, accept in (("customers", "application/json"), ("customers", "text/csv"), ("sync/log", "text/csv")):
            head, plain = await raw(client, path, Accept=accept)
            assert "content-encoding" not in head
            for coding in ("br", "gzip;q=0", "*;q=0"):
                assert (
                    "content-encoding" not in (await raw(client, path, Accept=accept, **{"Accept-Encoding": coding}))[0]
                )
            fields, packed = await raw(client, path, Accept=accept, **GZIP)
            assert "Accept-Encoding" in head["vary"]
            assert head["vary"] == fields["vary"]
            assert fields["content-encoding"] == "gzip"
            assert int(fields.get("content-length", len(packed))) == len(packed)
            assert zlib.decompress(packed, wbits=31) == plain
            assert len(packed) < max(len(plain) / 4, 600)
        for path in (f"customers/{made[0]['id']}", "bootstrap", "customers?limit=1&q=nothing"):
            assert "content-encoding" not in (await raw(client, path, **GZIP))[0]
        head = await client.head("customers", headers=GZIP)
        assert (head.headers["content-encoding"], head.content) == ("gzip", b"")
        async with client.stream("GET", "events", headers=GZIP) as events:
            assert "content-encoding" not in events.headers
            assert (await anext(events.aiter_lines())).startswith("retry")
