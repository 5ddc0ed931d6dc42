"""The messages on the private socket: JSON lines, errors with their codes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from crm_core.errors import CrmError, Finding, SecretRequired, SetupError

LINE_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of the longest line, in either direction."""

SOCKET_NAME: Final = ".control.sock"


class ControlRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command for the running server."""

    command: str
    arguments: dict[str, Any]


class ControlError(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error: a SetupError's ``problems``, or a CrmError by its code."""

    problems: tuple[str, ...] = ()
    code: str = ""
    detail: str = ""
    operator_detail: str = ""
    errors: tuple[Finding, ...] = ()
    retry_after: int | None = None
    evidence: dict[str, Any] = {}


class ControlAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of an answer: ``item`` lines of a stream, then exactly one ``result`` or ``error``."""

    item: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    error: ControlError | None = None


def to_wire(error: CrmError | SetupError) -> ControlError:
    """Return an error as a message."""
    if isinstance(error, SetupError):
        return ControlError(problems=error.problems)
    return ControlError(
        code=error.code,
        detail=error.detail,
        operator_detail=error.operator_detail,
        errors=error.errors,
        retry_after=error.retry_after,
        evidence=dict(error.evidence),
    )


def from_wire(message: ControlError) -> CrmError | SetupError:
    """Return the error of a message, of the class with its code; a plain CrmError if the code is unknown."""
    if message.problems:
        return SetupError(message.problems)
    error_class = next((known for known in _error_classes(CrmError) if known.code == message.code), CrmError)
    error = error_class(
        message.detail,
        errors=message.errors,
        retry_after=message.retry_after,
        operator_detail=message.operator_detail,
        **message.evidence,
    )
    error.code = message.code or CrmError.code
    return error


def _error_classes(base_class: type[CrmError]) -> Iterable[type[CrmError]]:
    for error_class in base_class.__subclasses__():
        if error_class is not SecretRequired:  # its code varies, and its constructor takes a member's name
            yield error_class
            yield from _error_classes(error_class)


def line(message: ControlRequest | ControlAnswer) -> bytes:
    """Return a message as its line.

    Raises SetupError if it is longer than the other side reads.
    """
    encoded = msgspec.json.encode(message, enc_hook=str) + b"\n"
    if len(encoded) > LINE_LIMIT:
        raise SetupError([f"too long for one call: {len(encoded)} bytes, at most {LINE_LIMIT}"])
    return encoded


@contextmanager
def short_address(folder: Path) -> Iterator[str]:
    """Yield a path of the folder's socket that fits ``sockaddr_un`` (about 100 bytes) regardless of the folder's path.

    It goes through a descriptor of the folder and works only inside the ``with``.

    Raises FileNotFoundError if the folder does not exist.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        linked = f"/proc/self/fd/{handle}"
        yield f"{linked if Path(linked).exists() else folder}/{SOCKET_NAME}"
    finally:
        os.close(handle)
