"""Connections that break while a statement waits, as the loop that watches them sees it."""

from __future__ import annotations

import asyncio
import os
import socket
from asyncio import StreamReader, StreamWriter

import psycopg
import pytest
from psycopg import AsyncConnection

from crm_postgresql.wire import Wire
from postgresql_server import Server

END_ITSELF = "SELECT pg_terminate_backend(pg_backend_pid())"


async def connected(dsn: str) -> Wire:
    return Wire(await AsyncConnection.connect(dsn, autocommit=True))


async def check_number_is_free(broken: Wire, statement: str) -> None:
    """Another socket gets the number before the broken call ends, and is watched after that."""
    loop, arrived, number = asyncio.get_running_loop(), asyncio.Event(), broken.connection.fileno()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        call = asyncio.create_task(broken.execute(statement, (), loop.time() + 10))
        while not broken.connection.closed:  # noqa: ASYNC110 -- before the call's own turn
            await asyncio.sleep(0)
        assert not call.done()
        with socket.socket(fileno=os.dup2(ours.fileno(), number)):
            loop.add_reader(number, arrived.set)
            with pytest.raises(psycopg.DatabaseError):
                await call
            await broken.close()
            theirs.send(b"x")
            await asyncio.wait_for(arrived.wait(), 5)
            loop.remove_reader(number)


@pytest.mark.parametrize("when", ["before", "during"])
async def test_the_number_of_an_ended_connection_is_free(postgresql: Server, when: str) -> None:
    """The server ends a connection before a statement is sent, or while it waits: libpq closes the socket."""
    broken = await connected(postgresql.migrated)
    if when == "before":
        with psycopg.connect(postgresql.admin, autocommit=True) as db:
            db.execute("SELECT pg_terminate_backend(%s, 5000)", (broken.connection.info.backend_pid,))
    await check_number_is_free(broken, END_ITSELF)


async def test_the_number_of_a_connection_with_nonsense_is_free() -> None:
    """An answer that is none makes libpq close the socket too, and is an error like one of the server's."""

    async def answer(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I")  # authenticated, ready
        await reader.read(1000)
        writer.write(b"?" * 100)
        await reader.read(1000)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        broken = await connected(f"host=127.0.0.1 port={port} user=crm sslmode=disable gssencmode=disable")
        await check_number_is_free(broken, "SELECT 1")
