from __future__ import annotations

import asyncio
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from crm_core.control.client import ControlUnreachable, call, stream
from crm_core.control.server import ControlServer, Result, Run
from crm_core.control.wire import LINE_LIMIT
from crm_core.errors import Finding, InvalidRecord, SetupError, StorageUnavailable

ASK = """
import json, sys
from pathlib import Path
from crm_core.control.client import call
print(json.dumps(call(Path(sys.argv[1]), "echo", {"text": "hé"})))
"""


class Commands:
    """The commands of the tests' server."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.go_on = asyncio.Event()
        self.begun: list[str] = []

    async def run(self, command: str, arguments: dict[str, Any]) -> Result:
        self.begun.append(command)
        match command:
            case "echo":
                return dict(arguments)
            case "count":
                return self.count(arguments["to"])
            case "wait":
                await self.go_on.wait()
                return {"waited": True}
            case "invalid":
                raise InvalidRecord("No.", errors=[Finding("/name", "required", "A name is required.")], seen=3)
            case "unavailable":
                raise StorageUnavailable("No.", operator_detail="journal-1.log is empty.")
            case "setup":
                raise SetupError(["one", "two"])
            case _:
                raise OSError(5, f"secret {command}")

    async def count(self, to: int) -> AsyncIterator[dict[str, Any]]:
        try:
            for number in range(to):
                yield {"n": number}
            if to > 2:
                await asyncio.Event().wait()
            if to == 1:
                raise RuntimeError("secret")
        finally:
            self.ended.set()


@pytest.fixture
def served() -> Callable[..., Any]:
    """A factory of running servers for a folder."""

    @asynccontextmanager
    async def factory(folder: Path, run: Run) -> AsyncIterator[ControlServer]:
        server = ControlServer(folder, run)
        await server.start()
        try:
            yield server
        finally:
            await server.close(grace=1)

    return factory


async def test_another_process_is_answered(tmp_path: Path, served: Callable[..., Any]) -> None:
    """A command in another process gets the server's result."""
    async with served(tmp_path, Commands().run):
        asked = await asyncio.create_subprocess_exec(
            sys.executable, "-c", ASK, str(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        output, trouble = await asked.communicate()
        assert trouble == b""
        assert output == b'{"text": "h\\u00e9"}\n'


async def test_the_socket_is_private_and_goes_with_the_server(tmp_path: Path, served: Callable[..., Any]) -> None:
    """The socket is for its owner alone; a left-over one is replaced; a closed server leaves none."""
    (tmp_path / ".control.sock").write_text("left over")
    async with served(tmp_path, Commands().run):
        mode = (tmp_path / ".control.sock").stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
    assert not (tmp_path / ".control.sock").exists()


async def test_a_folder_with_a_long_path_is_reached(tmp_path: Path, served: Callable[..., Any]) -> None:
    """A path far over the limit of a socket's address works."""
    folder = tmp_path / ("a" * 120) / ("b" * 120)
    folder.mkdir(parents=True)
    async with served(folder, Commands().run):
        assert await asyncio.to_thread(call, folder, "echo", {"x": 1}) == {"x": 1}


async def test_errors_travel_as_what_they_are(tmp_path: Path, served: Callable[..., Any]) -> None:
    """The caller gets the same error, words for operators included; an unexpected one shows nothing of itself."""
    async with served(tmp_path, Commands().run):
        with pytest.raises(InvalidRecord) as invalid:
            await asyncio.to_thread(call, tmp_path, "invalid", {})
        assert (invalid.value.code, invalid.value.detail) == ("invalid_record", "No.")
        assert invalid.value.errors == (Finding("/name", "required", "A name is required."),)
        assert invalid.value.evidence == {"seen": 3}
        with pytest.raises(StorageUnavailable) as unavailable:
            await asyncio.to_thread(call, tmp_path, "unavailable", {})
        assert (unavailable.value.detail, unavailable.value.operator_detail) == ("No.", "journal-1.log is empty.")
        with pytest.raises(SetupError) as setup:
            await asyncio.to_thread(call, tmp_path, "setup", {})
        assert setup.value.problems == ("one", "two")
        with pytest.raises(Exception, match="log") as broken:
            await asyncio.to_thread(call, tmp_path, "other", {})
        assert "secret" not in str(broken.value)


async def test_items_stream_to_their_end(tmp_path: Path, served: Callable[..., Any]) -> None:
    """A streaming command's items arrive in order; one that breaks raises after what it gave."""
    async with served(tmp_path, Commands().run):
        assert await asyncio.to_thread(lambda: list(stream(tmp_path, "count", {"to": 2}))) == [{"n": 0}, {"n": 1}]
        items: list[dict[str, Any]] = []
        with pytest.raises(Exception, match="log"):
            await asyncio.to_thread(lambda: items.extend(stream(tmp_path, "count", {"to": 1})))


async def test_a_caller_that_hangs_up_ends_its_stream(tmp_path: Path, served: Callable[..., Any]) -> None:
    """An endless stream ends on the server when its caller disconnects."""
    commands = Commands()

    def two() -> list[dict[str, Any]]:
        items = stream(tmp_path, "count", {"to": 3})
        return [next(items), next(items)]

    async with served(tmp_path, commands.run):
        assert await asyncio.to_thread(two) == [{"n": 0}, {"n": 1}]
        async with asyncio.timeout(20):
            await commands.ended.wait()


async def test_closing_lets_a_command_finish_and_ends_streams(tmp_path: Path) -> None:
    """A running command still gets its answer when the server stops; an endless stream ends with an error."""
    commands = Commands()
    server = ControlServer(tmp_path, commands.run)
    await server.start()
    waiting = asyncio.create_task(asyncio.to_thread(call, tmp_path, "wait", {}))
    endless = asyncio.create_task(asyncio.to_thread(lambda: list(stream(tmp_path, "count", {"to": 3}))))
    async with asyncio.timeout(20):
        while sorted(commands.begun) != ["count", "wait"]:  # noqa: ASYNC110 -- two threads ask
            await asyncio.sleep(0.01)
    closing = asyncio.create_task(server.close())
    await asyncio.sleep(0.05)
    commands.go_on.set()
    assert await waiting == {"waited": True}
    with pytest.raises(ControlUnreachable):
        await endless
    await closing


def test_without_a_server_it_is_said(tmp_path: Path) -> None:
    """Without a server, or without the folder, the caller gets an error immediately."""
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(ControlUnreachable, match="no server answers"):
            call(folder, "echo", {})


async def test_a_slow_command_times_out(tmp_path: Path, served: Callable[..., Any]) -> None:
    """The caller waits no longer than it said, and is warned that the command may go on."""
    commands = Commands()
    async with served(tmp_path, commands.run):
        with pytest.raises(ControlUnreachable, match="may still take effect"):
            await asyncio.to_thread(call, tmp_path, "wait", {}, 0.1)
        commands.go_on.set()


async def test_what_is_no_call_is_refused(tmp_path: Path, served: Callable[..., Any]) -> None:
    """Garbage gets an error line; a call that is too long is refused before it is sent."""
    async with served(tmp_path, Commands().run):
        reader, writer = await asyncio.open_unix_connection(tmp_path / ".control.sock")
        writer.write(b"hello\n")
        assert b"cannot read this call" in await reader.readline()
        writer.close()
        await writer.wait_closed()
        with pytest.raises(SetupError, match="too long"):
            await asyncio.to_thread(call, tmp_path, "echo", {"text": "x" * LINE_LIMIT})
