from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import yaml

from crm_core.demo import __main__ as demo_module
from crm_core.demo.__main__ import Demo, push_all
from free_ports import free_port


def demo(folder: Path, port: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "crm_core.demo", "--folder", str(folder), "--port", str(port)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def until_ready(running: subprocess.Popen[str]) -> str:
    """What it printed until its last line."""
    assert running.stdout is not None
    output = ""
    for line in running.stdout:
        output += line
        if line.startswith("Ctrl-C"):
            return output
    raise AssertionError(output)


@pytest.mark.slow
def test_the_demo_pushes_serves_and_continues_with_its_data(tmp_path: Path) -> None:
    """It prints what was applied and refused, serves records of these days, and a second start changes nothing."""
    port = free_port()
    with demo(tmp_path / "demo", port) as running:
        output = until_ready(running)
        assert "unchanged combined version 2" in output
        assert "401 signature_invalid" in output
        base = re.search(r"workspace +(\S+)", output.split("Ready.")[1])
        assert base is not None
        assert httpx.get(f"{base[1]}api/v1/bootstrap/public").json()["branding"]["title"] == "Nordwind Reisen"
        token = Demo(tmp_path / "demo", port).run("token", "create", "--tenant", "northwind", "--scope", "tasks:read")
        headers = {"Authorization": f"Bearer {token.split()[0]}"}
        tasks = httpx.get(f"{base[1]}api/v1/tasks?sort=due_on", headers=headers).json()["items"]
        late, due = (date.fromisoformat(task["due_on"]) for task in tasks[:2])
        assert due - late == timedelta(days=4)
        assert abs(due - datetime.now(UTC).date()) <= timedelta(days=1)
        with demo(tmp_path / "demo", free_port()) as second:
            assert second.stdout is not None
            assert "already running (pid" in second.stdout.read()
            assert second.wait() == 1
        assert f"127.0.0.1:{port}" in (tmp_path / "demo" / "config" / "instance.yaml").read_text()
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
    with demo(tmp_path / "demo", port) as again:
        assert "continues with earlier pushes" in until_ready(again)
        again.send_signal(signal.SIGTERM)
        assert again.wait(20) == 0


@pytest.mark.slow
def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    """Another program on the port is not mistaken for the demo."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with demo(tmp_path / "demo", taken.getsockname()[1]) as running:
            assert running.stdout is not None
            assert "Address already in use" in running.stdout.read()
            assert running.wait() == 1


@pytest.mark.slow
def test_a_push_made_before_the_demo_is_ready_does_not_stop_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pushes that arrive first raise a section's version; the demo's own pushes exceed it."""
    data = yaml.safe_load(Path(demo_module.__file__).with_name("data.yaml").read_text(encoding="utf-8"))
    instance = Demo(tmp_path / "demo", free_port())
    instance.prepare()
    with instance.served():
        with instance.platform() as platform:
            for title in ("First", "Second"):
                platform.push("branding", {"title": title})
        assert push_all(instance, data)
    printed = capsys.readouterr().out
    assert "combined version 4" in printed
