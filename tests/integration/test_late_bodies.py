"""A write whose body comes late ends with the credential that began it; one whose body never comes is refused."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlencode

import pytest

from contract.box import TENANT, Box
from crm_core.server.limits import Deadlines
from served import Instance, instance
from visitor import EVERYTHING, Visitor, with_users

BRANDING = "/i/eu1/t/northwind/api/v1/sync/branding"
SHORT = Deadlines(body=0.3, linger=0.2)
ORIGINS = (
    "instance: eu1\nlisten: 127.0.0.1:0\ntenants_dir: ../tenants\nsecret_key: base64:c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
    "c2VjcmV0c2VjcmV0\nallowed_origins: [https://app.example]\n"
)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """An instance with all modules, and users of every role."""
    made = with_users(Box(tmp_path_factory.mktemp("box")).create_tenants()).start()
    made.applied("features", EVERYTHING)
    try:
        yield made
    finally:
        assert made.stop() == 0


def posted_late(box: Box, path: str, headers: Mapping[str, str], body: bytes, meanwhile: Callable[[], object]) -> str:
    """POST the first byte, and the rest a while after ``meanwhile``; the answer."""
    fields = {"Host": f"127.0.0.1:{box.port}", "Connection": "close", "Content-Length": str(len(body)), **headers}
    head = f"POST {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    with socket.create_connection(("127.0.0.1", box.port), timeout=20) as sending, sending.makefile("rb") as answer:
        sending.sendall(head.encode() + b"\r\n" + body[:1])
        assert box.client.get("/healthz").status_code == 200
        meanwhile()
        time.sleep(1.2)  # what takes less is not late
        sending.sendall(body[1:])
        return answer.read().decode()


def customers(box: Box) -> int:
    headers = box.bearer("customers:read")
    return len(box.client.get(f"{box.base()}/customers", headers=headers).json()["items"])


@pytest.mark.parametrize("revoked", [False, True])
def test_a_token_that_is_revoked_writes_no_more(box: Box, revoked: bool) -> None:
    """Of two late bodies the one whose token was revoked meanwhile changes nothing."""
    token = json.loads(box.crm("token", "create", "--tenant", TENANT, "--scope", "customers:write", "--json"))
    headers = {"Authorization": f"Bearer {token['token']}", "Content-Type": "application/json"}
    before = customers(box)

    def meanwhile() -> None:
        if revoked:
            box.crm("token", "revoke", "--tenant", TENANT, token["id"])

    answer = posted_late(box, f"{box.base()}/customers", headers, b'{"name": "Ada"}', meanwhile)
    assert answer.split()[1] == ("401" if revoked else "201")
    assert customers(box) == before + (not revoked)


@pytest.mark.parametrize("signed_out", [False, True])
def test_a_form_of_someone_who_signed_out_is_not_saved(box: Box, signed_out: bool) -> None:
    """Of two late forms the one whose sender signed out meanwhile changes nothing."""
    visitor = Visitor(box, "agent")
    before = customers(box)
    form = {"csrf": visitor.csrf("/customers/new"), "name": "Grace"}
    cookie = "; ".join(f"{name}={value}" for name, value in visitor.client.cookies.items())
    headers = {
        "Cookie": cookie, "Origin": visitor.origin, "Content-Type": "application/x-www-form-urlencoded",
    }  # fmt: skip

    def meanwhile() -> None:
        if signed_out:
            visitor.post("/customers", "/logout")

    posted_late(box, f"/i/eu1/t/{TENANT}/customers/new", headers, urlencode(form).encode(), meanwhile)
    visitor.client.close()
    assert customers(box) == before + (not signed_out)


async def unfinished(
    live: Instance, path: str, headers: Mapping[str, str], before: str = ""
) -> tuple[str, dict[str, str]]:
    """POST half a body, after the requests of ``before``; what was answered up to its problem, and the problem."""
    host, _, port = live.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    fields = {"Host": host, "Content-Length": "10", "Content-Type": "application/json", **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    writer.write(f"{before}POST {path} HTTP/1.1\r\n{lines}\r\nhalf".encode())
    async with asyncio.timeout(5):
        answer = (await reader.read()).decode()
    writer.close()
    head, _, body = answer.rpartition("\r\n\r\n")
    return head.lower(), json.loads(body)


async def test_a_push_whose_body_never_ends_is_logged(tmp_path: Path) -> None:
    """Its 408 has the fields of every API answer, and the sync log has its entry under the same request id."""
    async with instance(tmp_path, deadlines=SHORT) as live:
        head, problem = await unfinished(live, BRANDING, live.signed("branding", b"half"))
        assert (problem["status"], problem["code"]) == (408, "request_timeout")
        assert f"x-request-id: {problem['request_id']}" in head
        assert "\r\nvary: origin" in head
        assert "\r\nconnection: close" in head
        async with live.client(await live.token("sync:read")) as client:
            [entry] = (await client.get("sync/log", params={"request_id": problem["request_id"]})).json()["items"]
        assert (entry["status"], entry["error_code"]) == ("rejected", "request_timeout")
        assert (entry["seq"], entry["payload_type"], entry["payload_bytes"]) == (None, "branding", None)


async def test_a_push_that_waits_behind_others_is_refused_if_its_body_never_ends(tmp_path: Path) -> None:
    """The requests before it on its connection are answered, and it has its entry in the log."""
    async with instance(tmp_path, deadlines=SHORT) as live:
        before = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 3
        head, problem = await unfinished(live, BRANDING, live.signed("branding", b"half"), before)
        assert (head.count("http/1.1 200"), problem["code"]) == (3, "request_timeout")
        async with live.client(await live.token("sync:read")) as client:
            assert (await client.get("sync/log", params={"request_id": problem["request_id"]})).json()["items"]


async def test_a_body_that_never_ends_is_refused_if_the_framework_routes_it(tmp_path: Path) -> None:
    """The framework takes it for a client that has left; the server answers."""
    async with instance(tmp_path, deadlines=SHORT, through_framework=True) as live:
        _, problem = await unfinished(live, BRANDING, live.signed("branding", b"half"))
        assert problem["code"] == "request_timeout"


async def test_a_browser_app_can_read_that_its_body_came_too_late(tmp_path: Path) -> None:
    """The 408 of a listed origin's request has the headers of CORS."""
    files = {"instance.yaml": ORIGINS}
    async with instance(tmp_path, files, deadlines=SHORT) as live:
        token = await live.token("customers:write")
        headers = {"Origin": "https://app.example", "Authorization": f"Bearer {token}"}
        head, problem = await unfinished(live, "/i/eu1/t/northwind/api/v1/customers", headers)
        assert problem["code"] == "request_timeout"
        assert "access-control-allow-origin: https://app.example" in head
