"""The client of the private socket: calls to the server that has locked a tenants folder."""

from __future__ import annotations

import socket
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from crm_core.control.wire import LINE_LIMIT, ControlAnswer, ControlRequest, from_wire, line, short_address
from crm_core.errors import SetupError

_CONNECT_SECONDS: Final = 5.0


class ControlUnreachable(SetupError):
    """No server answers for this folder, or it closed the connection early; the message says which."""


def call(folder: Path, command: str, arguments: dict[str, Any], timeout: float = 60.0) -> dict[str, Any]:
    """Run ``command`` in the server and return its result; ``timeout`` is in seconds.

    Items of a streaming command are dropped: see ``stream``.

    Raises: the server's own error (SetupError, or a CrmError of the code's class), ControlUnreachable.
    """
    with closing(_exchange(folder, command, arguments, timeout)) as lines:
        for answer in lines:
            if answer.result is not None:
                return answer.result
    raise ControlUnreachable([f"the server of {folder} closed the connection before it answered; see its log"])


def stream(
    folder: Path, command: str, arguments: dict[str, Any], timeout: float | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the items of a streaming command; ``timeout`` is for each. Errors as in ``call``."""
    with closing(_exchange(folder, command, arguments, timeout)) as lines:
        for answer in lines:
            if answer.result is not None:
                return
            if answer.item is not None:
                yield answer.item
    raise ControlUnreachable([f"the server of {folder} closed the connection early; see its log"])


def is_served(folder: Path) -> bool:
    """Whether a server accepts commands for this folder."""
    try:
        _connect(folder).close()
    except ControlUnreachable:
        return False
    return True


def _exchange(
    folder: Path, command: str, arguments: dict[str, Any], timeout: float | None
) -> Generator[ControlAnswer, None, None]:
    request = line(ControlRequest(command, arguments))
    with _connect(folder) as peer:
        peer.settimeout(timeout)
        try:
            peer.sendall(request)
            with peer.makefile("rb") as answers:
                while encoded := answers.readline(LINE_LIMIT + 1):
                    answer = _answer(encoded)
                    if answer.error is not None:
                        raise from_wire(answer.error)
                    yield answer
        except TimeoutError:
            raise ControlUnreachable(
                [f"no answer to {command} within {timeout} s; it may still take effect: check before you repeat it"]
            ) from None
        except OSError as error:
            raise ControlUnreachable([f"the connection to the server of {folder} broke: {error.strerror}"]) from error


def _answer(encoded: bytes) -> ControlAnswer:
    try:
        if not encoded.endswith(b"\n"):
            raise ControlUnreachable(["the server closed the connection before its answer was complete; see its log"])
        return msgspec.json.decode(encoded, type=ControlAnswer)
    except msgspec.MsgspecError:
        raise ControlUnreachable(
            ["the server's answer cannot be read; use the crm command of the server's version"]
        ) from None


def _connect(folder: Path) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.settimeout(_CONNECT_SECONDS)
    try:
        with short_address(folder) as address:
            peer.connect(address)
    except OSError as error:
        peer.close()
        raise ControlUnreachable(
            [f"no server answers for {folder} ({error.strerror or 'no answer'}); start it, or run this as its user"]
        ) from error
    return peer
