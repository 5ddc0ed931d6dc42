"""Bodies over the limit are refused while they are read, and the rest is not read."""

from __future__ import annotations

import json
import socket

import pytest

from contract.box import Box
from contract.conftest import Boxes

LIMIT = 1024


@pytest.fixture(scope="module")
def box(boxes: Boxes) -> Box:
    """An instance that takes bodies of up to a kibibyte."""
    return boxes(settings={"sync": {"max_payload_bytes": LIMIT}})


def head(box: Box, *fields: str) -> bytes:
    """The head of a push without a signature."""
    lines = [f"POST {box.base()}/sync/branding HTTP/1.1", "Host: crm", "Content-Type: application/json", *fields]
    return "\r\n".join([*lines, "", ""]).encode()


def answer(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    connection.settimeout(10)
    received = b""
    while True:
        part = connection.recv(65536)
        if not part:
            return received
        received += part


def code_of(received: bytes) -> tuple[int, str]:
    """Status and code of a raw answer."""
    start, _, body = received.partition(b"\r\n\r\n")
    return int(start.split()[1]), json.loads(body)["code"]


def test_a_body_announced_too_large_is_refused_unread(box: Box) -> None:
    """Not one byte of it was sent, and the connection is closed."""
    with socket.create_connection(("127.0.0.1", box.port)) as connection:
        connection.sendall(head(box, f"Content-Length: {LIMIT + 1}"))
        received = answer(connection)
    assert code_of(received) == (413, "payload_too_large")
    assert b"connection: close" in received.lower()


def test_a_chunked_body_is_refused_while_it_comes(box: Box) -> None:
    """Its end never arrives; the refusal does, and the connection is closed."""
    with socket.create_connection(("127.0.0.1", box.port)) as connection:
        connection.sendall(head(box, "Transfer-Encoding: chunked"))
        for _ in range(3):
            connection.sendall(b"200\r\n" + b" " * 512 + b"\r\n")
        received = answer(connection)
    assert code_of(received) == (413, "payload_too_large")


def test_another_media_type_is_refused_unread(box: Box) -> None:
    """415 comes before the body is asked for."""
    with socket.create_connection(("127.0.0.1", box.port)) as connection:
        unfit = head(box, "Content-Length: 100").replace(b"application/json", b"text/plain")
        connection.sendall(unfit)
        received = answer(connection)
    assert code_of(received) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("Content-Type", "application/json; charset=utf-8", 200),
        ("Content-Type", 'Application/JSON; Charset="UTF-8"', 200),
        ("Content-Type", "application/json; charset=utf-16", 415),
        ("Content-Type", "application/json, text/plain", 415),
        ("Content-Type", "application/problem+json", 415),
        ("Content-Type", "application/jsonp", 415),
        ("Content-Type", "", 415),
        ("Content-Encoding", "identity", 200),
        ("Content-Encoding", "br", 415),
        ("Content-Encoding", "identity, gzip", 415),
    ],
)
def test_media_types_and_encodings(box: Box, name: str, value: str, status: int) -> None:
    """JSON in UTF-8, as it is."""
    answer = box.push("branding", {"title": "x"}, headers={name: value})
    assert answer.status_code == status, answer.text


def test_a_body_of_the_very_limit_is_taken_and_logged_with_its_size(box: Box) -> None:
    """One byte more is not; its entry knows no size, since it was not read."""
    body = box.body("branding", {"title": "x"})
    exact = body + b" " * (LIMIT - len(body))
    entry = box.entry(box.applied("branding", None, raw=exact)["request_id"])
    assert entry["payload_bytes"] == LIMIT
    refused = box.push("branding", raw=exact + b" ")
    assert refused.status_code == 413
    entry = box.entry(refused.json()["request_id"])
    assert (entry["error_code"], entry["payload_bytes"], entry["payload_sha256"]) == ("payload_too_large", None, None)
