from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from crm_core.client import Target


@dataclass
class Planned:
    """An answer that the receiver will give; ``drop``: it closes the connection instead."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    kind: str = "application/json"
    drop: bool = False


@dataclass
class Got:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """A receiver on a real socket that gives its planned answers in order and records the requests."""

    def __init__(self) -> None:
        self.answers: list[Planned] = []
        self.got: list[Got] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.got.append(Got(self.command, self.path, headers, body))
                planned = receiver.answers.pop(0)
                if planned.drop:
                    self.connection.close()
                    return
                raw = planned.body if isinstance(planned.body, bytes) else json.dumps(planned.body).encode()
                self.send_response(planned.status)
                for name, value in {
                    "content-type": planned.kind,
                    "content-length": str(len(raw)),
                    **planned.headers,
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = answer  # noqa: N815 - the names that http.server calls

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self.target = Target(self.origin, "eu1", "northwind")
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.stop()


@pytest.fixture
def problem() -> Callable[..., Planned]:
    def make(status: int, code: str, headers: dict[str, str] | None = None, **more: Any) -> Planned:
        body = {
            "type": "about:blank",
            "title": code,
            "status": status,
            "detail": f"{code} it is.",
            "code": code,
            **more,
        }
        return Planned(status, body, headers or {}, "application/problem+json")

    return make


@pytest.fixture
def planned() -> Callable[..., Planned]:
    def make(body: Any = None, **more: Any) -> Planned:
        return Planned(body=body, **more)

    return make
