from __future__ import annotations

import tomllib
from pathlib import Path

from crm_core.plugin import specs
from crm_core.plugin.host import PluginHost
from crm_core.plugin.registry import build_registry

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = sorted(path.parent.name for path in (ROOT / "plugins").glob("crm_*/__init__.py"))


def test_each_built_in_plugin_has_one_line_of_its_own() -> None:
    """Every folder in plugins/ arrives through an entry point, the road a third party takes, and is checked like it."""
    points = PROJECT["project"]["entry-points"]["crm"]
    assert sorted(points.values()) == [f"{name}.hooks" for name in FOLDERS]
    assert set(FOLDERS) < set(PROJECT["tool"]["mypy"]["packages"])
    assert set(FOLDERS) < set(PROJECT["tool"]["importlinter"]["root_packages"])


def test_the_built_in_plugins_load_together() -> None:
    """None is broken, and no two want one name or header."""
    host = PluginHost()
    host.load_entry_points()
    assert [plugin.name for plugin in host.broken] == []
    registry = build_registry(host)
    assert {"branding", "combined", "features", "smtp", "workspace"} <= set(registry.payload_types)
    assert {"crm-sync-v1", "rfc9421", "standard-webhooks"} <= set(registry.schemes)
    assert "tinydb" in registry.backends


def test_hooks_files_hold_hooks_only() -> None:
    """A hooks.py is short enough to be read at a glance."""
    long = [name for name in FOLDERS if len((ROOT / "plugins" / name / "hooks.py").read_text().splitlines()) > 40]
    assert long == []


def test_the_core_names_no_plugin() -> None:
    """No module of the core spells the name of a plugin's package; a hook may share its name with one."""
    names = [name for name in FOLDERS if not hasattr(specs, name)]
    naming = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "crm_core").rglob("*.py")
        if any(name in path.read_text() for name in names)
    ]
    assert naming == []
