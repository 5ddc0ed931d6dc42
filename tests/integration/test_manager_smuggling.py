from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fronts.inside import Front, managing
from fronts.messages import HIDDEN, ONE, REFUSED
from fronts.standin import StandIn, upstream


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Front, StandIn]]:
    """Run a manager in front of a stand-in."""
    async with upstream() as eu, managing(tmp_path, {"eu1": [eu.address]}) as front:
        yield front, eu


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED)
async def test_refused(pair: tuple[Front, StandIn], raw: bytes) -> None:
    """What could be read as two requests is refused; the instance sees nothing whole, and nothing hidden in it."""
    front, eu = pair
    answer = await front.talk(raw)
    assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 421", b"HTTP/1.1 404"), answer
    assert answer.count(b"HTTP/1.1 4") == 1
    await asyncio.sleep(0.02)
    assert not any(seen.whole for seen in eu.seen)
    assert not any(b"hidden" in seen.line for seen in eu.seen)


@pytest.mark.parametrize("raw", ONE.values(), ids=ONE)
async def test_one(pair: tuple[Front, StandIn], raw: bytes) -> None:
    """A request with one meaning arrives as that one request, with its whole body, framed again."""
    front, eu = pair
    answer = await front.talk(raw)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1
    (seen,) = eu.seen
    assert (seen.line, seen.body) == (b"POST /i/eu1/x HTTP/1.1", HIDDEN)
    assert len(seen.values(b"content-length") + seen.values(b"transfer-encoding")) == 1
    assert not seen.values(b"upgrade")


async def test_answers_cannot_be_split(pair: tuple[Front, StandIn]) -> None:
    """Two answers to one request do not become the answer to the next."""
    front, eu = pair

    async def twice(seen: object, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1" + b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n2"
        )

    eu.respond = twice
    assert [(await front.ask("/i/eu1/x")).body for _ in range(5)] == [b"1"] * 5
