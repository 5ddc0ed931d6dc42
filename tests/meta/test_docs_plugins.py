from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from crm_core.plugin import specs
from crm_core.plugin.faults import RESERVED_PAYLOAD_TYPES, RESERVED_RECORD_TYPES
from crm_core.plugin.host import PluginHost
from crm_core.plugin.registry import build_registry
from doc_pages import environment, page, run_page, section
from doc_plugins import NAME, files, installed_package, lone_files
from free_ports import free_port

PAGE = page(NAME)
BEFORE = """
export CRM_SECRET_KEY="$(crm keys generate)"
crm init --instance eu1 --tenant northwind > /dev/null
sed -i "s/127.0.0.1:8000/127.0.0.1:$PORT/; s/folders: \\[\\]/folders: [..\\/lone]/" config/instance.yaml
echo 'telephony: {providers: [acme]}' >> config/instance.yaml
echo '{title: Nordwind, support: {email: help@example.com}}' > branding.yaml
crm serve > serve.out 2> serve.err & server=$!
trap 'kill "$server"; wait "$server"' EXIT
for _ in $(seq 600); do grep -q serves serve.out && break; kill -0 "$server"; sleep 0.1; done
"""
# The pushes that the page says are refused, sent after all that it says are applied.
AFTER = """
echo
crm push telephony telephony.yaml --version 9 > /dev/null
echo 'account: other' | crm push telephony - --strategy merge 2>&1 || true
echo 'provider: example' | crm push telephony - 2>&1 || true
echo 'login_message: Hello' | crm push branding - 2>&1 || true
crm tenant create trial-1 > /dev/null
kill -HUP "$server"; sleep 3
echo 'overrides: {deals.view: true}' | crm push features - --tenant trial-1 2>&1 || true
crm sign telephony telephony.yaml --scheme shared-mac --version 10 --tenant northwind --curl > captured.sh
crm explain captured.sh
crm plugins
"""


@pytest.fixture
def lone(tmp_path: Path) -> Path:
    """A folder with the page's lone plugin files."""
    return lone_files(tmp_path / "lone")


def test_every_hook_is_in_the_table_with_its_arguments() -> None:
    """The table of hooks has exactly those of specs.py, written as they are called."""
    hooks = {name: function for name, function in inspect.getmembers(specs) if name.startswith("crm_")}
    table = section(PAGE, "The hooks")
    for name, function in hooks.items():
        assert f"| `{name}({', '.join(inspect.signature(function).parameters)})` |" in table
    assert table.count("| `crm_") == len(hooks)
    assert all(f"`{name}`" in table for name in RESERVED_PAYLOAD_TYPES | RESERVED_RECORD_TYPES)


def test_there_is_an_example_of_each_hook_and_all_load(lone: Path) -> None:
    """The page's files implement every hook between them, and none is broken."""
    host = PluginHost()
    host.load_entry_points()
    host.load_folder(lone)
    assert [(one.name, one.error) for one in host.plugins if one.state != "active"] == []
    lone_names = {path.stem for path in lone.iterdir()}
    implemented = {hook for one in host.plugins if one.name in lone_names for hook in one.hooks}
    assert implemented == {name for name in dir(specs) if name.startswith("crm_")}
    registry = build_registry(host)
    assert "telephony" in registry.sections
    assert "shared-mac" in registry.schemes
    assert "sqlite" in registry.backends
    assert "visits" in registry.record_types


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_lone_files_work_in_a_running_server(tmp_path: Path, lone: Path) -> None:
    """Pushes, merges, a scheme, records, a rule and a policy of the page's files do what the page says of them."""
    port = free_port()
    reported = run_page(NAME, tmp_path, port, before=BEFORE, after=AFTER, PORT=str(port))
    for line in section(PAGE, "A payload type").partition("```text\n")[2].partition("```")[0].splitlines():
        assert line in reported
    assert "preview of combined version 3" in reported
    assert '"name":"First call"' in reported
    assert "telephony bound" not in reported
    assert "api_key_required" in reported
    assert "This instance calls through acme only." in reported
    assert "/data/title: Give the workspace a title. (house_rule)" in reported
    assert "Deals are not part of a trial; leave them out. (module_blocked)" in reported
    assert "No check fails." in reported
    assert "not-a-real-key" not in (tmp_path / "serve.err").read_text()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_examples_pass_the_suites(tmp_path: Path, lone: Path) -> None:
    """The page's tests, in their own folder, pass: the scheme and the backend keep their promises."""
    for name, text in files().items():
        if name.startswith("test_"):
            (tmp_path / name).write_text(text)
    (tmp_path / "pytest.ini").write_text(
        f"[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\npythonpath = {lone}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "passed" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_package_is_found_once_it_is_installed(tmp_path: Path) -> None:
    """The page's pyproject makes a wheel; installed somewhere, its plugin is found by its entry point."""
    site = installed_package(tmp_path)
    done = subprocess.run(
        ["crm", "plugins"],
        cwd=tmp_path,
        env={**environment(), "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "acme_telephony 1.0.0  active  payload type: telephony" in done.stdout


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("import nothing_of_this_name", "importing it raised ModuleNotFoundError"),
        ("@hookimpl\ndef crm_validate_payloads(section): ...", "did you mean crm_validate_payload?"),
        ("@hookimpl\nasync def crm_validate_payload(section): ...", "crm_validate_payload is async"),
        ("@hookimpl\ndef crm_validate_payload(sections): ...", "sections"),
        ("", "it implements no hook"),
    ],
)
def test_what_is_broken_is_named(tmp_path: Path, text: str, reported: str) -> None:
    """Each way to be broken that the page lists is reported with its name, and stops no other plugin."""
    (tmp_path / "odd.py").write_text(f"from crm_core.plugin import hookimpl\n{text}\n")
    host = PluginHost()
    host.load_entry_points()
    host.load_folder(tmp_path)
    (broken,) = host.broken
    assert broken.name == "odd"
    assert reported in (broken.error or "")
    assert "branding" in build_registry(host).sections
