"""The ASGI lifespan: the application's own start and end."""

from __future__ import annotations

import asyncio
from typing import Any

from crm_core.errors import SetupError
from crm_core.server.asgi import Asgi, Message, Scope


class Lifespan:
    """Start and stop one application; a failed start is reported, never read as "no lifespan"."""

    def __init__(self, app: Asgi) -> None:
        self._app = app
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Future[None] | None = None
        self.state: dict[str, Any] = {}

    async def start(self) -> None:
        """Run the application's start.

        Raises: the application's own error, or SetupError with its message.
        """
        asgi = {"version": "3.0", "spec_version": "2.0"}
        scope: Scope = {"type": "lifespan", "asgi": asgi, "state": self.state}
        self._task = asyncio.ensure_future(self._app(scope, self._to_app.get, self._from_app.put))
        await self._run_phase("startup")

    async def stop(self) -> None:
        """Run the application's end. Raises: as ``start``."""
        await self._run_phase("shutdown")
        assert self._task is not None
        await self._task

    async def _run_phase(self, phase: str) -> None:
        assert self._task is not None
        await self._to_app.put({"type": f"lifespan.{phase}"})
        answer = asyncio.ensure_future(self._from_app.get())
        both: set[asyncio.Future[Any]] = {answer, self._task}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            self._task.result()
            raise SetupError([f"the application ended its lifespan before its {phase}"])
        message = answer.result()
        if message["type"] == f"lifespan.{phase}.complete":
            return
        await asyncio.gather(self._task, return_exceptions=True)
        lines = str(message.get("message") or "").splitlines()
        raise SetupError(lines or [f"the application's {phase} failed; see its log"])
