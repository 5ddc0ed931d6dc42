"""A payload type of someone else's: from its own package, and from a lone file; no file of the core changes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from contract.box import Box, good, pointers, problem, warned

LONE = '''
"""Where a tenant's phone calls go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

from crm_core.errors import Finding
from crm_core.plugin import hookimpl
from crm_core.plugin.payload import PayloadContext, PayloadType, secret

__version__ = "3.1"


class Line(msgspec.Struct, forbid_unknown_fields=True):
    number: Annotated[str, msgspec.Meta(max_length=40)]
    pin: Annotated[str, secret(bound_to=("number",))] | msgspec.UnsetType = msgspec.UNSET


class Section(msgspec.Struct, forbid_unknown_fields=True):
    provider: Annotated[str, msgspec.Meta(max_length=200)] | msgspec.UnsetType = msgspec.UNSET
    api_key: Annotated[str, secret(bound_to=("provider",))] | msgspec.UnsetType = msgspec.UNSET
    line: Line | msgspec.UnsetType = msgspec.UNSET


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    providers: tuple[str, ...] = ("ringo",)


class Telephony(PayloadType):
    NAME = "telephony"
    SECTION = Section
    SHOWN = "members"
    OPTIONS = Options

    def validate(self, part: Section, context: PayloadContext) -> Iterable[Finding]:
        if part.provider is not msgspec.UNSET and part.provider not in (context.options or Options()).providers:
            yield Finding("/provider", "unknown_provider", "Name a provider that is configured here.")


@hookimpl
def crm_register_payload_types() -> list[PayloadType]:
    return [Telephony()]


@hookimpl
def crm_validate_payload(section: str, part: dict[str, object]) -> Iterable[Finding]:
    if section == "telephony" and "provider" not in part:
        yield Finding("/provider", "no_provider", "Calls go nowhere without one.", warning=True)
'''
PROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
[project]
name = "crm-telephony"
version = "3.1"
[project.entry-points.crm]
telephony = "crm_telephony.hooks"
[tool.setuptools]
packages = ["crm_telephony"]
"""
API_KEY, PIN = "Secret-Key-Of-Ringo-77", "Pin-4711-Secret"
DATA = {"provider": "ringo", "api_key": API_KEY, "line": {"number": "+49 30 1", "pin": PIN}}
MERGE = {"strategy": "merge"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the wheel of the package."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    (source / "crm_telephony").mkdir()
    (source / "crm_telephony/__init__.py").write_text("")
    (source / "crm_telephony/hooks.py").write_text(LONE)
    (source / "pyproject.toml").write_text(PROJECT)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(source / "dist"), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (source / "dist").glob("*.whl")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(target)]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    return target


@pytest.fixture(scope="module", params=["package", "lone file"])
def box(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, installed: Path) -> Any:
    """An instance that has the payload type by one road or the other."""
    folder = tmp_path_factory.mktemp("box") / "instance"
    if request.param == "package":
        box = Box(folder, environ={"PYTHONPATH": str(installed)})
    else:
        box = Box(folder, settings={"plugins": {"folders": ["lone"]}}, files={"lone/telephony_file.py": LONE})
    box.create_tenants().start()
    yield box
    box.stop()


def test_it_is_pushed_previewed_and_merged(box: Box) -> None:
    """With its secrets sealed, retained while they go to the same place, and required again if not."""
    reported = box.applied("telephony", DATA)
    changes = {change["pointer"]: change["to"] for change in reported["changes"]}
    assert changes == {
        "/telephony/provider": "ringo",
        "/telephony/api_key": {"set": True},
        "/telephony/line/number": "+49 30 1",
        "/telephony/line/pin": {"set": True},
    }
    preview = box.applied("telephony", {}, envelope={"mode": "preview"})
    assert {change["to"] for change in preview["changes"]} == {None}
    assert list(warned(preview)) == ["no_provider"]
    assert box.applied("telephony", {"line": {"number": "+49 30 1"}}, envelope=MERGE)["changes"] == []
    reported = problem(box.push("telephony", {"line": {"number": "+49 30 2"}}, envelope=MERGE), 422, "pin_required")
    assert pointers(reported) == {"/data/line/pin"}
    reported = problem(box.push("telephony", {"provider": "other", "x": 1}), 422, "invalid_payload")
    assert {error["code"] for error in reported["errors"]} == {"unknown_provider", "unknown_member"}


def test_health_documents_log_and_pages_know_it(box: Box) -> None:
    """All find it in the registry."""
    request = box.applied("telephony", DATA)["request_id"]
    health = box.health()
    assert "telephony" in health["payload_types"]
    assert health["sections"]["telephony"]["request_id"] == request
    document = box.client.get("/openapi.json").text
    assert '"telephony"' in document
    assert "api_key" in document
    entry = box.entry(request)
    assert (entry["payload_type"], entry["payload_sha256"], entry["status"]) == ("telephony", None, "applied")
    assert good(box.get("sync/log", payload_type="telephony"))["items"]
    shown = box.bootstrap()["telephony"]
    assert shown == {**DATA, "api_key": {"set": True}, "line": {"number": "+49 30 1", "pin": {"set": True}}}
    assert "telephony" not in box.public()
    plugins = {one["name"]: one for one in good(box.client.get("/-/plugins"))}
    (mine,) = [one for name, one in plugins.items() if "telephony" in name]
    assert (mine["version"], mine["state"], mine["error"]) == ("3.1", "active", None)
    history = good(box.get("sync/history/telephony"))["items"]
    assert history[0]["section"] == "telephony"


def test_combined_carries_it_without_being_known_to_it(box: Box) -> None:
    """All or nothing, with the pointers of the body."""
    box.applied("combined", {"telephony": DATA, "branding": {"title": "T"}})
    bad = {"telephony": {"provider": "other"}, "branding": {"title": "U"}}
    reported = problem(box.push("combined", bad), 422, "invalid_payload")
    assert pointers(reported) == {"/data/telephony/provider"}
    assert box.public()["branding"]["title"] == "T"


def test_its_secrets_are_seen_nowhere(box: Box) -> None:
    """Not in answers, files or logs."""
    answers = [box.push("telephony", DATA), box.push("telephony", {**DATA, "line": {"pin": PIN}})]
    answers += [box.get(path) for path in ("bootstrap", "sync/log", "sync/health", "sync/history/telephony")]
    texts = [answer.content for answer in answers]
    texts += [path.read_bytes() for path in box.folder.joinpath("tenants").rglob("*") if path.is_file()]
    texts.append(box.log_text().encode())
    assert not [text for text in texts if API_KEY.encode() in text or PIN.encode() in text]


def test_a_key_may_be_narrowed_to_it_and_its_options_are_in_the_settings(installed: Path, tmp_path: Path) -> None:
    """The roster and instance.yaml know the type by its name."""
    environ = {"PYTHONPATH": str(installed)}
    box = Box(tmp_path / "instance", environ=environ, settings={"telephony": {"providers": ["other"]}})
    box.roster["northwind"]["keys"][0]["types"] = ["telephony"]
    box.write_roster()
    for words in (["tenant", "create", "northwind"], ["config", "check"], ["plugins"]):
        command = [Path(sys.executable).parent / "crm", *words, "--config", box.config]
        done = subprocess.run(command, env=box.environ, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert "crm_telephony 3.1  active" in done.stdout
    box.start()
    try:
        box.applied("telephony", {"provider": "other"})
        problem(box.push("telephony", {"provider": "ringo"}), 422, "invalid_payload")
        problem(box.push("branding", {}), 403, "type_not_allowed")
    finally:
        box.stop()
