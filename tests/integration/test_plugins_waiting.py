"""Plugins that wait while they are loaded, such as for a server: they are named, as nothing else is shown till then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from contract.box import Box

LOADING = """
import os
import time
from crm_core.plugin import hookimpl

def wait():
    while not os.path.exists(os.path.join(os.path.dirname(__file__), "go")):
        time.sleep(0.05)
"""
IMPORT = """
wait()

@hookimpl
def crm_validate_payload(section):
    return []
"""
REGISTRATION = """
@hookimpl
def crm_register_payload_types():
    wait()
"""


@pytest.mark.parametrize(("rest", "hook"), [(IMPORT, "import"), (REGISTRATION, "crm_register_payload_types")])
def test_a_plugin_that_waits_while_it_is_loaded_is_named(tmp_path: Path, rest: str, hook: str) -> None:
    """Standard error says which, where it is and since when; the command continues as soon as the plugin does."""
    settings = {"plugins": {"folders": ["lone"]}}
    box = Box(tmp_path / "instance", settings=settings, files={"lone/waits.py": LOADING + rest})
    command = [Path(sys.executable).parent / "crm", "config", "check", "--config", box.config]
    with subprocess.Popen(
        command, env=box.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith(f"plugin waits: {hook} has not returned for 3 s; it is at crm_folder_plugin_waits:")
        (box.config / "lone/go").touch()
        assert "no problems found" in process.stdout.read()
    assert process.returncode == 0
