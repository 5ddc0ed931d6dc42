from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import crm_core
from crm_core.plugin import specs
from crm_core.plugin.host import PluginHost
from crm_core.plugin.registry import build_registry

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONSTRAINTS = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
FOLDERS = sorted(path.parent.name for path in (ROOT / "plugins").glob("crm_*/__init__.py"))


def test_each_built_in_plugin_has_its_own_line() -> None:
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


def test_hooks_files_have_hooks_only() -> None:
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


def test_the_version_is_one() -> None:
    """What ``crm --version`` and the OpenAPI document say is what is packaged, and the changelog has it."""
    version = PROJECT["project"]["version"]
    assert crm_core.__version__ == version
    assert f"\n## {version} - " in (ROOT / "CHANGELOG.md").read_text()


def required() -> dict[str, Requirement]:
    """What pyproject.toml requires, with all extras, by name."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    lines = [*PROJECT["project"]["dependencies"], *(line for lines in extras for line in lines)]
    found = {canonicalize_name(one.name): one for one in map(Requirement, lines)}
    del found[canonicalize_name(PROJECT["project"]["name"])]
    return dict(found)


def test_constraints_are_exact_versions_and_nothing_else() -> None:
    """No index, folder or option: the file says the same on every machine."""
    assert [line for line in CONSTRAINTS if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)] == []


def test_each_dependency_is_constrained_within_its_range() -> None:
    """``make setup`` installs one known release of each; after a change, ``make constraints`` writes them again."""
    pinned = {canonicalize_name(name): version for name, version in (line.split("==") for line in CONSTRAINTS)}
    assert sorted(set(required()) - set(pinned)) == []
    assert [name for name, one in required().items() if pinned[name] not in one.specifier] == []


@pytest.mark.parametrize("name", ["aiohttp", "httptools", "quart", "tinydb", "uvicorn"])
def test_a_library_whose_internals_we_use_ends_before_its_next_minor(name: str) -> None:
    """Private members may go in any minor release, so one is used only after ``test_internals`` passed with it."""
    (pinned,) = [line.split("==")[1] for line in CONSTRAINTS if canonicalize_name(line.split("==")[0]) == name]
    major, minor = Version(pinned).release[:2]
    assert f"{major}.{minor + 1}" not in required()[name].specifier
    assert f"{major + 1}.0" not in required()[name].specifier
