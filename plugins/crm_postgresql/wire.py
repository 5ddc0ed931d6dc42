"""Statements on a connection, over libpq directly: psycopg's cursors and pool would cost four times as much."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from select import POLLIN, poll
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, errors
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

_READ: Final[dict[int, Callable[[bytes], Any]]] = {16: lambda text: text == b"t", 20: int, 23: int}
"""From the text form of a column, by its type: bool, int8, int4. Others are texts."""
_QUOTED: Final = str.maketrans({"\\": "\\\\", '"': '\\"'})


class TooSlow(Exception):
    """A statement took too long; whether it was done is not known."""


def is_quiet(connection: AsyncConnection[Any]) -> bool:
    """Whether an idle connection can be used: if the database has closed it, there is something to read.

    Otherwise the next commit on it would have an unknown outcome.
    """
    if connection.closed:
        return False
    asked = poll()
    asked.register(connection.fileno(), POLLIN)
    return not asked.poll(0)


class Wire:
    """A connection whose answers the loop reads: watched as long as it is here, as each watch costs two system calls.

    One that broke, or says something unasked, as when the database ends it, is closed.
    """

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self.connection = connection
        self._pgconn, self._loop = connection.pgconn, asyncio.get_running_loop()
        self._socket = self._pgconn.socket
        self._answered: asyncio.Future[None] | None = None
        self._results: list[PGresult] = []
        self._loop.add_reader(self._socket, self._readable)
        self._is_watched = True

    def leave(self) -> None:
        """Watch the connection no more."""
        if self._is_watched:
            self._is_watched = False
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)

    async def close(self) -> None:
        """Close the connection."""
        self.leave()
        await self.connection.close()

    async def execute(self, query: str, arguments: Sequence[Any], end: float) -> list[tuple[Any, ...]]:
        """The rows of a statement by ``end`` of the loop's clock.

        The connection is closed if it does not answer in time. Raises TooSlow, psycopg.Error.
        """
        self._answered, self._results = self._loop.create_future(), []
        timer = self._loop.call_at(end, self._fail, TooSlow())
        try:
            self._pgconn.send_query_params(_numbered(query), [_text(each) for each in arguments])
            if self._pgconn.flush():
                self._loop.add_writer(self._socket, self._writable)
            await self._answered
        except BaseException:
            await self.close()
            raise
        finally:
            timer.cancel()
            self._answered = None
        results = self._results
        for result in results:
            if result.status == ExecStatus.FATAL_ERROR:
                raise errors.error_from_result(result)
        return _rows(results[0]) if results and results[0].status == ExecStatus.TUPLES_OK else []

    def _fail(self, error: Exception) -> None:
        if self._answered is not None and not self._answered.done():
            self.leave()  # now: libpq may have closed the socket, whose number then belongs to another connection
            self._answered.set_exception(error)

    def _readable(self) -> None:
        answered, pgconn = self._answered, self._pgconn
        if answered is None or answered.done():
            self.leave()  # ``is_quiet`` sees it
            return
        try:
            pgconn.consume_input()
            while not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:
                    if self.connection.closed:  # the results say why
                        self.leave()
                    answered.set_result(None)
                    return
                self._results.append(result)
        except psycopg.Error as error:
            self._fail(error)

    def _writable(self) -> None:
        try:
            if not self._pgconn.flush():
                self._loop.remove_writer(self._socket)
        except psycopg.Error as error:
            self._fail(error)


@cache
def _numbered(query: str) -> bytes:
    """A query with $1, $2 in the place of %s."""
    first, *rest = query.split("%s")
    return (first + "".join(f"${number}{part}" for number, part in enumerate(rest, 1))).encode()


def array_text(texts: Iterable[str]) -> str:
    """The text form of an array of texts."""
    return "{" + ",".join([f'"{each.translate(_QUOTED)}"' for each in texts]) + "}"


def _text(value: Any) -> bytes | None:
    """The text form of an argument; bytes are a text already."""
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, list):
        return array_text(value).encode()
    return str(value).encode()


def _rows(result: PGresult) -> list[tuple[Any, ...]]:
    columns = [(number, _READ.get(result.ftype(number), bytes.decode)) for number in range(result.nfields)]
    get = result.get_value
    return [
        tuple([None if (text := get(row, number)) is None else read(text) for number, read in columns])
        for row in range(result.ntuples)
    ]
