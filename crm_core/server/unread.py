"""The deadline of a client that does not read its response."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Unread(HttpToolsProtocol):
    """uvicorn's protocol; it ends once its client has read nothing for ``unread_seconds`` although a part waits for it.

    Otherwise the connection, and the memory of its response, would be in use for as long as the client likes.
    """

    unread_seconds: float
    _waiting = 0  # bytes, when the timer started
    _unread: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """Let responses wait until the client has read more."""
        super().pause_writing()
        self.await_reader()

    def resume_writing(self) -> None:
        """Let responses continue."""
        super().resume_writing()
        self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, once its last response is sent."""
        super().timeout_keep_alive_handler()
        self.await_reader()

    def await_reader(self) -> None:
        """Start the deadline if anything waits: a transport that closes sends it first."""
        waiting = self.transport.get_write_buffer_size()
        if waiting and self._unread is None:
            self._waiting = waiting
            self._unread = self.loop.call_later(self.unread_seconds, self._check)

    def _stop(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _check(self) -> None:
        self._unread = None
        if self.transport.get_write_buffer_size() >= self._waiting:
            self.transport.abort()
        else:
            self.await_reader()
