from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from crm_core.errors import SetupError
from crm_core.server.listen import bound
from crm_core.server.serve import serve

PROGRAM = """
import asyncio, sys, time
from contextlib import asynccontextmanager
from crm_core.server.process import run
from crm_core.server.serve import serve

stopping = None

@asynccontextmanager
async def lifespan():
    global stopping
    stopping = asyncio.Event()
    print("startup", flush=True)
    yield
    print("shutdown", flush=True)

async def app(scope, receive, send):
    if scope["path"] == "/stuck":
        print("begun", flush=True)
        await stopping.wait()
        time.sleep(60)
    if scope["path"] == "/slow":
        print("begun", flush=True)
        await asyncio.sleep(0.5)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": type(asyncio.get_running_loop()).__module__.encode(),
                "more_body": scope["path"] == "/events"})
    if scope["path"] == "/events":
        await stopping.wait()
        await send({"type": "http.response.body", "body": b"bye"})
    if scope["path"] == "/hang":
        await asyncio.sleep(60)

run(serve(app, listen=sys.argv[1], ready=lambda address: print(address, flush=True), drain_seconds=float(sys.argv[2]),
          exit_seconds=float(sys.argv[3]), on_stop=lambda: stopping.set(),
          on_hangup=lambda: print("hangup", flush=True), lifespan=lifespan()))
print("ended", flush=True)
"""


class Program:
    """A server in its own process."""

    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self.process = process
        self.address = address
        self.writers: list[asyncio.StreamWriter] = []

    async def line(self) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            return (await self.process.stdout.readline()).decode().strip()

    async def ask(self, path: str) -> asyncio.StreamReader:
        if self.address.startswith("unix:"):
            reader, writer = await asyncio.open_unix_connection(self.address.removeprefix("unix:"))
        else:
            host, _, port = self.address.removeprefix("http://").rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        self.writers.append(writer)
        return reader

    async def hung_up(self) -> None:
        for writer in self.writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self.writers), return_exceptions=True)

    async def ended(self) -> tuple[int, str]:
        async with asyncio.timeout(20):
            out, _ = await self.process.communicate()
        return self.process.returncode or 0, out.decode()


@pytest.fixture
def program() -> Callable[..., Any]:
    """A factory of servers in their own processes, on uvloop."""

    @asynccontextmanager
    async def factory(listen: str = "127.0.0.1:0", drain: float = 5.0, end: float = 60.0) -> AsyncIterator[Program]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, listen, str(drain), str(end), stdout=subprocess.PIPE
        )
        try:
            assert process.stdout is not None
            assert (await process.stdout.readline()) == b"startup\n"
            server = Program(process, (await process.stdout.readline()).decode().strip())
            try:
                yield server
            finally:
                await server.hung_up()
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()

    return factory


async def test_a_signal_lets_requests_finish_and_ends_event_streams(program: Callable[..., Any]) -> None:
    """At SIGTERM requests in progress are answered, streams end, idle connections close, and the exit code is 0."""
    async with program() as server:
        events = await server.ask("/events")
        await events.readuntil(b"uvloop")
        idle = await server.ask("/")
        await idle.readuntil(b"0\r\n\r\n")
        slow = await server.ask("/slow")
        assert await server.line() == "begun"
        server.process.terminate()
        assert b"200 OK" in await slow.read()
        assert b"bye" in await events.read()
        assert await idle.read() == b""
        assert await server.ended() == (0, "shutdown\nended\n")


async def test_a_request_over_the_drain_is_cut_off(program: Callable[..., Any]) -> None:
    """A request that does not finish in time does not delay the end."""
    async with program(drain=0.3) as server:
        reader = await server.ask("/hang")
        await reader.readuntil(b"uvloop")
        server.process.terminate()
        assert await server.ended() == (0, "shutdown\nended\n")


async def test_the_process_ends_even_if_its_loop_is_blocked(program: Callable[..., Any]) -> None:
    """Past the last deadline it exits with code 1, without waiting for anything that does not return."""
    async with program(drain=0.1, end=0.5) as server:
        await server.ask("/stuck")
        assert await server.line() == "begun"
        server.process.terminate()
        assert await server.ended() == (1, "")


async def refused(server: Program) -> None:
    """Wait until the server takes no more connections: it has had the first of two signals."""
    async with asyncio.timeout(20):
        with suppress(ConnectionRefusedError, ConnectionResetError):  # reset: it closed its socket just then
            while True:
                await server.ask("/")
                await asyncio.sleep(0.02)


async def test_a_second_signal_cuts_the_drain_short(program: Callable[..., Any]) -> None:
    """A second signal ends the drain."""
    async with program(drain=60) as server:
        reader = await server.ask("/hang")
        await reader.readuntil(b"uvloop")
        server.process.send_signal(signal.SIGINT)
        await refused(server)
        server.process.send_signal(signal.SIGINT)
        assert await server.ended() == (0, "shutdown\nended\n")


async def test_hangup_is_passed_on(program: Callable[..., Any]) -> None:
    """SIGHUP calls back, and the server continues."""
    async with program() as server:
        server.process.send_signal(signal.SIGHUP)
        assert await server.line() == "hangup"
        reader = await server.ask("/")
        assert b"200 OK" in await reader.readline()


async def test_a_unix_socket_is_private_and_replaces_a_stale_one(program: Callable[..., Any], tmp_path: Path) -> None:
    """The folder is made 0700, the socket 0700 at most; one left by a killed server is replaced, one in use is not."""
    path = tmp_path / "run" / "crm.sock"
    async with program(f"unix:{path}") as server:
        server.process.kill()
        await server.process.wait()
    assert path.exists()
    async with program(f"unix:{path}") as server:
        assert server.address == f"unix:{path}"
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
        reader = await server.ask("/")
        assert b"200 OK" in await reader.readline()
        with pytest.raises(SetupError, match="another server answers"):
            await serve(None, listen=f"unix:{path}", ready=print)
        server.process.terminate()
        assert await server.ended() == (0, "shutdown\nended\n")
    assert not path.exists()


async def test_a_file_in_the_sockets_place_is_left_alone(tmp_path: Path) -> None:
    """A file that is not a socket is never removed."""
    path = tmp_path / "crm.sock"
    path.write_text("precious")
    with pytest.raises(SetupError, match="not a socket"):
        await serve(None, listen=f"unix:{path}", ready=print)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("listen", ["8000", "localhost", "localhost:x", ":8000", "unix:relative", "127.0.0.1:99999"])
async def test_an_invalid_address_is_refused(listen: str) -> None:
    """An address that cannot be read is a SetupError that repeats it."""
    with pytest.raises(SetupError, match="listen: "):
        await serve(None, listen=listen, ready=print)


async def test_a_port_in_use_is_refused() -> None:
    """A port in use is a SetupError; if that shows only when it listens, the application is stopped again."""
    steps: list[str] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        steps.append("started")
        try:
            yield
        finally:
            steps.append("stopped")

    with closing(bound("127.0.0.1:0")) as taken:
        address = taken.address.removeprefix("http://")
        late = bound(address)  # two may be bound to it, and one of them may listen
        taken.sockets[0].listen()
        with pytest.raises(SetupError, match="in use"):
            await serve(None, listen=address, ready=print, lifespan=lifespan())
        assert steps == []
        with pytest.raises(SetupError, match="in use"):
            await serve(None, listen=late, ready=print, lifespan=lifespan())
    assert steps == ["started", "stopped"]


async def test_an_application_that_fails_to_start_is_reported() -> None:
    """A start that fails ends serve with its error, before anything is served."""

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        raise SetupError(["config/keys.yaml:3: no"])
        yield

    with pytest.raises(SetupError, match=r"config/keys\.yaml:3: no"):
        await serve(None, listen="127.0.0.1:0", ready=lambda _: pytest.fail("served"), lifespan=lifespan())


async def test_the_tests_loop_serves_as_well() -> None:
    """Another loop than uvloop does too, and the signals' handlers are gone afterwards."""
    before, hangup = signal.getsignal(signal.SIGTERM), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        await serve(None, listen="localhost:0", ready=lambda _: os.kill(os.getpid(), signal.SIGTERM))
        assert signal.getsignal(signal.SIGTERM) in {before, signal.SIG_DFL}
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # the store may take a while to close
    finally:
        signal.signal(signal.SIGHUP, hangup)
