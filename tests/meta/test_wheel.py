"""The wheel and the source archive contain what they should and no stray files."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ["crm_core", "plugins", "config", "docs", "tests", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archives, made from a copy of the project with a tenant and a secret in it."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, copy / part, ignore=ignore)
        else:
            shutil.copy(ROOT / part, copy / part)
    (copy / "tenants/northwind").mkdir(parents=True)
    (copy / "tenants/northwind/journal").write_text("data of a tenant")
    (copy / ".env").write_text("CRM_SECRET_KEY=x")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_the_wheel_has_the_packages_and_all_they_read(built: Path) -> None:
    """Each file of the packages that is no cache: code, templates, static files, examples, types."""
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        str(path.relative_to(base))
        for base in (ROOT, ROOT / "plugins")
        for package in base.glob("crm_*")
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and ".egg-info" not in str(path)
    }
    assert wanted - names == set()
    assert {name for name in names if "dist-info" not in name} - wanted == set()


def test_no_archive_contains_a_tenant_or_a_secret(built: Path) -> None:
    """Nor tests in the wheel."""
    (wheel,), (source,) = built.glob("*.whl"), built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = [*zipfile.ZipFile(wheel).namelist(), *archive.getnames()]
    assert [name for name in names if "northwind/" in name or name.endswith(".env")] == []
    assert [name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("tests")] == []


def test_the_wheel_brings_the_command_and_its_plugins(built: Path) -> None:
    """By entry points, the road a third party takes."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [one for one in archive.namelist() if one.endswith("entry_points.txt")]
        points = archive.read(name).decode()
    assert "crm = crm_core.cli.main:main" in points
    assert "features = crm_features.hooks" in points
