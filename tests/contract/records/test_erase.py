from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from served import Instance, problem

SECRET = {
    "name": "Ada Lovelace",
    "external_id": "own-4711",
    "email": "ada.lovelace@example.com",
    "phone": "+49 711 8675309",
    "company": "Analytical Engines",
    "notes": "likes difference engines",
    "tags": ["countess"],
    "custom": {"maiden": "Byron"},
}
TRACES = ("Lovelace", "lovelace", "own-4711", "8675309", "nalytical", "difference", "countess", "Byron", "Marylebone")


@pytest.fixture
async def eraser(live: Instance) -> Any:
    """A client whose token may read, write and erase customers and deals."""
    scopes = [f"{name}:{access}" for name in ("customers", "deals") for access in ("read", "write", "erase")]
    async with live.client(await live.token(*scopes)) as client:
        yield client


def traces(folder: Path) -> set[str]:
    """What any file of a tenant contains of the record."""
    data = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return {text for text in TRACES if any(text.encode() in each for each in data)}


async def fill(client: httpx.AsyncClient) -> str:
    """A record with a history and with stored answers to idempotent requests; its id."""
    made = await client.post("customers", json=SECRET, headers={"Idempotency-Key": "create"})
    id_: str = made.json()["id"]
    address = {"address": {"line1": "Marylebone 1"}}
    await client.patch(f"customers/{id_}", json=address, headers={"Idempotency-Key": "change"})
    await client.patch(f"customers/{id_}", json={"address": None, "name": "Ada King Lovelace"})
    return id_


async def test_no_byte_of_an_erased_record_is_left(live: Instance, eraser: httpx.AsyncClient, tmp_path: Path) -> None:
    """After the fold no file of the tenant contains a text of it; nor after repeats of its idempotent requests."""
    (folder,) = tmp_path.rglob("northwind")
    start = (await eraser.get("changes")).json()["next"]
    id_ = await fill(eraser)
    await live.services.backend.fold("northwind")
    await eraser.patch(f"customers/{id_}", json={"name": "Ada Byron Lovelace"})
    await live.services.backend.fold("northwind")
    assert traces(folder) == set(TRACES)
    assert (await eraser.post(f"customers/{id_}/erase")).status_code == 204
    await live.services.backend.fold("northwind")
    assert traces(folder) == set()
    for method, path, body, key in (
        ("POST", "customers", SECRET, "create"),
        ("PATCH", f"customers/{id_}", {"address": {"line1": "Marylebone 1"}}, "change"),
    ):
        answer = await eraser.request(method, path, json=body, headers={"Idempotency-Key": key})
        problem(answer, 404, "not_found")
    paths = (await eraser.get(f"{live.url}/openapi.json")).json()["paths"]
    create = paths["/i/{instance}/t/{tenant}/api/v1/customers"]["post"]["responses"]
    assert "not_found" in create["404"]["x-codes"]
    assert (await eraser.get("customers")).json()["items"] == []
    await live.services.backend.fold("northwind")
    assert traces(folder) == set()
    items = (await eraser.get("changes", params={"after": start, "include": "record"})).json()["items"]
    assert [item["change"] for item in items] == ["created", *["updated"] * 3, "erased"]
    assert all(item["record"] is None and item["external_id"] is None for item in items)
    assert all(item["changes"] == [] and item["actor"] is None and item["request_id"] is None for item in items[:-1])
    assert items[-1]["actor"].startswith("token:")
    problem(await eraser.get(f"customers/{id_}"), 404, "not_found")
    problem(await eraser.get(f"customers/{id_}/history"), 404, "not_found")


async def test_what_is_referenced(eraser: httpx.AsyncClient) -> None:
    """409 counts what refers to a record; with cascade all of it goes."""
    id_ = (await eraser.post("customers", json={"name": "Ada"})).json()["id"]
    deal = (await eraser.post("deals", json={"name": "Deal", "customer_id": id_})).json()["id"]
    refusal = problem(await eraser.post(f"customers/{id_}/erase"), 409, "still_referenced")
    assert refusal["references"] == {"deals": 1}
    problem(await eraser.post(f"customers/{id_}/erase?cascade=yes"), 400, "invalid_parameter")
    assert (await eraser.post(f"customers/{id_}/erase?cascade=true")).status_code == 204
    problem(await eraser.get(f"deals/{deal}"), 404, "not_found")


async def test_who_may_erase(live: Instance, api: httpx.AsyncClient) -> None:
    """A token needs the type's own scope, a user the right to erase, which an admin has and a manager lacks."""
    id_ = (await api.post("customers", json={"name": "Ada"})).json()["id"]
    problem(await api.post(f"customers/{id_}/erase"), 403, "insufficient_scope")
    async with live.client(await live.user("manager")) as manager:
        problem(await manager.post(f"customers/{id_}/erase"), 403, "permission_denied")
    async with live.client(await live.user("admin")) as admin:
        assert (await admin.post(f"customers/{id_}/erase")).status_code == 204
