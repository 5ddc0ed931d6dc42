"""``crm explain`` and a running server agree: what is refused, and with which code."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contract.box import TENANT, Box

CAPTURES = Path(__file__).parents[1] / "unit/explain/captures"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A server with the roster that the captures were made for."""
    northwind = [
        {"version": 2, "secret": "hex:" + bytes(range(1, 33)).hex()},
        {"version": 3, "secret": "hex:" + bytes(range(3, 35)).hex()},
    ]
    contoso = [{"version": 1, "secret": "hex:" + bytes(range(9, 41)).hex()}]
    made = Box(tmp_path_factory.mktemp("explain"), tenants={TENANT: {"keys": northwind}, "contoso": {"keys": contoso}})
    try:
        yield made.create_tenants().start()
    finally:
        assert made.stop() == 0


def answered(box: Box, raw: bytes) -> tuple[int, str]:
    """Status and code of the server's answer to a request sent byte for byte."""
    with socket.create_connection(("127.0.0.1", box.port), timeout=10) as connection:
        connection.sendall(raw)
        reported = b""
        while b"\r\n\r\n" not in reported or not reported.rstrip().endswith(b"}"):
            reported += connection.recv(65536)
    head, _, body = reported.partition(b"\r\n\r\n")
    return int(head.split()[1]), str(json.loads(body).get("code", ""))


@pytest.mark.parametrize("path", sorted(CAPTURES.glob("*.http")), ids=lambda path: path.stem)
def test_explain_and_server_agree(box: Box, path: Path) -> None:
    """The first check that fails in the explanation is the one whose code the server answers."""
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    reported = json.loads(box.crm("explain", str(path), "--at", at, "--json", code=1))
    failed = [check["code"] for check in reported["checks"] if check["verdict"] == "failed"]
    status, code = answered(box, path.read_bytes())
    assert code == failed[0]
    assert 400 <= status < 500


def test_a_push_that_the_server_takes_is_explained_as_right(box: Box, tmp_path: Path) -> None:
    """A request as crm sign prints it passes both."""
    body = tmp_path / "body.json"
    body.write_bytes(box.body("branding", {"title": "Right"}))
    signed = box.crm(
        "sign", "branding", str(body), "--body", "--url", f"http://127.0.0.1:{box.port}", "--tenant", TENANT
    )
    head = f"POST {box.base()}/sync/branding HTTP/1.1\r\nHost: localhost\r\nContent-Length: {body.stat().st_size}\r\n"
    raw = (head + signed.replace("\n", "\r\n") + "\r\n").encode() + body.read_bytes()
    captured = tmp_path / "captured.http"
    captured.write_bytes(raw)
    assert "No check fails." in box.crm("explain", str(captured))
    assert answered(box, raw) == (200, "")


def test_the_errors_of_an_envelope_are_listed_with_their_places(box: Box, tmp_path: Path) -> None:
    """Each of them as the server would list it, in words and as JSON."""
    body = tmp_path / "body.json"
    body.write_bytes(box.body("branding", {"title": "T"}, mode="try", surprise=1))
    to = ("--url", f"http://127.0.0.1:{box.port}", "--tenant", TENANT)
    signed = box.crm("sign", "branding", str(body), "--body", *to)
    head = f"POST {box.base()}/sync/branding HTTP/1.1\r\nHost: localhost\r\nContent-Length: {body.stat().st_size}\r\n"
    raw = (head + signed.replace("\n", "\r\n") + "\r\n").encode() + body.read_bytes()
    captured = tmp_path / "captured.http"
    captured.write_bytes(raw)
    text = box.crm("explain", str(captured), code=1)
    assert "/mode: Send apply or preview. (invalid_value)" in text
    assert "/surprise: " in text
    reported = json.loads(box.crm("explain", str(captured), "--json", code=1))
    listed = {error["pointer"] for check in reported["checks"] for error in check["errors"]}
    assert listed == {"/mode", "/surprise"}
    assert answered(box, raw) == (400, "invalid_envelope")
