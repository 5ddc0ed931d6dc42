from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from served import ALL, KEY, Instance, instance

HERE = Path(__file__).parent
BASE = "/i/{instance}/t/{tenant}/api/v1"
TYPES = ("customers", "deals", "tasks", "activities")
PARTS = {
    "customers and deals": "/(customers|deals)",
    "tasks and activities": "/(tasks|activities)",
    "the rest": "^(?!.*/(customers|deals|tasks|activities))",
}
"""Patterns of paths; each path is in one part."""
ONCE = 360  # tokens that are used up by the requests they go with


async def given(live: Instance) -> dict[str, Any]:
    """The facts of the instance that the hooks need."""
    await live.push("features", {"plan": ALL})
    for title in ("First", "Second"):
        await live.push("branding", {"title": title})
    token = await live.user("super_admin")
    async with live.client(token) as api:
        customer = (await api.post("customers", json={"name": "Ada"})).json()["id"]
        ids = {"customers": customer}
        for name in TYPES[1:]:
            ids[name] = (await api.post(name, json={"name": "A", "customer_id": customer})).json()["id"]
        users = (await api.post("users", json={"email": "b@example.com", "name": "B", "role": "viewer"})).json()
        entry = (await api.get("sync/log")).json()["items"][0]["id"]
    return {
        "key": KEY.hex(),
        "token": token,
        "version": 1000,
        "references": {"customer_id": customer, "deal_id": ids["deals"]},
        "paths": {
            **{f"{BASE}/{name}/{{id}}": {"id": ids[name]} for name in TYPES},
            f"{BASE}/users/{{id}}": {"id": users["id"]},
            f"{BASE}/sync/log/{{id}}": {"id": entry},
        },
        **await passing(live),
    }


async def passing(live: Instance) -> dict[str, Any]:
    """Credentials that are good once, and those of a person who signs in."""
    person = {"email": "p@example.com", "name": "P", "role": "viewer", "password": "correct horse battery"}
    await live.services.users.create("northwind", person, None)
    sessions, grants = live.services.sessions, []
    for number in range(4):
        viewer = {"email": f"v{number}@example.com", "name": "V", "role": "viewer"}
        user = await live.services.users.create("northwind", viewer, None)
        grants += [sessions.grant("northwind", await sessions.open("northwind", user, "api")) for _ in range(ONCE // 2)]
    return {
        "refresh": [grant.refresh_token for grant in grants[:ONCE]],
        "leaving": [grant.access_token for grant in grants[ONCE:]],
        "login": {"email": person["email"], "password": person["password"]},
    }


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS.keys())
async def test_the_api_is_as_its_document_says(tmp_path: Path, part: str) -> None:
    """Schemathesis finds no failure with all its checks, no 5xx, and reaches a 2xx of every operation but events."""
    async with instance(tmp_path) as live:
        prepared = tmp_path / "given.json"
        prepared.write_text(json.dumps(await given(live)))
        code, output = await run(live, prepared, part)
        assert code == 0, output[-20_000:]
        async with live.client() as client:
            paths = (await client.get(f"{live.url}/openapi.json")).json()["paths"]
    lines = [line.split("\t") for line in (tmp_path / "seen.txt").read_text().splitlines()]
    seen = [reached.split(" ", 1) for reached, _ in lines]
    codes = {(*reached.split(" ", 2), code) for reached, code in lines if code}
    of_method = {"method_not_allowed", "not_acceptable"}  # of methods and types that are in no document
    assert [one for one in codes if one[3] not in of_method and not documented(paths, *one)] == []
    assert not [line for line in seen if line[0].startswith("5")]
    reached = {label for status, label in seen if status.startswith("2")}
    served = {f"{method.upper()} {path}" for path, item in paths.items() if re.search(part, path) for method in item}
    # Streams do not end, and the document itself was read before all else.
    assert served - reached <= {f"GET {BASE}/events", "GET /openapi.json"}
    assert served


def documented(paths: dict[str, Any], status: str, method: str, path: str, code: str) -> bool:
    """Whether an operation's document has this code."""
    return code in paths[path][method.lower()]["responses"].get(status, {}).get("x-codes", ())


async def run(live: Instance, prepared: Path, part: str) -> tuple[int, str]:
    """Exit code and output of a run of schemathesis over the paths of a part."""
    words = [
        "--config-file",
        HERE / "schemathesis.toml",
        "run",
        f"{live.url}/openapi.json",
        "--checks",
        "all",
        "--no-color",
        "--include-path-regex",
        part,
    ]
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"),
        *words,
        cwd=HERE,
        env={**os.environ, "CRM_FUZZED": str(prepared), "NO_PROXY": "127.0.0.1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()
