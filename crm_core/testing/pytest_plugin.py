"""The pytest plugin of crm-core: fixtures for tests of plugins. It imports what a fixture needs when one is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from crm_core.testing.instance import RunningInstance


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Run the async tests and fixtures of a plugin's project without marks, unless its configuration sets a mode."""
    project, ini = config.rootpath / "pyproject.toml", config.inipath
    if getattr(config.option, "asyncio_mode", "no pytest-asyncio") is None and ini is not None and project.exists():
        is_plugin = "[project.entry-points.crm]" in project.read_text(encoding="utf-8")
        if is_plugin and "asyncio_mode" not in ini.read_text(encoding="utf-8"):
            config.option.asyncio_mode = "auto"


@pytest.fixture(scope="module")
def crm_plugins(pytestconfig: pytest.Config) -> list[str]:
    """The modules with hooks that ``crm_instance`` loads although they are not installed; override it for lone files.

    These are the entry points in the group ``crm`` of the project's pyproject.toml, without those that are installed.
    """
    import tomllib
    from importlib.metadata import entry_points

    project = pytestconfig.rootpath / "pyproject.toml"
    named = tomllib.loads(project.read_text()) if project.exists() else {}
    points = named.get("project", {}).get("entry-points", {}).get("crm", {})
    installed = {point.value for point in entry_points(group="crm")}
    return sorted(set(points.values()) - installed)


@pytest.fixture(scope="module")
def crm_settings() -> dict[str, Any]:
    """Members over those of the instance.yaml of ``crm_instance``, such as the options of a payload type."""
    return {}


@pytest.fixture(scope="module")
def crm_instance(
    crm_plugins: list[str], crm_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningInstance]:
    """A running instance with the plugins under test, one for each test module."""
    from crm_core.testing.instance import RunningInstance

    instance = RunningInstance(tmp_path_factory.mktemp("crm"), plugins=crm_plugins, settings=crm_settings)
    try:
        instance.start()
        yield instance
    finally:
        instance.stop()
