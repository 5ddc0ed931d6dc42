"""A write whose body comes late ends with the credential that began it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlencode

import pytest

from contract.box import TENANT, Box
from visitor import EVERYTHING, Visitor, with_users


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
