"""Clients that generators make of the OpenAPI document call a running server, and its errors are typed."""

from __future__ import annotations

import asyncio
import importlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import npm
from served import ALL, Instance, instance

NODE = ("openapi-typescript@7", "openapi-fetch@0", "typescript@5")
PROGRAM = """
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

const [url, token] = process.argv.slice(2);
const api = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });
const path = { instance: "eu1", tenant: "northwind" };
const base = "/i/{instance}/t/{tenant}/api/v1";
const made = await api.POST(`${base}/customers`, { params: { path }, body: { name: "Ada" } });
const name: string = made.data!.name;
const listed = await api.GET(`${base}/customers`, { params: { path, query: { total: true, limit: 1 } } });
if (typeof listed.data !== "object") throw new Error("a list in JSON");
const total: number | null = listed.data.total;
const refused = await api.POST(`${base}/customers`, { params: { path }, body: { name: "A", email: "no" } });
const code: components["schemas"]["Problem422"]["code"] | undefined =
  refused.error?.status === 422 ? refused.error.code : undefined;
const health = await api.GET(`${base}/sync/health`, { params: { path } });
const status: "ok" | "degraded" | "stale" | "disabled" = health.data!.status;
console.log(JSON.stringify({ name, total, code, pointer: refused.error?.errors?.[0]?.pointer, status }));
"""


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Instance]:
    """A running instance with every record type."""
    home = tmp_path / "instance"
    home.mkdir()
    async with instance(home) as running:
        await running.push("features", {"plan": ALL})
        yield running


async def run(*words: object, cwd: Path) -> str:
    """The output of a program that must succeed."""
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = await asyncio.create_subprocess_exec(*map(str, words), cwd=cwd, **pipe)
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()[-3000:]
    return output.decode()


async def document(live: Instance, folder: Path) -> Path:
    """The document as a file."""
    async with live.client() as client:
        (folder / "openapi.json").write_text((await client.get(f"{live.url}/i/eu1/openapi.json")).text)
    return folder / "openapi.json"


@pytest.mark.slow
async def test_openapi_python_client(live: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It generates every operation without a warning; records, batches, health and errors come as their types."""
    config = tmp_path / "config.yaml"
    config.write_text("post_hooks: []\n")
    generate = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--fail-on-warning"]
    source = await document(live, tmp_path)
    await run(*generate, "--path", source, "--output-path", "generated_crm", "--config", config, cwd=tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    of = importlib.import_module
    models: Any = of("generated_crm.models")
    here = {"instance": "eu1", "tenant": "northwind"}

    async def call(name: str, client: Any, **arguments: Any) -> Any:
        return await of(f"generated_crm.api.{name}").asyncio(**here, client=client, **arguments)

    token = await live.token("customers:read", "customers:write", "sync:health")
    async with of("generated_crm.client").AuthenticatedClient(base_url=live.url, token=token) as client:
        made = await call("customers.create_customer", client, body=models.CustomersInput(name="Ada"))
        assert isinstance(made, models.CustomersRecord)
        assert (made.name, made.status) == ("Ada", "lead")
        page = await call("customers.list_customers", client, total=True, limit=1)
        assert (page.total, page.items[0].id) == (1, made.id)
        refused = await call("customers.create_customer", client, body=models.CustomersInput(name="A", email="no"))
        assert isinstance(refused, models.Problem422)
        assert refused.code is models.Problem422Code.INVALID_RECORD
        assert refused.errors[0].pointer == "/email"
        missing = await call("customers.get_customer", client, id="01a20ff9-7dcd-7456-a1e2-5f9c4d1e5363")
        assert missing.code is models.Problem404Code.NOT_FOUND
        assert isinstance(await call("deals.list_deals", client), models.Problem403)
        items = [models.CustomersBatchItem(name="B"), models.CustomersBatchItem(name="C", email="no")]
        results = (await call("customers.batch_customers", client, body=models.CustomersBatch(items=items))).results
        assert [result.status for result in results] == [201, 422]
        assert results[1].problem.code == "invalid_record"
        health = await call("sync.get_sync_health", client)
        assert isinstance(health, models.SyncHealth)
        assert health.sections["features"].sha256
    for name in [name for name in sys.modules if name.startswith("generated_crm")]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def node_folder(request: pytest.FixtureRequest) -> Path:
    """The folder with the generator from npm, installed once; skips if that is not possible."""
    folder = Path(request.config.cache.mkdir("openapi-typescript"))
    npm.install(folder, NODE, type="module")
    return folder


@pytest.mark.slow
@pytest.mark.system("npm")
@pytest.mark.system("node")
async def test_openapi_typescript(live: Instance, tmp_path: Path, node_folder: Path) -> None:
    """Its types compile in strict mode with a program that reads typed errors, and the program runs."""
    (tmp_path / "package.json").write_text('{"private": true, "type": "module"}')
    (tmp_path / "node_modules").symlink_to(node_folder / "node_modules")
    (tmp_path / "call.ts").write_text(PROGRAM)
    source, modules = await document(live, tmp_path), tmp_path / "node_modules"
    await run("node", modules / "openapi-typescript/bin/cli.js", source, "-o", tmp_path / "schema.d.ts", cwd=tmp_path)
    options = ["--strict", "--module", "nodenext", "--target", "es2022", "--skipLibCheck", "call.ts"]
    (tmp_path / "globals.d.ts").write_text("declare const process: { argv: string[] };\n")
    await run("node", modules / "typescript/bin/tsc", *options, "globals.d.ts", cwd=tmp_path)
    token = await live.token("customers:read", "customers:write", "sync:health")
    reported = json.loads(await run("node", "call.js", live.url, token, cwd=tmp_path))
    expected = {"name": "Ada", "total": 1, "code": "invalid_record", "pointer": "/email", "status": "ok"}
    assert reported == expected
