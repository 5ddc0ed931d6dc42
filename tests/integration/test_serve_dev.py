from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from contract.box import Box, problem, until
from free_ports import free_port

RULE = """
from crm_core.errors import Finding
from crm_core.plugin import hookimpl

@hookimpl
def crm_validate_payload(section, part):
    if section == "branding":
        {body}
    return []
"""


class DevBox(Box):
    options = ("--dev",)


@pytest.fixture
def rule(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins"
    folder.mkdir()
    return folder / "rule.py"


@pytest.fixture
def box(tmp_path: Path, rule: Path) -> Iterator[Box]:
    settings = {"listen": f"127.0.0.1:{free_port()}", "plugins": {"folders": [str(rule.parent)]}}
    made = DevBox(tmp_path / "home", settings=settings)
    yield made
    assert made.stop() == 0


def pushed(box: Box) -> httpx.Response | None:
    """The answer to a push; None while the server starts."""
    try:
        return box.push("branding", {"title": "Nordwind"})
    except httpx.TransportError:
        return None


def test_a_plugin_is_loaded_again_and_its_tracebacks_are_in_the_terminal(box: Box, rule: Path) -> None:
    """A failing rule prints its traceback and answers without it; an edit applies; a broken file waits for a fix."""
    rule.write_text(RULE.format(body='raise ZeroDivisionError("in my rule")'))
    box.create_tenants().start()
    failed = problem(box.push("branding", {"title": "Nordwind"}), 500, "plugin_failed")
    assert "ZeroDivisionError" not in str(failed)
    assert "ZeroDivisionError: in my rule" in box.log_text()
    assert 'rule.py", line 8, in crm_validate_payload' in box.log_text()
    rule.write_text(RULE.format(body='return [Finding("/title", "no_title", "No titles here.")]'))
    until(lambda: (answer := pushed(box)) is not None and answer.status_code == 422, box.log_text)
    rule.write_text("def broken(:\n")
    until(lambda: "waits for a change" in box.log_text(), box.log_text)
    assert "SyntaxError" in box.log_text()
    rule.write_text(RULE.format(body="pass"))
    until(lambda: (answer := pushed(box)) is not None and answer.status_code == 200, box.log_text)


def test_single_modules_and_translations_are_watched(tmp_path: Path) -> None:
    """A distribution may be one module, which is no folder; a catalogue is loaded at the start."""
    site = tmp_path / "site"
    (site / "lonely-1.dist-info").mkdir(parents=True)
    (site / "lonely-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: lonely\nVersion: 1\n")
    (site / "lonely-1.dist-info/entry_points.txt").write_text("[crm]\nlonely = lonely\n")
    (site / "lonely.py").write_text(RULE.format(body="pass"))
    words = tmp_path / "plugins/translations/de.po"
    words.parent.mkdir(parents=True)
    words.write_text("")
    settings = {"listen": f"127.0.0.1:{free_port()}", "plugins": {"folders": [str(tmp_path / "plugins")]}}
    box = DevBox(tmp_path / "home", settings=settings, environ={"PYTHONPATH": str(site)}).create_tenants().start()
    try:
        (site / "lonely.py").write_text(RULE.format(body='return [Finding("/title", "no_title", "No titles.")]'))
        until(lambda: (answer := pushed(box)) is not None and answer.status_code == 422, box.log_text)
        words.write_text('msgid "Trips"\nmsgstr "Fahrten"\n')
        until(lambda: f"{words} changed." in box.log_text(), box.log_text)
        until(lambda: pushed(box) is not None, box.log_text)
    finally:
        assert box.stop() == 0


def test_what_no_watched_file_can_fix_ends_it(box: Box) -> None:
    """A second server on the folder exits with the first's pid, one with a broken roster with its place."""
    box.create_tenants().start()
    assert box.process is not None
    assert f"in use by the process with pid {box.process.pid}" in box.crm("serve", "--dev", code=1)
    assert box.stop() == 0
    (box.config / "keys.yaml").write_text("tenants: 5\n")
    assert "keys.yaml:1:10: " in box.crm("serve", "--dev", code=1)


@pytest.mark.parametrize(
    ("settings", "options", "said"),
    [
        ({"listen": "0.0.0.0:8000"}, (), "--dev serves on a loopback address"),
        ({"listen": "unix:crm.sock"}, (), "--dev serves on a loopback address"),
        ({"public_url": "https://crm.example.com"}, (), "public_url, which others reach"),
        ({"trusted_proxies": ["10.0.0.1"]}, (), "trusted_proxies, through which others reach it"),
        ({}, ("--processes", "2"), "--dev serves from one process"),
    ],
)
def test_an_instance_that_others_reach_is_refused(
    tmp_path: Path, settings: dict[str, object], options: tuple[str, ...], said: str
) -> None:
    """Unfinished code and tracebacks belong on the author's machine alone."""
    assert said in Box(tmp_path / "home", settings=settings).crm("serve", "--dev", *options, code=2)
