from __future__ import annotations

import ast
import re
from pathlib import Path

import msgspec
import pytest

from crm_core.plugin.host import PluginHost
from crm_core.plugin.registry import Registry, build_registry
from crm_core.settings.check import check
from crm_core.settings.examples import FOLDER
from crm_core.settings.installation import option_types
from crm_core.settings.sync import SyncSettings
from doc_pages import ROOT, blocks, page, section

PAGE = page("docs/configuration.md")
READERS = {
    "instance.yaml": "instance",
    "keys.yaml": "roster",
    "modules.yaml": "catalog",
    "roles.yaml": "roles",
    "instances.yaml": "instances",
}
ENVIRON = {
    name: f"{name} is a secret of more than 32 bytes"
    for name in ("CRM_SECRET_KEY", "CRM_SECRET_KEY_OLD", "DATABASE_URL", "NORTHWIND_SYNC_KEY_2")
}
_ROW = re.compile(r"^\| `([^`]+)` \| (.*?) \|", re.MULTILINE)
_BUILT_IN_ONLY = {"core_keys"}  # is in the built-in roles, which are data of the core


@pytest.fixture
def registry() -> Registry:
    host = PluginHost()
    host.load_entry_points()
    return build_registry(host)


def _rows(file: str) -> dict[str, str]:
    """Setting and default of each row of a file's table."""
    return dict(_ROW.findall(section(PAGE, file)))


def _asked(module: str) -> set[str]:
    """Every member that a file's reader requests by ``members.get``, ``required`` and ``find``."""
    tree = ast.parse((ROOT / f"crm_core/settings/{module}.py").read_text())
    return {
        call.args[0].value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in ("get", "required", "find")
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }


@pytest.mark.parametrize(("file", "module"), READERS.items())
def test_every_setting_that_is_read_is_in_the_table(file: str, module: str, registry: Registry) -> None:
    """A file's table names exactly the members that its reader, and for instance.yaml the plugins, request."""
    last = {name.rpartition(".")[2] for name in _rows(file)}
    wanted = _asked(module) - _BUILT_IN_ONLY
    if file == "instance.yaml":
        by_members = {"sync", "records", "storage", "plugins"}  # as are the plugins' own
        assert by_members <= wanted
        wanted = (wanted | _asked("records") | _asked("sync")) - by_members
        for name, options in option_types(registry).items():
            shown = {setting.partition(".")[2] for setting in _rows(file) if setting.startswith(f"{name}.")}
            assert shown == {option.encode_name for option in msgspec.structs.fields(options)}
            last -= shown
        last -= {"max_open", "dsn", "pool"}  # the backends' own; their tests check them
    if file == "modules.yaml":
        wanted.discard("sync_policy")  # reported by its members
    assert last == wanted


def test_defaults_of_sync_are_those_of_the_code() -> None:
    """The table shows the value of each setting of sync that the file leaves out."""
    rows = _rows("instance.yaml")
    for setting in msgspec.structs.fields(SyncSettings):
        reported = rows[f"sync.{setting.name}"]
        assert reported in (f"`{str(setting.default).lower()}`", "as `sync.skew_seconds`")


@pytest.mark.parametrize("file", READERS)
def test_the_examples_load_and_use_every_setting(file: str, registry: Registry, tmp_path: Path) -> None:
    """Each file's example is accepted as it is, and no setting of the table is missing in it."""
    folder = tmp_path / "config"
    folder.mkdir()
    for name in READERS:
        (example,) = [block for block in blocks("docs/configuration.md", "yaml") if block.text in section(PAGE, name)]
        if name == file:
            missing = [row for row in _rows(file) if f"{row.rpartition('.')[2]}:" not in example.text]
            assert missing == []
        if (name == "instances.yaml") == (file == "instances.yaml"):
            (folder / name).write_text(example.text)
    (folder / "plugins").mkdir()
    reported = check(
        folder,
        sections=registry.sections,
        schemes=registry.schemes,
        record_types=registry.record_types.values(),
        options=option_types(registry),
        environ=ENVIRON,
        backends=registry.backends,
    )
    assert reported == []


def test_the_commented_examples_name_every_setting() -> None:
    """What ``crm init`` writes shows each setting once, if only in a comment; config/ has the very same files."""
    for file in READERS:
        text = (FOLDER / file).read_text()
        names = [name for name in _rows(file) if name != "storage.max_open"]
        silent = [name for name in names if not re.search(rf"\b{re.escape(name.rpartition('.')[2])}\b", text)]
        assert silent == []
        assert (ROOT / "config" / file).read_text() == text
