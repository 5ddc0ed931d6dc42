"""The health of upstreams: each is checked at /readyz every second."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus
from typing import Final

import aiohttp

from crm_core.manager.upstream import Upstream, reason_of

INTERVAL_SECONDS: Final = 1.0
PROBE_TIMEOUT_SECONDS: Final = 2.0


async def monitor(upstream: Upstream) -> None:
    """Check an upstream until it is retired; then wait for its requests and close it."""
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
    """Check once and record the outcome."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
            answer = await upstream.request("GET", "/readyz")
            async with answer:
                await answer.read()
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        upstream.record_failure(f"/readyz: {reason_of(error)}")
        return
    if answer.status == HTTPStatus.OK:
        upstream.mark_up()
    else:
        upstream.record_failure(f"/readyz answered {answer.status}")
