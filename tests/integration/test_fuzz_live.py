"""Hostile signed requests on the wire: what a running server answers, and what it keeps of them."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec
import pytest

from contract.box import TENANT, Box, key_of
from crm_core.plugin.signature import SignatureScheme, SignedRequest
from crm_core.testing.signature import push_request, with_headers
from crm_core.testing.signature_fuzz import damaged, random_request
from crm_rfc9421.scheme import MessageSignatures
from crm_standard_webhooks.scheme import StandardWebhooks
from crm_sync_v1.scheme import NativeScheme

SCHEMES = (NativeScheme(), StandardWebhooks(), MessageSignatures())
ROUNDS = int(os.environ.get("CRM_FUZZ", "600")) // 5  # of each scheme; the schemes' own suites do five times as many
CONNECTIONS = 8
GROWTH = 16 * 1024  # KiB of memory that caches and a bounded log may take


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path, settings={"sync": {"unverified_per_minute": 1_000_000, "log_max_unverified": 500}})
    try:
        yield made.create_tenants().start()
    finally:
        assert made.stop() == 0


def hostile(scheme: SignatureScheme, rng: Random) -> SignedRequest:
    """A request that no one signed, or one that was signed and then damaged where it counts: its body is no push."""
    plain = push_request(b'{"tenant":"northwind"}')
    if rng.random() < 0.25:
        return random_request(plain, scheme.HEADERS, rng)
    headers = scheme.sign(plain, key_of(), 2, int(time.time()), secrets.token_urlsafe(24))
    return damaged(with_headers(plain, headers), rng)


def on_the_wire(request: SignedRequest) -> bytes:
    """The request as bytes; what would end a header or a line is left out, the rest goes as it is."""
    lines = [f"POST {request.path or '/'} HTTP/1.1", "host: localhost", f"content-length: {len(request.body)}"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    text = "\r\n".join(line.replace("\r", "").replace("\n", "")[:8000] for line in lines)
    return text.encode("latin-1", "replace") + b"\r\n\r\n" + request.body


async def one_by_one(port: int, requests: list[bytes], answers: Counter[str]) -> None:
    """Send them over one connection, opened again whenever the server closes it."""
    reader = writer = None
    for request in requests:
        if writer is None or reader is None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            body = await reader.readexactly(int(lengths[0].partition(b":")[2])) if lengths else b""
        except (asyncio.IncompleteReadError, ConnectionError):
            head, body = b"HTTP/1.1 closed", b"{}"
        status = head.split(None, 2)[1].decode()
        answers[f"{status} {_code(body)}"] += 1
        if status == "closed" or b"connection: close" in head.lower():
            writer.close()
            reader = writer = None
    if writer is not None:
        writer.close()


def _code(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body).get("code", ""))
    except (msgspec.DecodeError, AttributeError):
        return ""


def memory(box: Box) -> int:
    """The server's resident memory in KiB."""
    assert box.process is not None
    status = Path(f"/proc/{box.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def stored(box: Box) -> int:
    """The bytes of the tenant's files."""
    return sum(path.stat().st_size for path in (box.folder / "tenants" / TENANT).rglob("*") if path.is_file())


@pytest.mark.timeout(900)
async def test_hostile_requests_leave_nothing_behind(box: Box) -> None:
    """Each gets a named refusal, none is applied, none breaks anything, and neither log nor memory grows with them."""
    rng, answers, sizes = Random(9421), Counter[str](), []
    for _ in range(4):
        requests = [on_the_wire(hostile(scheme, rng)) for scheme in SCHEMES for _ in range(ROUNDS // 4)]
        shares = [requests[at::CONNECTIONS] for at in range(CONNECTIONS)]
        await asyncio.gather(*(one_by_one(box.port, share, answers) for share in shares))
        sizes.append((memory(box), stored(box)))
    reported = f"{answers.total()} hostile requests on the wire: {dict(answers.most_common())}"
    print(f"{reported}; memory in KiB and bytes stored after each quarter: {sizes}")  # noqa: T201 -- shown by make fuzz
    assert not [answer for answer in answers if answer.startswith(("2", "5"))], answers
    assert answers["401 signature_invalid"] > 0
    verified = box.health()["log_head"]["seq"]  # those whose damage did not touch what is signed
    assert verified == sum(count for answer, count in answers.items() if answer == "400 invalid_envelope")
    assert sizes[-1][0] - sizes[0][0] < GROWTH, sizes
    assert sizes[-1][1] < 2 * 1024 * 1024 + 2048 * verified, sizes
    assert box.applied("branding", {"title": "Still here"})["version"] == 1
