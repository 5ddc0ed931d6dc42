"""The health of upstreams: each is asked for /readyz again and again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus
from typing import Final

import aiohttp

from crm_core.manager.upstream import Upstream, reason_of

INTERVAL_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 2.0


async def tend(upstream: Upstream) -> None:
    """Probe an upstream until it is retired; then let its last request finish, and close it."""
    try:
        while not upstream.retired.is_set():
            await probe(upstream)
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL_SECONDS):
                    await upstream.retired.wait()
        await upstream.idle()
    finally:
        await upstream.close()


async def probe(upstream: Upstream) -> None:
    """Ask once and note the outcome."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            answer = await upstream.ask("GET", "/readyz")
            async with answer:
                await answer.read()
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        upstream.fails(f"/readyz: {reason_of(error)}")
        return
    if answer.status == HTTPStatus.OK:
        upstream.works()
    else:
        upstream.fails(f"/readyz answered {answer.status}")
