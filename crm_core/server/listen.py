"""The sockets a server listens on."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from crm_core.errors import SetupError

_UNIX: Final = "unix:"
_LONGEST_PATH: Final = 107


class Listener:
    """Bound sockets that do not listen yet, and the address to tell people."""

    def __init__(self, sockets: list[socket.socket], address: str, path: Path | None = None) -> None:
        self.sockets = sockets
        self.address = address
        self._path = path
        self._made = path.stat().st_ino if path is not None else None

    def close(self) -> None:
        """Close the sockets; a unix socket's file goes too, unless another server has put its own there."""
        for each in self.sockets:
            each.close()
        if self._path is not None:
            with suppress(FileNotFoundError):
                if self._path.stat().st_ino == self._made:
                    self._path.unlink()


def bound(listen: str) -> Listener:
    """Bind ``host:port`` (``[::1]:8000`` for IPv6, port 0 for any free one) or ``unix:/path``.

    A unix socket's missing folder is made 0700, the socket is for its owner alone, and one that nobody
    answers on is replaced. Raises SetupError, which names the address.
    """
    try:
        return _unix(Path(listen.removeprefix(_UNIX))) if listen.startswith(_UNIX) else _tcp(listen)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SetupError([f"listen: {listen} cannot be listened on: {reason}"]) from error


def _tcp(listen: str) -> Listener:
    host, colon, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not (port.isascii() and port.isdigit()):
        raise SetupError([f"listen: {listen} is neither host:port nor unix:/path"])
    sockets: list[socket.socket] = []
    number = int(port)
    try:
        for family, kind, protocol, _, where in dict.fromkeys(
            socket.getaddrinfo(host, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        ):
            each = socket.socket(family, kind, protocol)
            sockets.append(each)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            each.bind((where[0], number, *where[2:]))
            number = each.getsockname()[1]
    except BaseException:
        for each in sockets:
            each.close()
        raise
    shown = f"[{host}]" if ":" in host else host
    return Listener(sockets, f"http://{shown}:{number}")


def _unix(path: Path) -> Listener:
    if not path.is_absolute() or len(os.fsencode(path)) > _LONGEST_PATH:
        raise SetupError([f"listen: unix:{path} must be an absolute path of at most {_LONGEST_PATH} bytes"])
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _clear(path)
    each = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o077)
    try:
        each.bind(str(path))
    except BaseException:
        each.close()
        raise
    finally:
        os.umask(before)
    return Listener([each], f"unix:{path}", path)


def _clear(path: Path) -> None:
    """Remove a socket that nobody answers on; anything else in its place is left alone and told."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SetupError([f"listen: {path} is there and is no socket: move it away"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise SetupError([f"listen: another server answers on unix:{path}"])
