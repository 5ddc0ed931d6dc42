"""Every page, and who gets through. Run as a program it writes the table again; review it before you commit."""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parents[2]))  # when run as a program

from crm_core.web.pages import ROUTES
from crm_core.web.pages.guard import PageRoute
from plain_http import PLAIN
from served import ALL, Instance, instance

TABLE = Path(__file__).with_name("pages.txt")
ROLES = ("super_admin", "admin", "manager", "agent", "viewer")
SUSPENDED = {"plan": ALL, "subscription": {"state": "suspended"}}
OFF = {"plan": ALL, "modules": {name: {"enabled": False} for name in ("customers", "deals", "tasks")}}
PATH = {
    "digest": "0",
    "module": "customers",
    "id": "01a20ff9-7dcd-7456-a1e2-5f9c4d1e5363",
    "other": "01a20ff9-7dcd-7456-a1e2-5f9c4d1e5364",
    "section": "branding",
    "link": "none",
    "name": "none",
    "revision": "0",
}
HEAD = """\
# Every page and who gets through, as tests/contract/access/test_page_table.py finds it; {module} is customers.
# anonymous: not signed in; each role; suspended: an admin while the subscription is suspended; off: an admin while
# every record type's module is off; forged: an admin's cookie without the page's own token. "through": access was
# given, even if the request failed later (its ids do not exist); "login": sent to the sign-in page.
"""
Caller = tuple[str, httpx.AsyncClient, dict[str, Any], str]


async def outcome(client: httpx.AsyncClient, live: Instance, route: PageRoute, csrf: str) -> str:
    """``through``, ``login``, or the code by which the caller is turned away."""
    address = live.url + "/i/eu1/t/northwind" + route.path.format(**PATH)
    if route.method == "GET":
        answer = await client.get(address)
    else:
        answer = await client.post(address, data={"csrf": csrf}, headers={"Origin": live.url})
    assert answer.status_code < 500, f"{route.method} {route.path}: {answer.status_code} {answer.text}"
    where = answer.headers.get("Location", "")
    if answer.status_code == 303 and "/login" in where and "said=out" not in where:
        return "login"
    if answer.status_code not in (401, 403):
        return "through"
    found = re.search(r"<code>([a-z_]+)</code>", answer.text)
    return found.group(1) if found else "through"  # the sign-in form again: a wrong password


@asynccontextmanager
async def callers(live: Instance) -> AsyncIterator[list[Caller]]:
    """Each caller with its browser, its current features, and the token of its forms."""
    made: list[Caller] = [("anonymous", httpx.AsyncClient(timeout=30, verify=PLAIN), {"plan": ALL}, "")]
    rest = [(role, role, {"plan": ALL}) for role in ROLES]
    rest += [("suspended", "admin", SUSPENDED), ("off", "admin", OFF), ("forged", "admin", {"plan": ALL})]
    for name, role, features in rest:
        made.append((name, *await signed_in(live, role, features, forged=name == "forged")))
    try:
        yield made
    finally:
        for _, client, _, _ in made:
            await client.aclose()


async def signed_in(
    live: Instance, role: str, features: dict[str, Any], *, forged: bool
) -> tuple[httpx.AsyncClient, dict[str, Any], str]:
    """The browser of a user of this role."""
    services = live.services
    data = {"email": f"p{next(live.versions)}@example.com", "name": role, "role": role}
    user = await services.users.create("northwind", data, None)
    session = await services.sessions.open("northwind", user, "browser")
    cookies = {"crm_session": services.sessions.cookie("northwind", session)}
    client = httpx.AsyncClient(timeout=30, cookies=cookies, verify=PLAIN)
    return client, features, "forged" if forged else services.sessions.csrf_token("northwind", session.id)


async def found(folder: Path) -> str:
    """The table as it is now."""
    table: dict[tuple[str, str], dict[str, list[str]]] = {}
    ordered = sorted(ROUTES, key=lambda route: (route.path == "/logout", route.path, route.method))
    async with instance(folder) as live, callers(live) as asking:
        await live.push("branding", {"title": "Northwind"})
        for name, client, features, csrf in asking:
            await live.push("features", features)
            for route in ordered:
                token = csrf
                if route.key == "open" and name != "forged":
                    page = (await client.get(f"{live.url}/i/eu1/t/northwind/forgot")).text
                    token = re.findall(r'name="csrf" value="([^"]+)"', page)[0]
                said = await outcome(client, live, route, token)
                table.setdefault((route.method, route.path), {}).setdefault(said, []).append(name)
    return HEAD + "".join(row(*one) for one in table.items())


def row(route: tuple[str, str], outcomes: dict[str, list[str]]) -> str:
    """A page and its outcomes."""
    lines = [f"\n{route[0]} {route[1]}"]
    for code, names in sorted(outcomes.items()):
        lines.append(f"  {code:22} {'everyone' if len(outcomes) == 1 else ' '.join(names)}")
    return "\n".join(lines) + "\n"


async def test_every_page_lets_through_whom_the_table_names(tmp_path: Path) -> None:
    """Each page times each caller is as reviewed; a page that is not in the table, or is gone, fails."""
    assert await found(tmp_path) == TABLE.read_text(), f"review, then run {Path(__file__).name} as a program"


async def test_no_page_is_open_by_accident() -> None:
    """The pages that anybody may see are these and no others."""
    shown = {route.path for route in ROUTES if route.key == "open"}
    assert shown == {"/login", "/forgot", "/password/{link}", "/settings/theme/{digest}", "/picture/{name}"}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        TABLE.write_text(asyncio.run(found(Path(home))))
