"""The server of the private socket: commands from the same user of this machine."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from crm_core.control.wire import LINE_LIMIT, SOCKET_NAME, ControlAnswer, ControlRequest, line, short_address, to_wire
from crm_core.errors import CrmError, InternalError, SetupError
from crm_core.server_log import ServerLog

Result = dict[str, Any] | AsyncIterator[dict[str, Any]]
Run = Callable[[str, dict[str, Any]], Awaitable[Result]]
"""Runs a command; a dict is its result, an async iterator a stream of items."""

_REQUEST_SECONDS: Final = 10.0
_RETRY_SECONDS: Final = 2.0
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_log: Final = ServerLog("crm.control")


class ControlServer:
    """Serve ``run`` on ``<folder>/.control.sock`` (0600) for peers of the same user, and root.

    The caller has locked the folder, so an existing socket is left over and is replaced.
    """

    def __init__(self, folder: Path, run: Run) -> None:
        self._folder = folder
        self._run = run
        self._server: asyncio.Server | None = None
        self._retrying: asyncio.Task[None] | None = None
        self._streams: set[asyncio.Task[None]] = set()
        self._calls: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. On a full disk this is retried until there is space: requests can be served without the socket.

        Raises SetupError if the socket cannot be created.
        """
        try:
            await self._listen()
        except OSError as error:
            if error.errno not in _NO_SPACE:
                raise SetupError([f"{self._folder / SOCKET_NAME} cannot be created: {error.strerror}"]) from error
            _log.warning("control_socket_failed", error=error.strerror)
            self._retrying = asyncio.create_task(self._listen_later())

    async def _listen_later(self) -> None:
        while self._server is None:
            await asyncio.sleep(_RETRY_SECONDS)
            with suppress(OSError):
                await self._listen()

    async def _listen(self) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            (self._folder / SOCKET_NAME).unlink(missing_ok=True)
            with short_address(self._folder) as address:
                before = os.umask(0o177)
                try:
                    listener.bind(address)
                finally:
                    os.umask(before)
        except BaseException:
            listener.close()
            raise
        self._server = await asyncio.start_unix_server(self._accepted, sock=listener, limit=LINE_LIMIT)

    async def close(self, grace: float = 10.0) -> None:
        """Accept no more commands, end the streams, and give running commands ``grace`` seconds to finish."""
        if self._retrying is not None:
            self._retrying.cancel()
            await asyncio.wait({self._retrying})
        if self._server is None:
            return
        await asyncio.sleep(0)  # asyncio loses a connection that it accepts while its server closes
        self._server.close()
        self._server = None
        (self._folder / SOCKET_NAME).unlink(missing_ok=True)
        await asyncio.sleep(0)  # connections that were accepted in this turn become calls
        for task in self._streams:
            task.cancel()
        if self._calls:
            _, late = await asyncio.wait(self._calls, timeout=grace)
            for task in late:
                task.cancel()
        await asyncio.gather(*self._streams, *self._calls, return_exceptions=True)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._calls.add(asyncio.create_task(self._connected(reader, writer)))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            if _is_trusted(writer):
                await self._serve(task, reader, writer)
        except (OSError, TimeoutError):
            pass  # the caller disconnected: its command has run or never came
        except asyncio.CancelledError:
            pass  # only close() cancels, and asyncio would report the cancelled handler as an error
        finally:
            self._calls.discard(task)
            self._streams.discard(task)
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _serve(
        self, task: asyncio.Task[None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            request = await _request(reader)
            if request is None:
                return
            with _reported():
                result = await self._run(request.command, request.arguments)
            if isinstance(result, dict):
                answer = line(ControlAnswer(result=result))
            else:
                self._calls.discard(task)
                self._streams.add(task)
                await _send_items(_guarded(result), reader, writer)
                answer = line(ControlAnswer(result={}))
        except (CrmError, SetupError) as error:
            answer = line(ControlAnswer(error=to_wire(error)))
        writer.write(answer)
        await writer.drain()


@contextmanager
def _reported() -> Iterator[None]:
    """The boundary of commands: the caller learns that one failed, the log learns why."""
    try:
        yield
    except (CrmError, SetupError):
        raise
    except Exception as error:  # noqa: BLE001  # a command may raise anything
        _log.error("command_failed", error=type(error).__name__)
        raise InternalError("The command failed. See the server's log.") from None


async def _guarded(items: AsyncIterator[dict[str, Any]]) -> AsyncGenerator[dict[str, Any], None]:
    try:
        with _reported():
            async for item in items:
                yield item
    finally:
        if (end := getattr(items, "aclose", None)) is not None:
            await end()


async def _request(reader: asyncio.StreamReader) -> ControlRequest | None:
    try:
        async with asyncio.timeout(_REQUEST_SECONDS):
            encoded = await reader.readline()
    except ValueError:
        raise SetupError([f"a call must be one line of at most {LINE_LIMIT} bytes"]) from None
    if not encoded:
        return None
    try:
        return msgspec.json.decode(encoded, type=ControlRequest)
    except msgspec.MsgspecError as error:
        raise SetupError([f"the server cannot read this call ({error}); use the crm command of its version"]) from None


async def _send_items(
    items: AsyncGenerator[dict[str, Any], None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Write the items until they end or the caller, which sends nothing more, disconnects."""
    gone = asyncio.ensure_future(reader.read(1))
    upcoming: asyncio.Future[dict[str, Any]] | None = None
    try:
        while True:
            upcoming = asyncio.ensure_future(anext(items))
            await asyncio.wait({gone, upcoming}, return_when=asyncio.FIRST_COMPLETED)
            if not upcoming.done():
                raise ConnectionResetError
            try:
                item = upcoming.result()
            except StopAsyncIteration:
                return
            writer.write(line(ControlAnswer(item=item)))
            await writer.drain()
    finally:
        waiting = [future for future in (gone, upcoming) if future is not None and not future.done()]
        for future in waiting:
            future.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await items.aclose()


def _is_trusted(writer: asyncio.StreamWriter) -> bool:
    """Whether the peer runs as this user or as root (by SO_PEERCRED if the system has it)."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True
    handle = writer.get_extra_info("socket").fileno()
    with socket.socket(fileno=os.dup(handle)) as peer:
        _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))
    return uid in (0, os.geteuid())
