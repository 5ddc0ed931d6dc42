"""The ASGI lifespan: the application's own start and end."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

from uvicorn._types import ASGI3Application

from crm_core.errors import SetupError


class Lifespan:
    """Start and stop one application; a start that fails is told, never taken for an application without a lifespan."""

    def __init__(self, app: ASGI3Application) -> None:
        self._app = app
        self._orders: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._answers: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self.state: dict[str, Any] = {}

    async def start(self) -> None:
        """Run the application's start; raises what it raised, or SetupError with what it told."""
        asgi = {"version": "3.0", "spec_version": "2.0"}
        scope: Any = {"type": "lifespan", "asgi": asgi, "state": self.state}
        run: Any = self._app(scope, self._orders.get, self._answers.put)  # type: ignore[arg-type]
        self._task = asyncio.ensure_future(run)
        await self._ordered("startup")

    async def stop(self) -> None:
        """Run the application's end; raises as ``start`` does."""
        await self._ordered("shutdown")
        assert self._task is not None
        await self._task

    async def _ordered(self, what: str) -> None:
        assert self._task is not None
        await self._orders.put({"type": f"lifespan.{what}"})
        answer = asyncio.ensure_future(self._answers.get())
        await asyncio.wait({answer, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            self._task.result()
            raise SetupError([f"the application ended its lifespan before its {what}"])
        message = answer.result()
        if message["type"] == f"lifespan.{what}.complete":
            return
        await asyncio.gather(self._task, return_exceptions=True)
        lines = str(message.get("message") or "").splitlines()
        raise SetupError(lines or [f"the application's {what} failed: see its log"])
