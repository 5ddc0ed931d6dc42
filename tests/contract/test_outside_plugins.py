"""A payload type with a secret that lives outside the project: a package's, and a lone file's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contract.box import BRANDING, Box, good, pointers, problem
from contract.conftest import Boxes
from doc_plugins import BACKEND, files, installed_package

KEY = "not-a-real-key"
TELEPHONY: dict[str, Any] = {"provider": "acme", "account": "northwind", "api_key": KEY}
MERGE = {"strategy": "merge"}


@pytest.fixture(scope="module", params=["package", "lone file"])
def box(request: pytest.FixtureRequest, boxes: Boxes, tmp_path_factory: pytest.TempPathFactory) -> Box:
    """An instance that has telephony from outside."""
    if request.param == "package":
        site = installed_package(tmp_path_factory.mktemp("package"))
        return boxes(environ={"PYTHONPATH": str(site)})
    return boxes(settings={"plugins": {"folders": ["lone"]}}, files={"lone/telephony.py": files()["telephony.py"]})


def test_it_is_pushed_previewed_and_merged_like_any_other(box: Box) -> None:
    """Nothing of the core knows the type, and everything that it does for types it does for this one."""
    box.applied("telephony", TELEPHONY)
    previewed = box.applied("telephony", {"caller_id": "+49301234567"}, envelope={**MERGE, "mode": "preview"})
    assert [change["pointer"] for change in previewed["changes"]] == ["/telephony/caller_id"]
    reported = box.applied("telephony", {"caller_id": "+49301234567"}, envelope=MERGE)
    assert [change["pointer"] for change in reported["changes"]] == ["/telephony/caller_id"]
    assert box.bootstrap()["telephony"] == {**TELEPHONY, "caller_id": "+49301234567", "api_key": {"set": True}}
    assert "telephony" not in box.public()


def test_its_secret_is_sealed_bound_and_shown_nowhere(box: Box) -> None:
    """The core keeps the secret: no answer, log, health or file has it, and it never follows to another account."""
    reported = box.applied("telephony", TELEPHONY)
    entry = box.entry(reported["request_id"])
    assert entry["payload_sha256"] is None
    moved = problem(box.push("telephony", {"account": "other"}, envelope=MERGE), 422, "api_key_required")
    assert pointers(moved) == {"/data/api_key"}
    seen = [reported, entry, moved, box.health(), box.bootstrap(), good(box.get("sync/history/telephony"))]
    assert KEY not in str(seen)
    assert KEY not in box.log_text()
    stored = [path for path in (box.folder / "tenants").rglob("*") if path.is_file()]
    assert stored
    assert not any(KEY.encode() in path.read_bytes() for path in stored)


def test_its_mistakes_are_reported_with_their_places(box: Box) -> None:
    """Types, formats and the type's own findings, all together."""
    wrong = {"provider": "other", "caller_id": "030", "extra": 1}
    reported = problem(box.push("telephony", wrong), 422, "invalid_payload")
    assert pointers(reported) == {"/data/provider", "/data/caller_id", "/data/extra"}
    alone = problem(box.push("telephony", {"api_key": KEY}), 422, "invalid_payload")
    assert pointers(alone) == {"/data/provider"}


def test_it_takes_part_in_combined_health_history_and_openapi(box: Box) -> None:
    """It is listed among the payload types and among the sections."""
    reported = box.applied("combined", {"telephony": TELEPHONY, "branding": BRANDING})
    assert {change["pointer"].split("/")[1] for change in reported["changes"]} >= {"branding"}
    health = box.health()
    assert "telephony" in health["payload_types"]
    assert health["sections"]["telephony"]["version"] == reported["version"]
    assert good(box.get("sync/history/telephony"))["items"][0]["request_id"] == reported["request_id"]
    document = good(box.client.get("/openapi.json"))
    assert "api_key" in str(document)
    plugins = {one["name"]: one for one in good(box.client.get("/-/plugins"))}
    brought = [one for one in plugins.values() if "telephony" in one["brings"]]
    assert [one["state"] for one in brought] == ["active"]


def test_an_instance_runs_on_a_backend_from_outside(boxes: Boxes) -> None:
    """Pushes, replays, records, the chain, backups and a restart work on the example backend as on any other."""
    box = boxes(
        settings={"plugins": {"folders": ["lone"]}, "storage": {"backend": "sqlite"}},
        files={"lone/sqlite_storage.py": BACKEND.read_text()},
    )
    raw = box.body("branding", BRANDING)
    headers = box.sign("branding", raw)
    good(box.client.post(f"{box.base()}/sync/branding", content=raw, headers=headers))
    problem(box.client.post(f"{box.base()}/sync/branding", content=raw, headers=headers), 409, "replayed_nonce")
    writer = box.bearer("customers:read", "customers:write")
    made = box.client.post(f"{box.base()}/customers", json={"name": "Ada"}, headers=writer)
    assert made.status_code == 201
    assert box.stop() == 0
    box.start()
    assert box.public()["branding"]["title"] == BRANDING["title"]
    listed = good(box.client.get(f"{box.base()}/customers?q=ad&total=true", headers=writer))
    assert (listed["total"], listed["items"][0]["name"]) == (1, "Ada")
    assert "the chain of 1 entries is intact" in box.crm("log", "verify", "--tenant", "northwind")
    copy = box.folder / "copy"
    box.crm("tenant", "backup", "northwind", str(copy))
    box.crm("tenant", "restore", "southwind", str(copy))
    assert "southwind" in box.crm("tenant", "list")


def test_a_backend_that_cannot_be_opened_names_its_plugin(tmp_path: Path) -> None:
    """No command ends with a traceback, and none shows the words of the error: they may contain a password."""
    refuses = """

class Refuses(SQLiteBackend):
    NAME = "refuses"

    async def open(self, context: StorageContext) -> None:
        raise KeyError(context.options["password"])


@hookimpl(specname="crm_register_storage_backends")
def another() -> list[type[StorageBackend]]:
    return [Refuses]
"""
    settings = {"plugins": {"folders": ["lone"]}, "storage": {"backend": "refuses", "password": "seven sails"}}
    box = Box(tmp_path / "home", settings=settings, files={"lone/own.py": BACKEND.read_text() + refuses})
    for words in (("tenant", "create", "northwind"), ("serve",)):
        reported = box.crm(*words, code=1)
        assert "the plugin own failed when its store was opened: KeyError at crm_folder_plugin_own:" in reported
        assert "seven sails" not in reported
