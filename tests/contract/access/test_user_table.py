"""Who may change whom, by API and page; run as a program it writes the table again, for review."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parents[2]))  # when run as a program

from crm_core.access.user import StoredUser
from plain_http import PLAIN
from served import ALL, Instance, instance

TABLE = Path(__file__).with_name("users.txt")
FILES = {
    "roles.yaml": (
        "roles:\n"
        '  lead: {grant: ["*", users.manage, sync.view]}\n'
        '  clerk: {grant: ["*", users.manage]}\n'
        '  auditor: {grant: ["*.view", sync.view]}\n'
    )
}
CALLERS = ("super_admin", "admin", "lead", "clerk")
TARGETS = ("super_admin", "admin", "lead", "clerk", "auditor", "agent")
CHANGES: dict[str, dict[str, Any]] = {
    "name": {"name": "New name"},
    "email": {"email": "new-{number}@example.com"},
    "password": {"password": "a new long password"},
    "disabled": {"disabled": True},
    "assignment": {"assignment": ["customers.*"]},
    "role": {"role": "viewer"},
}
FORMS: dict[str, dict[str, str]] = {
    "role": {"role": "viewer"},
    "assignment": {"key": "customers.view"},
    "disabled": {"disabled": "true"},
    "reset": {},
}
HEAD = """\
# Who may change whom, as tests/contract/access/test_user_table.py finds it: each line is the role of the user that is
# changed, or that is given, and the callers who may; all others get 403 permission_denied. "self": the caller's own
# account. lead has users.manage and sync.view, clerk users.manage, auditor sync.view, agent no core key.
"""


@dataclass(frozen=True)
class Request:
    """One change of one user: an API path with JSON, or a page with a form."""

    title: str
    target: str
    given: str = ""
    body: dict[str, Any] | None = None
    form: dict[str, str] | None = None


def requests() -> Iterator[Request]:
    """Every way to change a user or to give a role, with every target."""
    for member, body in CHANGES.items():
        for target in (*TARGETS, "self"):
            yield Request(f"PATCH users/{{id}} {member}", target, body=body)
    for role in TARGETS:
        yield Request("PATCH users/{id} role, given", "agent", role, body={"role": role})
    for role in TARGETS:
        yield Request("POST users", "", role, body={"email": "new-{number}@example.com", "role": role})
    for action, form in FORMS.items():
        for target in (*TARGETS, "self") if action != "reset" else TARGETS:
            yield Request(f"page /users/{{id}}/{action}", target, form=form)
    for role in TARGETS:
        yield Request("page /users/{id}/role, given", "agent", role, form={"role": role})
    for role in TARGETS:
        yield Request("page /users/invite", "", role, form={"email": "new-{number}@example.com", "role": role})


async def made(live: Instance, role: str) -> StoredUser:
    """A new user of this role."""
    data = {"email": f"u{next(live.versions)}@example.com", "role": role}
    return await live.services.users.create("northwind", data, None)


async def is_allowed(live: Instance, client: httpx.AsyncClient, request: Request, by: str) -> bool:
    """Whether a new caller of the role ``by`` gets through with the request on a new user."""
    caller = await made(live, by)
    target = caller if request.target == "self" else await made(live, request.target or "agent")
    page = "/users/invite" if not request.target else f"/users/{target.user.id}/{request.title.split('/')[-1]}"
    if request.form is not None:
        answer = await posted(live, client, caller, page.removesuffix(", given"), request.form)
        code = re.search(r"<code>([a-z_]+)</code>", answer.text)
    else:
        answer = await sent(live, client, caller, target if request.target else None, request.body or {})
        code = re.search(r'"code":"([a-z_]+)"', answer.text)
    if answer.status_code in (200, 201, 303):
        return True
    assert answer.status_code == 403, f"{request} {by}: {answer.status_code} {answer.text[:500]}"
    assert "/password/" not in answer.text
    assert request.title == "page /users/invite" or (code is not None and code[1] == "permission_denied")
    if request.target:
        assert await live.services.users.get("northwind", target.user.id) == target
    return False


def filled(members: dict[str, Any], number: int) -> dict[str, Any]:
    """The members with a new address."""
    found: dict[str, Any] = json.loads(json.dumps(members).replace("{number}", str(number)))
    return found


async def sent(
    live: Instance, client: httpx.AsyncClient, caller: StoredUser, target: StoredUser | None, body: dict[str, Any]
) -> httpx.Response:
    """The answer of the API."""
    sessions = live.services.sessions
    grant = sessions.grant("northwind", await sessions.open("northwind", caller, "api"))
    method, path = ("POST", "users") if target is None else ("PATCH", f"users/{target.user.id}")
    headers = {"Authorization": f"Bearer {grant.access_token}"}
    return await client.request(method, live.base() + path, json=filled(body, next(live.versions)), headers=headers)


async def posted(
    live: Instance, client: httpx.AsyncClient, caller: StoredUser, path: str, form: dict[str, str]
) -> httpx.Response:
    """The answer of a page to its form, sent directly."""
    sessions = live.services.sessions
    session = await sessions.open("northwind", caller, "browser")
    return await client.post(
        f"{live.url}/i/eu1/t/northwind{path}",
        data=filled(form, next(live.versions))
        | {"csrf": sessions.csrf_token("northwind", session.id), "revision": "1"},
        headers={"Origin": live.url, "Cookie": f"crm_session={sessions.cookie('northwind', session)}"},
    )


async def found(folder: Path) -> str:
    """The table as it is now."""
    table: dict[str, list[str]] = {}
    async with instance(folder, FILES) as live, httpx.AsyncClient(timeout=30, verify=PLAIN) as client:
        await live.push("features", {"plan": ALL})
        for request in requests():
            allowed = [by for by in CALLERS if await is_allowed(live, client, request, by)]
            line = f"  {request.given or request.target:12} {' '.join(allowed) or '-'}\n"
            table.setdefault(request.title, []).append(line)
    return HEAD + "".join(f"\n{title}\n{''.join(lines)}" for title, lines in table.items())


async def test_pages_offer_what_the_viewer_may_do(tmp_path: Path) -> None:
    """A user out of the viewer's reach, and the viewer, are shown without any control and with the reason."""
    async with instance(tmp_path, FILES) as live, httpx.AsyncClient(timeout=30, verify=PLAIN) as client:
        clerk, admin, agent = [await made(live, role) for role in ("clerk", "admin", "agent")]
        session = await live.services.sessions.open("northwind", clerk, "browser")
        headers = {"Cookie": f"crm_session={live.services.sessions.cookie('northwind', session)}"}

        async def page(path: str) -> tuple[str, set[str], set[str]]:
            text = (await client.get(f"{live.url}/i/eu1/t/northwind/users{path}", headers=headers)).text
            buttons = set(re.findall(r"Set role|>Save<|Send the invitation|Disable|Grant all features", text))
            return text, set(re.findall(r'<option value="([a-z_]+)"', text)), buttons

        for one, reason in ((admin, "rights that yours lacks"), (clerk, "your own role or access")):
            text, _, buttons = await page(f"/{one.user.id}")
            assert buttons == set()
            assert reason in text
            assert all("disabled" in box for box in re.findall(r"<input type=\"checkbox\"[^>]*>", text))
        text, roles, buttons = await page(f"/{agent.user.id}")
        assert buttons == {"Set role", ">Save<", "Send the invitation", "Disable"}
        assert roles == {"clerk", "manager", "agent", "viewer"}
        assert (await page("/invite"))[1] == roles


async def test_every_change_of_a_user_lets_through_whom_the_table_names(tmp_path: Path) -> None:
    """Each change times each role times each caller is as reviewed, and a refused one changes and shows nothing."""
    assert await found(tmp_path) == TABLE.read_text(), f"review, then run {Path(__file__).name} as a program"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        TABLE.write_text(asyncio.run(found(Path(home))))
