"""Every route, and who gets through. Run as a program it writes the table again; review it before you commit."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[2]))  # when run as a program

from served import ALL, Instance, instance

TABLE = Path(__file__).with_name("routes.txt")
BASE = "/i/{instance}/t/{tenant}/api/v1"
TYPES = ("customers", "deals", "tasks")
SCOPES = (
    *(f"{name}:{access}" for name in TYPES for access in ("read", "write", "delete", "erase")),
    "sync:health",
    "sync:read",
    "sync:admin",
)
ROLES = ("super_admin", "admin", "manager", "agent", "viewer")
SUSPENDED = {"plan": ALL, "subscription": {"state": "suspended"}}
OFF = {"plan": ALL, "modules": {name: {"enabled": False} for name in TYPES}}
PATH = {
    "id": "01a20ff9-7dcd-7456-a1e2-5f9c4d1e5363",
    "external_id": "x-1",
    "payload_type": "branding",
    "section": "branding",
    "revision": "1",
}
ASKS_WHO = {401, 403}
HEAD = """\
# Every route of the API and who gets through, as tests/contract/access/test_route_table.py finds it.
# anonymous: no credential; stranger: another tenant's token for everything; then a token for each scope and
# each role; suspended: an admin while the subscription is suspended; off: an admin while every record type's module
# is switched off. "through": access was given, even if the request failed later (its ids do not exist).
"""


async def routes(live: Instance) -> list[tuple[str, str, str]]:
    """Method, path and media type asked for, of every operation that is served; what signs out comes last."""
    async with aiohttp.request("GET", f"{live.url}/openapi.json") as answer:
        paths = (await answer.json())["paths"]
    found = [(method.upper(), path, "application/json") for path, item in paths.items() for method in item]
    found = [each for each in found if each[0] in {"GET", "POST", "PUT", "PATCH", "DELETE"}]
    found += [("GET", f"{BASE}/{name}", "text/csv") for name in TYPES]
    return sorted(found, key=lambda route: (route[1].endswith("/logout"), route[1], route[2], route[0]))


async def outcome(client: aiohttp.ClientSession, live: Instance, method: str, path: str, accept: str) -> str:
    """``through``, or the code by which the caller is turned away."""
    address = live.url + path.format(instance="eu1", tenant="northwind", **PATH)
    headers = {"Accept": accept} | ({} if method == "GET" else {"Content-Type": "application/json"})
    content = None if method == "GET" else b"{}"
    async with client.request(method, address, headers=headers, data=content) as answer:
        assert answer.status < 500, f"{method} {path}: {answer.status}"
        if answer.status not in ASKS_WHO:
            return "through"
        return str((await answer.json(content_type=None))["code"])


def asking(credential: str | None) -> aiohttp.ClientSession:
    """A client with a credential; it costs a tenth of what others would, and asks more than a thousand times."""
    return aiohttp.ClientSession(headers={} if credential is None else {"Authorization": f"Bearer {credential}"})


@asynccontextmanager
async def callers(live: Instance) -> AsyncIterator[list[tuple[str, aiohttp.ClientSession, dict[str, Any]]]]:
    """Each caller with its client and its current features."""
    made: list[tuple[str, str | None, dict[str, Any]]] = [("anonymous", None, {"plan": ALL})]
    made.append(("stranger", await live.token(*SCOPES, tenant="contoso"), {"plan": ALL}))
    made += [(scope, await live.token(scope), {"plan": ALL}) for scope in SCOPES]
    made += [(role, await live.user(role), {"plan": ALL}) for role in ROLES]
    made += [("suspended", await live.user("admin"), SUSPENDED), ("off", await live.user("admin"), OFF)]
    clients = [(name, asking(credential), features) for name, credential, features in made]
    try:
        yield clients
    finally:
        for _, client, _ in clients:
            await client.close()


async def table_of(live: Instance) -> str:
    """The table as an instance answers."""
    table: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    async with callers(live) as found:
        await live.push("branding", {"title": "Northwind"})
        served = await routes(live)
        for name, client, features in found:
            await live.push("features", features)
            for route in served:
                said = await outcome(client, live, *route)
                table.setdefault(route, {}).setdefault(said, []).append(name)
    return HEAD + "".join(map(row, table.items()))


async def found(folder: Path) -> str:
    """The table as it is now."""
    async with instance(folder) as live:
        return await table_of(live)


def row(tried: tuple[tuple[str, str, str], dict[str, list[str]]]) -> str:
    """A route and its outcomes."""
    (method, path, accept), outcomes = tried
    lines = [f"\n{method} {path.removeprefix(BASE)}" + ("" if accept == "application/json" else f" as {accept}")]
    for code, names in sorted(outcomes.items()):
        lines.append(f"  {code:22} {'everyone' if len(outcomes) == 1 else ' '.join(names)}")
    return "\n".join(lines) + "\n"


async def test_every_route_lets_through_whom_the_table_names(tmp_path: Path) -> None:
    """Each route times each caller is as reviewed; a route that is not in the table, or is gone, fails."""
    assert await found(tmp_path) == TABLE.read_text(), f"review, then run {Path(__file__).name} as a program"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        TABLE.write_text(asyncio.run(found(Path(home))))
