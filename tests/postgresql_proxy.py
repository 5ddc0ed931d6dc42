"""A proxy in front of PostgreSQL that a test closes, opens, stalls, or lets lose a request or its answer."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress
from typing import Literal, Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from free_ports import free_port

Part = Literal["request", "answer"]
_CALL = re.compile(rb"\bcrm\.(\w+)\(")
_READY = b"Z\x00\x00\x00\x05"  # ReadyForQuery, before its last byte


class _Pair:
    """A client's connection and ours to the server. ``losing``: the next answer ends both; ``muted``: none arrives."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server, self.losing, self.muted = client, server, False, False

    def end(self) -> None:
        for each in (self.client, self.server):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


class Proxy:
    """Forwards connections to the server of a DSN while it is open. ``dsn`` leads through it."""

    def __init__(self, dsn: str) -> None:
        self.direct = dsn
        self._target = conninfo_to_dict(dsn)
        self._port = free_port()
        self.dsn = make_conninfo(dsn, host="127.0.0.1", port=self._port)
        self._listener: socket.socket | None = None
        self._pairs = set[_Pair]()
        self.calls: list[str] = []  # functions of the schema that clients named
        self._marker, self._part, self._losses = b"", "request", 0
        self._flowing = threading.Event()
        self._flowing.set()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> Self:
        """Accept connections."""
        self._listener = socket.create_server(("127.0.0.1", self._port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def close(self) -> None:
        """Refuse connections, and end those there are."""
        self._flowing.set()
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for pair in list(self._pairs):
            pair.end()

    def stall(self) -> None:
        """Forward nothing more, without an end of any connection."""
        self._flowing.clear()

    def flow(self) -> None:
        """Forward again."""
        self._flowing.set()

    def lose(self, marker: str, part: Part, times: int = 1) -> None:
        """End the connections that send the text: before the server gets it, or once it has answered."""
        self._marker, self._part, self._losses = marker.encode(), part, times

    def mute(self) -> None:
        """Keep what the server says from the clients that are connected now, as a host without its network would."""
        for pair in list(self._pairs):
            pair.muted = True

    @property
    def lost(self) -> bool:
        """Whether all that should be lost was."""
        return self._losses == 0

    def _connect(self) -> socket.socket:
        host, port = str(self._target.get("host", "localhost")), int(self._target.get("port") or 5432)
        if host.startswith("/"):
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(f"{host}/.s.PGSQL.{port}")
            return connection
        return socket.create_connection((host, port))

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                pair = _Pair(client, self._connect())
                self._pairs.add(pair)
                for each in (self._send, self._return):
                    threading.Thread(target=each, args=(pair,), daemon=True).start()

    def _send(self, pair: _Pair) -> None:
        with suppress(OSError):
            while data := pair.client.recv(1 << 16):
                self._flowing.wait()
                self.calls += (name.decode() for name in _CALL.findall(data))
                if self._losses and self._marker in data:
                    self._losses -= 1
                    if self._part == "request":
                        break
                    pair.losing = True
                pair.server.sendall(data)
        self._end(pair)

    def _return(self, pair: _Pair) -> None:
        with suppress(OSError):
            while data := pair.server.recv(1 << 16):
                self._flowing.wait()
                if pair.muted:
                    continue
                if not pair.losing:
                    pair.client.sendall(data)
                elif data[-6:-1] == _READY:
                    break
        self._end(pair)

    def _end(self, pair: _Pair) -> None:
        pair.end()
        self._pairs.discard(pair)
