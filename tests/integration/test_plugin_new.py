"""``crm plugin new`` and what crm_core.testing gives to plugins. The test of the tutorial makes a payload type."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from crm_core.cli.plugin import command
from doc_pages import environment

PLUGIN = "crm_core.testing.pytest_plugin"


def new(kind: str, name: str) -> Result:
    return CliRunner().invoke(command, ["new", kind, name])


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("kind", "name"), [("record-type", "site-visits"), ("scheme", "house_mac")])
def test_a_new_plugin_passes_its_tests_uninstalled(
    kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder has the conformance suite of its kind, and a test in a running instance that loads it from there."""
    monkeypatch.chdir(tmp_path)
    assert new(kind, name).exit_code == 0
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", PLUGIN],
        cwd=tmp_path / name,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("payload-type", "branding", "crm_branding has a payload type branding already"),
        ("record-type", "users", "the core uses the name users itself"),
        ("scheme", "json", "Python finds a module json already"),
        ("scheme", "here", "here exists"),
        ("scheme", "Mine", "NAME must be 1 to 64 of a-z"),
        ("scheme", "class", "not be a Python keyword"),
        ("scheme", "mac-", "not end with - or _"),
        ("record-type", "true", "a class named after true would be a Python keyword; choose another name"),
        ("record-type", "nones", "a class named after nones would be a Python keyword"),
        ("payload-type", "false", "such as my-false"),
        ("record-type", "record", "two things the name RecordType; choose another name, such as my-record"),
        ("record-type", "lines", "two things the name Line;"),
        ("record-type", "structs", "two things the name Struct;"),
        ("payload-type", "payload", "two things the name PayloadType;"),
        ("payload-type", "api-key", "two things the name ApiKey;"),
        ("scheme", "signature", "two things the name SignatureScheme;"),
        ("scheme", "tests", "pytest or pip uses the name tests; choose another name, such as my-tests"),
        ("record-type", "conftest", "pytest or pip uses the name conftest"),
        ("record-type", "test-runs", "such as my-test-runs"),
        ("scheme", "msgspec", "Python finds a module msgspec already"),
        ("scheme", "crm-core", "Python finds a module crm_core already"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(
    kind: str, name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is written, and with the reason."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    done = new(kind, name)
    assert done.exit_code != 0
    assert said in f"{done.output} {done.exception}"
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("record-type", "section"),
        ("record-type", "my-true"),
        ("record-type", "my-lines"),
        ("payload-type", "record"),
        ("scheme", "true"),
    ],
)
def test_a_package_brings_one_item_with_its_name(
    kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the name is that of something else in another kind, and where a refusal suggested it."""
    monkeypatch.chdir(tmp_path)
    assert new(kind, name).exit_code == 0
    code = (
        f"from {name.replace('-', '_')} import hooks; "
        "((item,),) = [hook() for name, hook in vars(hooks).items() if name.startswith('crm_register_')]; "
        "print(item.NAME)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / name, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == name


@pytest.mark.parametrize(("mode", "passes"), [("", True), ('asyncio_mode = "strict"', False)])
def test_async_tests_of_a_plugin_need_no_marks(tmp_path: Path, mode: str, passes: bool) -> None:
    """In a project with entry points of the group they run as they are, unless its configuration says otherwise."""
    (tmp_path / "pyproject.toml").write_text(f"[tool.pytest.ini_options]\n{mode}\n[project.entry-points.crm]\n")
    fixture = "import pytest\n@pytest.fixture\nasync def one():\n    return 1\n"
    (tmp_path / "test_one.py").write_text(f"{fixture}async def test_one(one):\n    assert one == 1\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", PLUGIN]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is passes, done.stdout[-2000:]


def test_the_pytest_plugin_costs_nothing_where_it_is_not_used() -> None:
    """Loading it imports nothing of the product but itself."""
    code = (
        "import sys, pytest; before = set(sys.modules); import crm_core.testing.pytest_plugin; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"crm_core", "crm_core.testing", PLUGIN, "pkgutil"}
