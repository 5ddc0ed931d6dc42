from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def demo(folder: Path, port: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "crm_core.demo", "--folder", str(folder), "--port", str(port)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def until_ready(running: subprocess.Popen[str]) -> str:
    """What it printed until it said how to go on."""
    assert running.stdout is not None
    said = ""
    for line in running.stdout:
        said += line
        if line.startswith("Ctrl-C"):
            return said
    raise AssertionError(said)


@pytest.mark.slow
def test_the_demo_is_pushed_to_and_goes_on_with_its_data(tmp_path: Path) -> None:
    """It tells what was applied and refused, serves what it says, and a second start changes nothing that is there."""
    port = free_port()
    with demo(tmp_path / "demo", port) as running:
        said = until_ready(running)
        assert "applied   combined version 2" in said
        assert "401 signature_invalid" in said
        base = re.search(r"workspace +(\S+)", said.split("Ready.")[1])
        assert base is not None
        assert httpx.get(f"{base[1]}api/v1/bootstrap/public").json()["branding"]["title"] == "Nordwind Reisen"
        with demo(tmp_path / "demo", free_port()) as second:
            assert second.stdout is not None
            assert "runs already (pid" in second.stdout.read()
            assert second.wait() == 1
        assert f"127.0.0.1:{port}" in (tmp_path / "demo" / "config" / "instance.yaml").read_text()
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
    with demo(tmp_path / "demo", port) as again:
        assert "goes on with what was pushed before" in until_ready(again)
        again.send_signal(signal.SIGTERM)
        assert again.wait(20) == 0


@pytest.mark.slow
def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    """Whoever answers there is not taken for the demo."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with demo(tmp_path / "demo", taken.getsockname()[1]) as running:
            assert running.stdout is not None
            assert "Address already in use" in running.stdout.read()
            assert running.wait() == 1
