from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from fronts.processes import Instance, Running, manager, nginx
from plain_http import PLAIN

TENANTS = ("northwind", "contoso", "fabrikam", "initech")
BRANDING = {"title": "Nordwind", "colors": {"primary": "#0b5fff"}}
FEATURES = {"plan": {"code": "growth", "name": "Growth", "features": ["customers.*", "deals.*"]}}

Front = Callable[..., AbstractContextManager[Running]]


@dataclass
class World:
    """Two instances behind a front, and the versions of the pushes so far."""

    url: str
    eu: Instance
    us: Instance
    version: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    def push(self, instance: Instance, tenant: str, kind: str, data: Any, path: str | None = None) -> httpx.Response:
        self.version += 1
        signed_path, body, headers = instance.push(tenant, kind, data, self.version)
        return httpx.post(self.url + (path or signed_path), content=body, headers=headers, timeout=30, verify=PLAIN)


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Instance, Instance]]:
    """``eu1`` on a port and ``us2`` on a unix socket, each with the same tenants."""
    home = tmp_path_factory.mktemp("instances")
    with Instance(home, "eu1", TENANTS) as eu, Instance(home, "us2", TENANTS, unix=True) as us:
        yield eu, us


@pytest.fixture(scope="module", params=[manager, pytest.param(nginx, marks=pytest.mark.system("nginx"))])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, instances: tuple[Instance, Instance]
) -> Iterator[World]:
    """The instances behind the manager, and behind nginx in its place."""
    eu, us = instances
    front: Front = request.param
    with front(tmp_path_factory.mktemp("front"), {"eu1": [eu.upstream], "us2": [us.upstream]}) as running:
        yield World(running.url, eu, us)


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    members: dict[str, Any] = answer.json()
    assert (members["status"], members["code"]) == (status, code)
    assert members["request_id"] == answer.headers["x-request-id"]
    return members


def test_pushes_reach_their_workspace(world: World) -> None:
    """A signed push through the front is applied in the workspace that its address names, and nowhere else."""
    for at, instance in enumerate((world.eu, world.us)):
        title = f"{instance.code} {world.version}"
        result = world.push(instance, "northwind", "branding", {"title": title}).json()
        assert (result["status"], result["tenant"]) == ("applied", "northwind")
        for other in (world.eu, world.us)[at:]:
            public = httpx.get(f"{world.url}{other.base('northwind')}/bootstrap/public").json()
            assert (public["branding"].get("title") == title) == (other is instance)


@pytest.mark.parametrize(
    ("kind", "data"), [("features", FEATURES), ("combined", {"branding": BRANDING, "features": FEATURES})]
)
def test_all_kinds_of_pushes(world: World, kind: str, data: Any) -> None:
    """Every payload type passes."""
    assert world.push(world.us, "contoso", kind, data).status_code == 200


def test_a_push_for_one_instance_is_no_push_for_another(world: World) -> None:
    """A push signed for eu1 is refused by us2, even if both have a tenant of that name."""
    path = world.us.base("northwind") + "/sync/branding"
    problem(world.push(world.eu, "northwind", "branding", BRANDING, path), 401, "signature_invalid")


def test_codes_that_are_not_there(world: World) -> None:
    """An instance that the front does not know is misdirected; a tenant that the instance does not know is not."""
    problem(
        world.push(world.eu, "northwind", "branding", BRANDING, "/i/us9/t/northwind/api/v1/sync/branding"),
        421,
        "misdirected_instance",
    )
    problem(httpx.get(f"{world.url}/i/eu1/t/unknown/api/v1/bootstrap/public"), 404, "unknown_tenant")


def test_pages_of_operators_are_out_of_reach(world: World) -> None:
    """Neither metrics nor the plugins of an instance can be had through the front."""
    for path in ("/metrics", "/-/plugins", "/i/eu1/../../metrics", "/i/eu1/metrics", "/i/eu1/-/plugins"):
        with httpx.Client() as client:
            request = client.build_request("GET", world.url)
            request.url = request.url.copy_with(raw_path=path.encode())
            assert client.send(request).status_code in (400, 404), path


def test_the_source_is_the_client(world: World) -> None:
    """The sync log names the client's address, regardless of what the client claims."""
    version = world.version = world.version + 1
    path, body, headers = world.eu.push("northwind", "branding", BRANDING, version)
    headers = {
        **headers,
        "X-Forwarded-For": "203.0.113.7",
        "Forwarded": "for=203.0.113.7",
        "X-Request-Id": f"c-{version}",
    }
    result = httpx.post(world.url + path, content=body, headers=headers).json()
    bearer = world.eu.token("northwind", "sync:read")
    url = f"{world.url}{world.eu.base('northwind')}/sync/log"
    (entry,) = httpx.get(url, params={"request_id": result["request_id"]}, headers=bearer).json()["items"]
    assert entry["source_ip"] == "127.0.0.1"
    assert entry["client_request_id"] == f"c-{version}"


def test_entity_tags_and_heads(world: World) -> None:
    """Conditional requests, HEAD and long queries pass."""
    bearer = world.eu.token("northwind", "sync:health")
    with httpx.Client(base_url=world.url + world.eu.base("northwind"), headers=bearer) as api:
        boot = api.get("/bootstrap")
        assert api.get("/bootstrap", headers={"If-None-Match": boot.headers["etag"]}).status_code == 304
        assert boot.headers["vary"] == "Authorization, Cookie, Origin"
        assert api.head("/bootstrap").status_code in (200, 405)
        assert api.get("/sync/health").json()["instance"] == "eu1"
        problem(api.get("/bootstrap", params={"q": "x" * 6000}), 400, "unknown_parameter")


def test_events_follow_a_push(world: World) -> None:
    """An event stream through the front gets a push immediately."""
    bearer = world.us.token("initech", "sync:read")
    url = f"{world.url}{world.us.base('initech')}/events"
    with httpx.stream("GET", url, headers=bearer, timeout=10) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        assert any(line == "event: ready" for line in lines)
        result = world.push(world.us, "initech", "branding", {"title": f"T {world.version}"}).json()
        heard = next(line for line in lines if line.startswith("data:") and "branding" in line)
        assert result["request_id"] in heard


def test_too_large_a_body_is_refused_while_it_is_sent(world: World) -> None:
    """A body over the instance's limit is refused through the front too, without being read to its end."""
    path, _, headers = world.eu.push("northwind", "branding", BRANDING, world.version + 1)

    def endless() -> Iterator[bytes]:
        for _ in range(400):
            yield b" " * 65536

    answer = httpx.post(world.url + path, content=endless(), headers=headers, timeout=30)
    problem(answer, 413, "payload_too_large")


def test_health_through_the_command(world: World) -> None:
    """``crm push`` goes through the front by its address alone."""
    file = world.eu.config.parent / "data.yaml"
    file.write_text(json.dumps(BRANDING))
    url = f"{world.url}/i/eu1/t/fabrikam"
    said = world.eu.crm("push", "branding", str(file), "--url", url, "--tenant", "fabrikam")
    assert "branding version" in said


@pytest.mark.slow
async def test_a_killed_instance_in_the_midst_of_pushes(tmp_path: Path, instances: tuple[Instance, Instance]) -> None:
    """A kill -9 of one instance in 2,000 pushes over both costs the other none, shows immediately, and recovers."""
    eu, us = instances
    run = Run(each=250)
    with manager(tmp_path, {"eu1": [eu.upstream], "us2": [us.upstream]}) as running:
        async with httpx.AsyncClient(base_url=running.url, timeout=30) as client:
            pushing = [
                asyncio.create_task(run.pushes(client, instance, tenant)) for tenant in TENANTS for instance in (eu, us)
            ]
            while run.applied < 600:  # noqa: ASYNC110 -- what the tasks have done so far
                await asyncio.sleep(0.01)
            await asyncio.to_thread(eu.kill)
            async with asyncio.timeout(20):  # nothing waits for it to come back
                while not run.codes:  # noqa: ASYNC110 -- as above
                    await asyncio.sleep(0.01)
            await asyncio.to_thread(eu.start)
            await asyncio.gather(*pushing)
            result = (await client.get("/-/instances")).json()["instances"]
    assert run.refused_elsewhere == []
    assert run.applied + run.already == 2000
    assert run.codes == {"instance_unavailable"}
    assert [one["upstreams"][0]["state"] for one in result] == ["up", "up"]
    for instance in (eu, us):
        for tenant in TENANTS:
            floor = json.loads(instance.crm("tenant", "show", tenant, "--json"))
            assert floor["sections"]["workspace"]["version"] == run.base + 249


@dataclass
class Run:
    """A run of pushes and what came of them."""

    each: int
    base: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    applied: int = 0
    already: int = 0
    codes: set[str] = field(default_factory=set)
    refused_elsewhere: list[str] = field(default_factory=list)

    async def pushes(self, client: httpx.AsyncClient, instance: Instance, tenant: str) -> None:
        """One push after another; what is refused because the instance is down is pushed again."""
        for version in range(self.base, self.base + self.each):
            while not await self._push(client, instance, tenant, version):  # noqa: ASYNC110 -- it is what is done
                await asyncio.sleep(0.05)

    async def _push(self, client: httpx.AsyncClient, instance: Instance, tenant: str, version: int) -> bool:
        path, body, headers = instance.push(tenant, "workspace", {"locale": "de-DE", "timezone": "UTC"}, version)
        answer = await client.post(path, content=body, headers=headers)
        if answer.status_code == 200:
            self.applied += 1
            return True
        code = answer.json()["code"]
        if code == "duplicate_payload":  # it was done, and its answer went down with the instance
            self.already += 1
            return True
        if instance.code != "eu1":
            self.refused_elsewhere.append(answer.text)
        self.codes.add(code)
        return False
