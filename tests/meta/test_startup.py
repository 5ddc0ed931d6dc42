from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from contract.box import Box

HEAVY = {
    "aiohttp", "aiosmtplib", "argon2", "babel", "cryptography", "flask", "httpx", "hypercorn", "jinja2",
    "prometheus_client", "quart", "rich", "uvicorn", "uvloop", "werkzeug",
}  # fmt: skip
"""Libraries that serve, draw pages, encrypt or speak to other hosts: loading them costs more than most commands do."""
SCRIPT = """
import sys
from crm_core.cli.main import main
try:
    main()
finally:
    print(*{name.partition(".")[0] for name in sys.modules}, file=sys.stderr)
"""
STARTED = """
import asyncio, os, sys
from pathlib import Path
from crm_core.compose import application, clock, open_backend
from crm_core.services import Services
from crm_core.settings.configuration import Configuration
from crm_core.settings.installation import install
async def start():
    installation = install(Path(sys.argv[1]), os.environ)
    backend = await open_backend(installation)
    application(Services(installation, backend, Configuration(installation, clock), clock))
    print(*sys.modules)
    await backend.close()
asyncio.run(start())
"""
LISTED = "import sys; import {module}; print(*(name.partition('.')[0] for name in sys.modules))"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Box:
    return Box(tmp_path_factory.mktemp("startup") / "instance").create_tenants()


@pytest.mark.parametrize(
    "words",
    [
        ("tenant", "list"),
        ("tenant", "show", "northwind"),
        ("token", "list", "--tenant", "northwind"),
        ("user", "list", "--tenant", "northwind"),
        ("log", "list", "--tenant", "northwind"),
        ("keys", "list"),
        ("config", "check"),
        ("plugins",),
    ],
    ids=" ".join,
)
def test_a_command_does_not_load_what_only_servers_need(box: Box, words: tuple[str, ...]) -> None:
    """No web framework, templates, metrics or HTTP client is imported by a command that does without them."""
    command = [sys.executable, "-c", SCRIPT, *words, "--config", str(box.config)]
    done = subprocess.run(command, env=box.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(done.stderr.splitlines()[-1].split()) & HEAVY == set()


def test_the_server_starts_without_what_it_may_never_need(tmp_path: Path) -> None:
    """With its pages, it has loaded no mail client, no HTTP client, no second server and nothing of the manager."""
    box = Box(tmp_path / "instance", environ={"PYTHONPROFILEIMPORTTIME": "1"}).create_tenants().start()
    assert box.client.get("/i/eu1/t/northwind/login").status_code == 200
    box.stop()
    lines = [line.rpartition("|") for line in box.log_text().splitlines() if line.startswith("import time:")]
    modules = {name.strip() for _, _, name in lines}
    assert modules & {"configparser", "logging.config", "multiprocessing", "uvicorn.main"} == set()
    loaded = {name.partition(".")[0] for name in modules}
    assert loaded & {"aiohttp", "aiosmtplib", "h2", "httpx", "hypercorn", "rich", "wsproto"} == set()
    assert "quart" in loaded


def test_the_server_starts_without_its_pages(box: Box) -> None:
    """What only pages need is loaded when the server accepts requests, not before."""
    done = subprocess.run(
        [sys.executable, "-c", STARTED, box.config], env=box.environ, capture_output=True, text=True, check=True
    )
    later = {"argon2", "email.headerregistry", "quart", "flask", "werkzeug", "jinja2", "crm_core.web.pages"}
    assert set(done.stdout.split()) & later == set()


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("crm_core.cli.main", {"quart", "httpx", "pluggy", "tinydb"}),
        ("crm_core.compose", {"quart", "flask", "jinja2", "hypercorn"}),
        ("crm_core.client", {"quart", "pluggy", "tinydb", "cryptography"}),
    ],
)
def test_no_one_pays_for_what_others_need(module: str, absent: set[str]) -> None:
    """A command that serves no page loads no web framework, and the list of commands loads none of their libraries."""
    done = subprocess.run(
        [sys.executable, "-c", LISTED.format(module=module)], capture_output=True, text=True, check=True
    )
    assert not absent & set(done.stdout.split())
