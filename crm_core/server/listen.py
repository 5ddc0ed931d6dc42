"""The sockets a server listens on."""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from crm_core.errors import SetupError

_UNIX: Final = "unix:"
_LONGEST_PATH: Final = 107
_ADVICE: Final = {
    errno.EADDRINUSE: "stop the process that listens there, or set another address",
    errno.EACCES: "set a port above 1023, or a socket in a folder of this user",
    errno.EADDRNOTAVAIL: "set an address of this host",
}


class Listener:
    """Bound sockets that do not listen yet, and their address as shown to people."""

    def __init__(self, sockets: list[socket.socket], address: str, path: Path | None = None) -> None:
        self.sockets = sockets
        self.address = address
        self._path = path
        self._made = path.stat().st_ino if path is not None else None

    def shared(self) -> Listener:
        """The same sockets for another process, which closes them without removing the file."""
        return Listener(self.sockets, self.address)

    def close(self) -> None:
        """Close the sockets and remove a unix socket's file, unless another server has replaced it."""
        for sock in self.sockets:
            sock.close()
        if self._path is not None:
            with suppress(FileNotFoundError):
                if self._path.stat().st_ino == self._made:
                    self._path.unlink()


def bound(listen: str) -> Listener:
    """Bind ``host:port`` (``[::1]:8000`` for IPv6, port 0 for any free one) or ``unix:/path``.

    A missing folder of a unix socket is created (0700), the socket is open to its owner only, and a stale one is
    replaced.

    Raises SetupError, which names the address.
    """
    try:
        return _unix(Path(listen.removeprefix(_UNIX))) if listen.startswith(_UNIX) else _tcp(listen)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        advice = (
            _ADVICE.get(error.errno or 0, "set another address") if isinstance(error, OSError) else "set another port"
        )
        raise SetupError([f"listen: {listen} cannot be listened on: {reason}; {advice}"]) from error


def _tcp(listen: str) -> Listener:
    host, colon, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not (port.isascii() and port.isdigit()):
        raise SetupError([f"listen: {listen} must be host:port or unix:/path"])
    sockets: list[socket.socket] = []
    number = int(port)
    try:
        for family, kind, protocol, _, where in dict.fromkeys(
            socket.getaddrinfo(host, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        ):
            sock = socket.socket(family, kind, protocol)
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((where[0], number, *where[2:]))
            number = sock.getsockname()[1]
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    shown = f"[{host}]" if ":" in host else host
    return Listener(sockets, f"http://{shown}:{number}")


def _unix(path: Path) -> Listener:
    if not path.is_absolute() or len(os.fsencode(path)) > _LONGEST_PATH:
        raise SetupError([f"listen: unix:{path} must be an absolute path of at most {_LONGEST_PATH} bytes"])
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o077)
    try:
        sock.bind(str(path))
    except BaseException:
        sock.close()
        raise
    finally:
        os.umask(before)
    return Listener([sock], f"unix:{path}", path)


def _remove_stale(path: Path) -> None:
    """Remove a socket that refuses connections. Raises SetupError if the path is in use."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SetupError([f"listen: {path} exists and is not a socket; move it away"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise SetupError([f"listen: another server answers on unix:{path}; stop it, or choose another path"])
