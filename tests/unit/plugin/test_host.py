from __future__ import annotations

import os
import sys
from importlib.metadata import EntryPoint, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crm_core.errors import PluginFailed
from crm_core.plugin import hookimpl
from crm_core.plugin.host import Plugin, PluginHost


@hookimpl
def crm_register_record_types() -> list[str]:
    return ["visits"]


@hookimpl
def crm_register_record_typs() -> list[str]:
    return []


def plugin(**hooks: Any) -> SimpleNamespace:
    """A plugin with these functions."""
    return SimpleNamespace(**hooks)


def reported(host: PluginHost) -> Plugin:
    """The one plugin of a host."""
    (only,) = host.plugins
    return only


def test_an_installed_plugin_arrives_through_its_entry_point() -> None:
    """The group ``crm`` is read, the plugin is named for its package and what it brings can be asked for."""
    host = PluginHost()
    host.load_entry_points()
    native = next(plugin for plugin in host.plugins if plugin.name == "crm_sync_v1")
    assert (native.state, native.version) == ("active", version("crm-core"))
    found = [scheme.NAME for name, scheme in host.call("crm_register_signature_schemes", list) if name == native.name]
    assert found == ["crm-sync-v1"]


def test_a_lone_file_walks_the_same_road(tmp_path: Path) -> None:
    """A .py file in a folder registers like an installed package."""
    (tmp_path / "visits.py").write_text(
        "from crm_core.plugin import hookimpl\n@hookimpl\ndef crm_register_record_types():\n    return ['visits']\n"
    )
    host = PluginHost()
    host.load_folder(tmp_path)
    assert reported(host).state == "active"
    assert list(host.call("crm_register_record_types", list)) == [("visits", "visits")]


def test_a_lone_file_is_loaded_as_it_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit that leaves size and time of a file as they were is in effect at the next start."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = tmp_path / "visits.py"
    for word in ("visits", "orders"):
        path.write_text(
            f"from crm_core.plugin import hookimpl\n@hookimpl\ndef crm_register_record_types():\n return ['{word}']\n"
        )
        os.utime(path, (1_800_000_000, 1_800_000_000))
        host = PluginHost()
        host.load_folder(tmp_path)
        assert [each for _, each in host.call("crm_register_record_types", list)] == [word]


def test_tests_next_to_a_lone_file_are_no_plugins(tmp_path: Path) -> None:
    """A plugin's own tests in its folder are not imported; they would stop the start as plugins without hooks."""
    for name in ("test_visits.py", "conftest.py"):
        (tmp_path / name).write_text("raise RuntimeError")
    (tmp_path / "testing.py").write_text(
        "from crm_core.plugin import hookimpl\n@hookimpl\ndef crm_register_record_types():\n    return []\n"
    )
    host = PluginHost()
    host.load_folder(tmp_path)
    assert [(one.name, one.state) for one in host.plugins] == [("testing", "active")]


def test_a_plugin_that_raises_at_import_is_named_and_stops_no_other(tmp_path: Path) -> None:
    """Its error is recorded for the operator; the next plugin loads."""
    (tmp_path / "a_bad.py").write_text("raise RuntimeError('no licence')")
    (tmp_path / "b_good.py").write_text(
        "from crm_core.plugin import hookimpl\n@hookimpl\ndef crm_register_record_types():\n    return []\n"
    )
    host = PluginHost()
    host.load_folder(tmp_path)
    host.load_entry_points([EntryPoint("gone", "crm_gone.hooks", "crm")])
    assert [(one.name, one.state) for one in host.plugins] == [
        ("a_bad", "broken"),
        ("b_good", "active"),
        ("crm_gone", "broken"),
    ]
    assert [one.error for one in host.broken] == [
        "importing it raised RuntimeError: no licence (crm_folder_plugin_a_bad:1).",
        "importing it raised ModuleNotFoundError: No module named 'crm_gone'.",
    ]


def test_a_type_that_does_not_fit_is_broken_at_the_line_of_its_class(tmp_path: Path) -> None:
    """The core raises it while the class is made, below frames of the standard library."""
    (tmp_path / "boats.py").write_text(
        "from crm_core.plugin.record_type import RecordType\n"
        "class Boats(RecordType):\n    RECORD = str\n    NAME = TITLE = SINGULAR = 'boats'\n"
    )
    host = PluginHost()
    host.load_folder(tmp_path)
    (broken,) = host.broken
    assert broken.error.endswith("(crm_folder_plugin_boats:2).")


def test_a_misspelt_hook_is_reported_with_the_name_that_was_meant() -> None:
    """A marked function without a hook of its name breaks the plugin instead of staying silent."""
    host = PluginHost()
    host.register(plugin(crm_register_record_typs=crm_register_record_typs), "typo")
    assert reported(host).error == "there is no hook crm_register_record_typs; did you mean crm_register_record_types?"
    assert not list(host.call("crm_register_record_types", list))


def test_an_async_hook_is_refused() -> None:
    """A hook that would return an unawaited coroutine never registers."""

    @hookimpl
    async def asynchronous() -> list[str]:
        return []

    host = PluginHost()
    host.register(plugin(crm_register_record_types=asynchronous), "later")
    assert "is async" in (reported(host).error or "")


def test_wrong_arguments_are_refused() -> None:
    """A hook with an argument that the page does not list is named."""

    @hookimpl
    def crm_module_policy(modules: object) -> list[str]:
        return [str(modules)]

    host = PluginHost()
    host.register(plugin(crm_module_policy=crm_module_policy), "curious")
    assert reported(host).error == "crm_module_policy has no argument modules; it has named, context."


def test_a_plugin_without_hooks_says_what_is_missing() -> None:
    """Forgetting the marker is reported, not passed over."""
    host = PluginHost()
    host.register(plugin(), "empty")
    assert "hookimpl" in (reported(host).error or "")


def test_two_plugins_of_one_name_break_it() -> None:
    """Which of the two was meant cannot be known."""
    host = PluginHost()
    for _ in range(2):
        host.register(plugin(crm_register_record_types=crm_register_record_types), "visits")
    assert "another plugin has this name" in (reported(host).error or "")


def test_of_two_plugins_of_one_name_the_first_is_located(tmp_path: Path) -> None:
    """An admin finds both; disabling the name would disable both."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        text = "from crm_core.plugin import hookimpl\n@hookimpl\ndef crm_validate_payload():\n    return []\n"
        (tmp_path / folder / "rules.py").write_text(text)
    host = PluginHost()
    host.load_folder(tmp_path / "one")
    host.load_folder(tmp_path / "two")
    assert f"another plugin has this name: {tmp_path / 'one/rules.py'};" in (reported(host).error or "")


def test_a_plugin_is_named_while_it_is_imported(tmp_path: Path) -> None:
    """One that waits for ever in its import would stop the start without a word."""
    host, seen = PluginHost(), list[str]()

    def load() -> SimpleNamespace:
        seen.extend(map(str, host.door.running.values()))
        return plugin()

    point = SimpleNamespace(value="slow.hooks", dist=None, load=load)
    host.load_entry_points([point])  # type: ignore[list-item]
    assert "plugin='slow', hook='import'" in seen[0]
    assert not host.door.running


def test_a_disabled_plugin_is_listed_and_not_imported(tmp_path: Path) -> None:
    """Naming a broken plugin under plugins.disabled lets the server start without it."""
    (tmp_path / "bad.py").write_text("raise RuntimeError")
    host = PluginHost(disabled=["bad"])
    host.load_folder(tmp_path)
    assert reported(host) == Plugin("bad", "", "disabled")


def test_a_hook_that_raises_names_its_plugin() -> None:
    """The caller learns which plugin failed; the cause is chained for the log and is not in the sentence."""

    @hookimpl
    def crm_register_record_types() -> list[str]:
        raise ValueError("secret detail")

    host = PluginHost()
    host.register(plugin(crm_register_record_types=crm_register_record_types), "raiser")
    with pytest.raises(PluginFailed) as caught:
        list(host.call("crm_register_record_types", list))
    assert caught.value.evidence == {"plugin": "raiser", "hook": "crm_register_record_types"}
    assert "secret detail" not in caught.value.detail
