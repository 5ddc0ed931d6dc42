"""One statement on a connection, over libpq directly: psycopg's cursors and pool would cost four times as much."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

from psycopg import AsyncConnection, errors
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

_READ: Final[dict[int, Callable[[bytes], Any]]] = {
    16: lambda text: text == b"t",
    17: lambda text: bytes.fromhex(text[2:].decode()),
    20: int,
    23: int,
}
"""From the text form of a column, by its type: bool, bytea, int8, int4. Others are texts."""
_QUOTED: Final = str.maketrans({"\\": "\\\\", '"': '\\"'})


class TooSlow(Exception):
    """A statement took too long; whether it was done is not known."""


async def execute(
    connection: AsyncConnection[Any], query: str, arguments: Sequence[Any], end: float
) -> list[tuple[Any, ...]]:
    """The rows of a statement by ``end`` of the loop's clock.

    The connection is closed if it does not answer in time. Raises TooSlow, psycopg.Error.
    """
    pgconn = connection.pgconn
    try:
        pgconn.send_query_params(_numbered(query), [_text(each) for each in arguments])
        results = await _results(pgconn, end)
    except BaseException:
        await connection.close()
        raise
    for result in results:
        if result.status == ExecStatus.FATAL_ERROR:
            raise errors.error_from_result(result)
    return _rows(results[0]) if results and results[0].status == ExecStatus.TUPLES_OK else []


@cache
def _numbered(query: str) -> bytes:
    """A query with $1, $2 in the place of %s."""
    first, *rest = query.split("%s")
    return (first + "".join(f"${number}{part}" for number, part in enumerate(rest, 1))).encode()


def _text(value: Any) -> bytes | None:
    """The text form of an argument."""
    if value is None or isinstance(value, bytes):
        return None if value is None else b"\\x" + value.hex().encode()
    if isinstance(value, list):
        return ("{" + ",".join(f'"{each.translate(_QUOTED)}"' for each in value) + "}").encode()
    return str(value).encode()


async def _results(pgconn: PGconn, end: float) -> list[PGresult]:
    """All results of what was sent."""
    loop, handle = asyncio.get_running_loop(), pgconn.socket
    woken = asyncio.Event()
    late = False

    def cut() -> None:
        nonlocal late
        late = True
        woken.set()

    timer = loop.call_at(end, cut)
    loop.add_reader(handle, woken.set)
    results: list[PGresult] = []
    try:
        if pgconn.flush():
            loop.add_writer(handle, woken.set)
        while True:
            await woken.wait()
            woken.clear()
            if late:
                raise TooSlow
            pgconn.consume_input()
            if not pgconn.flush():
                loop.remove_writer(handle)
            while not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:
                    return results
                results.append(result)
    finally:
        timer.cancel()
        loop.remove_reader(handle)
        loop.remove_writer(handle)


def _rows(result: PGresult) -> list[tuple[Any, ...]]:
    columns = [(number, _READ.get(result.ftype(number), bytes.decode)) for number in range(result.nfields)]
    get = result.get_value
    return [
        tuple(None if (text := get(row, number)) is None else read(text) for number, read in columns)
        for row in range(result.ntuples)
    ]
