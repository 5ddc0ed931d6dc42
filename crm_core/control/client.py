"""The command's side of the private socket: ask the server that holds a tenants folder."""

from __future__ import annotations

import socket
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from crm_core.control.wire import LINE_LIMIT, ControlAnswer, ControlRequest, line, raised, short_address
from crm_core.errors import SetupError

_CONNECT_SECONDS: Final = 5.0


class ControlUnreachable(SetupError):
    """No server answers for this folder, or it broke off; the sentence says which."""


def call(folder: Path, command: str, arguments: dict[str, Any], timeout: float = 60.0) -> dict[str, Any]:
    """Have the running server do ``command`` and return its result; ``timeout`` bounds the wait, in seconds.

    Raises the very error the server met (SetupError, or a CrmError of the code's class), and
    ControlUnreachable where no server answers. Items of a streaming command are dropped: see ``stream``.
    """
    with closing(_asked(folder, command, arguments, timeout)) as lines:
        for answer in lines:
            if answer.result is not None:
                return answer.result
    raise ControlUnreachable([f"the server of {folder} broke off before it answered: see its log"])


def stream(
    folder: Path, command: str, arguments: dict[str, Any], timeout: float | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the items of a streaming command as they come; ``timeout`` bounds the wait for each.

    Errors as in ``call``.
    """
    with closing(_asked(folder, command, arguments, timeout)) as lines:
        for answer in lines:
            if answer.result is not None:
                return
            if answer.item is not None:
                yield answer.item
    raise ControlUnreachable([f"the server of {folder} broke off before it had told all: see its log"])


def _asked(
    folder: Path, command: str, arguments: dict[str, Any], timeout: float | None
) -> Generator[ControlAnswer, None, None]:
    request = line(ControlRequest(command, arguments))
    with _connected(folder) as peer:
        peer.settimeout(timeout)
        try:
            peer.sendall(request)
            with peer.makefile("rb") as answers:
                while encoded := answers.readline(LINE_LIMIT + 1):
                    answer = _answer(encoded)
                    if answer.error is not None:
                        raise raised(answer.error)
                    yield answer
        except TimeoutError:
            raise ControlUnreachable(
                [f"no answer to {command} within {timeout} s; it may still take effect: look before you repeat it"]
            ) from None
        except OSError as error:
            raise ControlUnreachable([f"the server of {folder} broke off: {error.strerror}"]) from error


def _answer(encoded: bytes) -> ControlAnswer:
    try:
        if not encoded.endswith(b"\n"):
            raise ControlUnreachable(["the server broke off in the middle of its answer: see its log"])
        return msgspec.json.decode(encoded, type=ControlAnswer)
    except msgspec.MsgspecError:
        raise ControlUnreachable(["the server gave an answer this version does not read: are both the same?"]) from None


def _connected(folder: Path) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.settimeout(_CONNECT_SECONDS)
    try:
        with short_address(folder) as address:
            peer.connect(address)
    except OSError as error:
        peer.close()
        raise ControlUnreachable(
            [f"no server answers for {folder} ({error.strerror or 'no answer'}); is one running, and as this user?"]
        ) from error
    return peer
