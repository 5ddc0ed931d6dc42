from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from crm_core.cli.main import crm
from crm_core.settings.instances import load_instances

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "docs" / "deploy"
UNITS = ["crm@.service", "crm-processes@.service", "crm-manager.service"]


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.system("systemd-analyze")
def test_units_are_well_formed_and_hardened(name: str) -> None:
    """Nothing is wrong with a unit but that this machine has no such program, and little exposed by it."""
    done = subprocess.run(["systemd-analyze", "verify", DEPLOY / name], capture_output=True, text=True, check=False)
    warnings = [line for line in done.stderr.splitlines() if "/opt/crm/bin/crm is not executable" not in line]
    assert [line for line in warnings if name.partition(".")[0].rstrip("@") in line] == []
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", DEPLOY / name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-300:]


@pytest.mark.parametrize("name", UNITS)
def test_units_start_commands_that_are_there(name: str) -> None:
    """Each unit starts a command that exists, with options that it has."""
    (line,) = re.findall(r"^ExecStart=/opt/crm/bin/crm (.+)$", (DEPLOY / name).read_text(), re.MULTILINE)
    command, *options = line.split()
    made = crm.get_command(None, command)  # type: ignore[arg-type]
    assert made is not None
    made.make_context(command, options)


def test_an_instance_may_write_the_backups_of_the_docs() -> None:
    """Those of the loop in operating.md, and of ``crm tenant remove``, next to the folder of tenants there."""
    unit, page = (DEPLOY / "crm@.service").read_text(), (ROOT / "docs" / "operating.md").read_text()
    (own,) = re.findall(r"^StateDirectory=(\S+)$", unit, re.MULTILINE)
    (named,) = re.findall(r"^ReadWritePaths=-(\S+)$", unit, re.MULTILINE)
    (target,) = re.findall(r'crm tenant backup "\$tenant" "(\S+)/', page)
    (tenants,) = re.findall(r"^tenants_dir: (\S+)$", page, re.MULTILINE)
    assert (target, str(Path(tenants).parent)) == (named, f"/var/lib/{own}".replace("%i", "eu1"))


def test_the_composition_fits_together() -> None:
    """Each service has its files, is confined, and the manager's file routes to the services by their names."""
    composed = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services: dict[str, Any] = composed["services"]
    settings = load_instances(DEPLOY / "manager" / "instances.yaml")
    assert set(services) == {*settings.instances, "manager"}
    for code, upstreams in settings.instances.items():
        assert [str(each) for each in upstreams] == [f"http://{code}:8000"]
        assert f"./{code}:/etc/crm" in services[code]["volumes"]
        assert f"{code}:/var/lib/crm" in services[code]["volumes"]
        assert code in composed["volumes"]
    for service in services.values():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert (DEPLOY / service["build"]["context"]).resolve() == ROOT
        assert (ROOT / service["build"]["dockerfile"]).exists()
    assert services["manager"]["ports"] == [f"127.0.0.1:8080:{settings.listen.port}"]


def test_the_composition_on_postgresql_fits_together() -> None:
    """Its services are confined, its files exist, and its role is neither superuser nor above row-level security."""
    folder = DEPLOY / "postgresql"
    composed = yaml.safe_load((folder / "compose.yaml").read_text())
    services: dict[str, Any] = composed["services"]
    assert set(services) == {"postgresql", "pgbouncer", "eu1"}
    assert all(service["cap_drop"] == ["ALL"] for service in services.values())
    assert (folder / services["eu1"]["build"]["context"]).resolve() == ROOT
    assert (ROOT / services["eu1"]["build"]["dockerfile"]).exists()
    command, *options = services["eu1"]["command"]
    crm.get_command(None, command).make_context(command, options)  # type: ignore[arg-type, union-attr]
    assert services["pgbouncer"]["environment"]["POOL_MODE"] == "transaction"
    # Its image connects to the DATABASE_URL of its environment: that of the instance is its own address.
    assert services["pgbouncer"]["env_file"] != services["eu1"]["env_file"]
    # docker compose run starts only what a service depends on.
    assert (set(services["eu1"]["depends_on"]), set(services["pgbouncer"]["depends_on"])) == (
        {"pgbouncer"},
        {"postgresql"},
    )
    roles = (folder / "roles.sh").read_text()
    assert "LOGIN NOSUPERUSER NOBYPASSRLS" in roles
    assert subprocess.run(["sh", "-n", folder / "roles.sh"], check=False).returncode == 0


@pytest.mark.slow
def test_the_image_is_built_from_what_it_needs(tmp_path: Path) -> None:
    """The files that the Dockerfile's ignore file admits are enough for the package, without data or keys."""
    lines = [
        line for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line and line[0] not in "#*"
    ]
    context = tmp_path / "context"
    context.mkdir()
    for name in [line.removeprefix("!") for line in lines]:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, context / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, context / name)
    assert not {"tenants", "config", ".git", ".venv"} & {path.name for path in context.iterdir()}
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, context]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
    for pattern in ("crm_core/manager/templates/nginx.conf", "crm_core/settings/examples/*.yaml", "crm_tinydb/*.py"):
        assert any(fnmatch(name, pattern) for name in names), pattern
