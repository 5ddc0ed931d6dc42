"""Stores of every released version open with today's code: ``tests/fixtures/write_stores.py`` wrote them."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest

from contract.box import SMTP, Box, good, problem
from crm_core.commands.store import backup, restore
from crm_core.commands.tenant import remove
from crm_core.compose import application, open_backend
from crm_core.errors import InvalidRecord
from crm_core.plugin.storage import Committed, Unit
from crm_core.services import Services
from crm_core.settings.configuration import Configuration
from crm_core.settings.installation import install
from crm_core.sync.sections import SEALED_FOR

FIXTURES = Path(__file__).parents[1] / "fixtures"
VERSIONS = sorted(FIXTURES.glob("stores-*"))
TENANTS = ("harbour", "marina")
PASSWORD = "correct horse battery"


class Opened(NamedTuple):
    """A running instance on a copy of the stores of a version, their expected contents, and their source."""

    box: Box
    expected: Mapping[str, Any]
    source: Path

    def items(self, tenant: str, path: str) -> list[Any]:
        """All items of a list, by the token that the store knows."""
        headers = {"Authorization": f"Bearer {self.expected[tenant]['tokens']['good']}"}
        answer = self.box.client.get(
            f"{self.box.base(tenant)}/{path}", headers=headers, params=None if "?" in path else {"limit": 100}
        )
        found: list[Any] = good(answer)["items"]
        return found


def copied(source: Path, folder: Path) -> Path:
    """Stores and configuration, with the permissions that git does not keep; the config folder."""
    for part in ("tenants", "config"):
        shutil.copytree(source / part, folder / part)
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return folder / "config"


@pytest.fixture(scope="module", params=VERSIONS, ids=[path.name for path in VERSIONS])
def old(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """The stores of a version, served by today's code."""
    source: Path = request.param
    folder = tmp_path_factory.mktemp("stores") / "instance"
    box = Box(folder)
    shutil.rmtree(box.config)
    copied(source, folder)
    box.start()
    yield Opened(box, json.loads((source / "expected.json").read_text()), source)
    assert box.stop() == 0


def test_records_are_found_by_todays_rules(old: Opened) -> None:
    """Strokes, case, digits of a phone and comparisons find records whose indexes that version wrote."""
    record = old.expected["harbour"]["records"]["customers"][0]
    for query in ("q=lucja+orsted", "q=0301234", "email=LUCJA%40example.com", "tags=K%C3%96LN", "name.gt=c", "q=%40"):
        found = old.items("harbour", f"customers?{query}")
        assert [each["id"] for each in found] == [record["id"]], query
        assert found[0]["revision"] == record["revision"]


def contains(found: Any, wanted: Any) -> bool:
    """Whether every member that was stored is there as it was; later versions may add some."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            name in found and contains(found[name], value) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(contains, found, wanted))
    return bool(found == wanted)


def test_there_are_stores_of_a_version() -> None:
    """Without fixtures the other tests of this file would not run; they are small and name no folder of a machine."""
    assert VERSIONS
    for version in VERSIONS:
        contents = [path.read_bytes() for path in version.rglob("*") if path.is_file()]
        assert sum(map(len, contents)) < 200_000
        assert [found for one in contents for found in re.findall(rb"/(?:home|root|tmp|usr|var)/[^\s\"]*", one)] == []


@pytest.mark.parametrize("tenant", TENANTS)
def test_records_sections_and_logs_are_as_they_were(old: Opened, tenant: str) -> None:
    """Every record, section, revision and attempt, folded or still in the journal, has each member it had."""
    expected = old.expected[tenant]
    for name, records in expected["records"].items():
        assert contains(old.items(tenant, name), records), name
    assert contains(old.box.health(tenant)["sections"], expected["sections"])
    for name, revisions in expected["history"].items():
        assert contains(old.items(tenant, f"sync/history/{name}"), revisions), name
    assert contains(old.items(tenant, "sync/log"), expected["log"])


@pytest.mark.parametrize("tenant", TENANTS)
def test_the_chain_of_the_log_is_whole(old: Opened, tenant: str) -> None:
    """The chain verifies from its start through the head that health showed when the store was written."""
    head = old.expected[tenant]["log_head"]
    said = old.box.crm("log", "verify", "--tenant", tenant, "--head", f"{head['seq']}:{head['hash']}")
    assert said.startswith(f"{tenant}: the chain of ")
    assert " entries is intact;" in said


@pytest.mark.parametrize("tenant", TENANTS)
def test_users_and_tokens_work_and_ended_ones_do_not(old: Opened, tenant: str) -> None:
    """Users sign in with their passwords; a disabled user and a revoked token stay shut out."""
    base = old.box.base(tenant)
    for email in old.expected[tenant]["users"]:
        answer = old.box.client.post(f"{base}/auth/login", json={"email": email, "password": PASSWORD})
        if email == "gone@example.com":
            problem(answer, 401, "invalid_credentials")
        else:
            assert good(answer)["access_token"]
    revoked = {"Authorization": f"Bearer {old.expected[tenant]['tokens']['revoked']}"}
    problem(old.box.client.get(f"{base}/customers", headers=revoked), 401, "unauthenticated")


@pytest.mark.parametrize("tenant", TENANTS)
def test_what_was_accepted_is_known_again(old: Opened, tenant: str) -> None:
    """A payload of that time is a duplicate, and a lower version is stale."""
    body = old.expected[tenant]["body"].encode()
    problem(old.box.push("features", raw=body, tenant=tenant), 409, "duplicate_payload")
    stale = old.box.push("features", {}, tenant=tenant, envelope={"version": 1})
    floor = old.expected[tenant]["sections"]["features"]["version"]
    assert problem(stale, 409, "stale_version")["current"] == {"features": floor}


def test_a_backup_is_restored(old: Opened) -> None:
    """A backup of that version becomes a tenant of today with all its records, and a chain that verifies."""
    old.box.crm("tenant", "restore", "restored", str(old.source / "harbour.backup"))
    headers = old.box.bearer("customers:read", "deals:read", "tasks:read", tenant="restored")
    for name, records in old.expected["harbour"]["records"].items():
        answer = old.box.client.get(f"{old.box.base('restored')}/{name}", headers=headers, params={"limit": 100})
        assert contains(good(answer)["items"], records), name
    old.box.crm("log", "verify", "--tenant", "restored")


@pytest.mark.parametrize("tenant", TENANTS)
def test_a_store_of_that_version_is_written_to(tmp_path: Path, old: Opened, tenant: str) -> None:
    """Pushes and records are written, the store folds, and doctor finds nothing wrong before and after."""
    box = Box(tmp_path / "instance")
    shutil.rmtree(box.config)
    copied(old.source, box.folder)
    box.crm("doctor", tenant)
    box.start()
    try:
        version = old.expected[tenant]["sections"]["branding"]["min_version"]
        box.applied("branding", {"title": "Today"}, tenant=tenant, envelope={"version": version})
        headers = {"Authorization": f"Bearer {old.expected[tenant]['tokens']['good']}"}
        record = old.expected[tenant]["records"]["customers"][0]
        path = f"{box.base(tenant)}/customers/{record['id']}"
        assert good(box.client.patch(path, json={"name": "Today"}, headers=headers))["revision"] > record["revision"]
        box.crm("tenant", "fold", tenant)
        box.crm("log", "verify", "--tenant", tenant)
    finally:
        assert box.stop() == 0
    box.crm("doctor", tenant)
    box.start()
    try:
        assert box.public(tenant)["branding"]["title"] == "Today"
        assert good(box.client.get(path, headers=headers))["name"] == "Today"
    finally:
        assert box.stop() == 0


@pytest.mark.parametrize("version", VERSIONS, ids=[path.name for path in VERSIONS])
@pytest.mark.parametrize("tenant", TENANTS)
async def test_secrets_and_stored_answers_are_read(tmp_path: Path, version: Path, tenant: str) -> None:
    """The sealed mail password opens, and an hour later a request with its idempotency key gets the first answer."""
    expected = json.loads((version / "expected.json").read_text())[tenant]
    once = expected["once"]
    moment = datetime.fromisoformat(once["at"]) + timedelta(hours=1)
    installation = install(copied(version, tmp_path / "instance"), os.environ)
    backend = await open_backend(installation)
    services = Services(installation, backend, Configuration(installation, lambda: moment), lambda: moment)
    try:
        section = (await services.views.of(tenant)).sections["smtp"]
        assert services.sealer.open(SEALED_FOR, section.sealed["/password"]) == SMTP["password"]
        headers = {"Authorization": f"Bearer {expected['tokens']['good']}", "Idempotency-Key": once["key"]}
        headers["Content-Type"] = "application/json"
        transport = httpx.ASGITransport(app=application(services))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            path = f"{Box.base(tenant)}/{once['path']}"
            answer = await client.post(path, content=once["body"], headers=headers)
        assert (answer.status_code, answer.headers.get("idempotent-replayed")) == (201, "true"), answer.text
        assert answer.json()["id"] == once["id"]
    finally:
        await backend.close()


@pytest.mark.parametrize("removed", [False, True])
@pytest.mark.parametrize("version", VERSIONS, ids=[path.name for path in VERSIONS])
async def test_a_backup_says_whose_tokens_it_has(tmp_path: Path, version: Path, *, removed: bool) -> None:
    """A tenant that 0.2.0 renamed, so that its log names another, has its tokens after a restore by this version."""
    expected = json.loads((version / "expected.json").read_text())["harbour"]
    moment = datetime.fromisoformat(expected["once"]["at"]) + timedelta(hours=1)
    installation = install(copied(version, tmp_path / "instance"), os.environ)
    backend = await open_backend(installation)
    services = Services(installation, backend, Configuration(installation, lambda: moment), lambda: moment)
    file = tmp_path / "west.backup"
    try:
        await backend.rename("harbour", "west")
        if removed:
            await remove(services, "west", str(file))
        else:
            await backup(services, "west", str(file))
            await backend.remove("west")
        (done,) = [item async for item in await restore(services, "west", str(file))]
        assert done["access_ended"] is False
        assert await services.tokens.caller("west", expected["tokens"]["good"])
    finally:
        await backend.close()


EARLIER: dict[str, Any] = {"email": "a@b..de", "phone": f"+{'5' * 38} ext. 1234", "name": "\u200b", "company": " A"}
"""Values that 0.2.0 stored and this version refuses, or stores in another form: it knew other patterns."""


@pytest.mark.parametrize("version", VERSIONS, ids=[path.name for path in VERSIONS])
async def test_values_that_are_refused_today_stay_readable_and_the_rest_editable(tmp_path: Path, version: Path) -> None:
    """Such values are shown, exported and may be sent again as they are, and the other members change."""
    expected = json.loads((version / "expected.json").read_text())["harbour"]
    moment = datetime.fromisoformat(expected["once"]["at"]) + timedelta(hours=1)
    installation = install(copied(version, tmp_path / "instance"), os.environ)
    backend = await open_backend(installation)
    services = Services(installation, backend, Configuration(installation, lambda: moment), lambda: moment)
    try:
        record = expected["records"]["customers"][0]["id"]
        user = await stored_values_of_before(services, record)
        transport = httpx.ASGITransport(app=application(services))
        headers = {"Authorization": f"Bearer {expected['tokens']['good']}"}
        base = f"http://127.0.0.1{Box.base('harbour')}"
        async with httpx.AsyncClient(transport=transport, base_url=base, headers=headers) as client:
            for answer in (await client.get(f"{base}/customers/{record}"), await client.get(f"{base}/customers")):
                assert all(value in answer.text for value in EARLIER.values())
            exported = await client.get(f"{base}/customers", headers={"Accept": "text/csv"})
            assert all(value in exported.text for value in EARLIER.values())
            path = f"{base}/customers/{record}"
            changed = good(await client.patch(path, json={"status": "active", **EARLIER}))
            assert {**changed, **EARLIER, "status": "active"} == changed
            assert good(await client.patch(path, json=EARLIER))["revision"] == changed["revision"]
            wrong = problem(await client.patch(path, json={"email": "a@c..de", "phone": None}), 422, "invalid_record")
            assert [error["pointer"] for error in wrong["errors"]] == ["/email"]
            problem(await client.post(f"{base}/customers", json=EARLIER), 422, "invalid_record")
            assert good(await client.patch(path, json={"email": None, "name": "Ada"}))["phone"] == EARLIER["phone"]
            assert (await client.get(f"{base}/bootstrap/public")).json()["branding"]["support"] == {"email": "a@b..de"}
        renamed = (await services.users.update("harbour", user, {"name": "Ada"}, None)).user
        assert (renamed.email, renamed.name) == (EARLIER["email"], "Ada")
        with pytest.raises(InvalidRecord):
            await services.users.update("harbour", user, {"email": "a@c..de"}, None)
        assert not (await services.views.of("harbour")).faults
    finally:
        await backend.close()


async def stored_values_of_before(services: Services, record: str) -> str:
    """Write ``EARLIER`` into a customer, a user and the branding, past all rules; return the id of the user."""
    backend, shape = services.backend, services.records.shapes["customers"]
    document = (await backend.get("harbour", shape.collection, record)).document
    assert document is not None
    stored = shape.parse(document.body)
    stamps = msgspec.structs.replace(stored.stamps, revision=document.revision + 1)
    customer = shape.restamped(msgspec.structs.replace(stored, writable=stored.writable | EARLIER), stamps)
    user = await services.users.by_email("harbour", "grace@example.com")
    assert user is not None
    branding = (await services.views.of("harbour")).sections["branding"]
    data = {**branding.data, "support": {"email": EARLIER["email"]}}
    puts = (
        customer,
        msgspec.structs.replace(user.user, email=EARLIER["email"]).put(),
        msgspec.structs.replace(branding, data=data).put(),
    )
    assert isinstance(await backend.commit("harbour", Unit(now=0, puts=puts, revises=True)), Committed)
    return user.user.id
