from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from forked import REAL
from fronts.processes import manager


def crm(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([REAL, *words], capture_output=True, text=True, check=False, timeout=30)


def test_a_manager_says_where_it_serves_and_ends_cleanly(tmp_path: Path) -> None:
    """One line with the address once it accepts requests; SIGTERM ends it with 0."""
    with manager(tmp_path, {"eu1": ["http://127.0.0.1:9"]}) as running:
        assert running.program.written().splitlines()[0] == f"crm manager serves {running.url} (pid {running.pid})"
        assert running.program.stop(signal.SIGTERM) == 0


@pytest.mark.parametrize("words", [("manager",), ("manager", "render", "nginx")])
def test_mistakes_are_reported(tmp_path: Path, words: tuple[str, ...]) -> None:
    """A missing or invalid file is reported by line and column, with exit code 1."""
    done = crm(*words, "--config", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("instances.yaml:1:1: the file is not there; looked for it at ")
    (tmp_path / "instances.yaml").write_text("instances:\n  EU: {upstreams: [x]}\n  eu1: {upstream: []}\n")
    done = crm(*words, "--config", tmp_path)
    assert done.returncode == 1
    assert [line.split(": ")[0] for line in done.stderr.splitlines()] == [
        "instances.yaml:2:3",
        "instances.yaml:3:9",
    ]


def test_an_address_in_use_is_refused(tmp_path: Path) -> None:
    """A second manager on the same address says so and exits 1."""
    with manager(tmp_path, {"eu1": ["http://127.0.0.1:9"]}):
        done = crm("manager", "--config", tmp_path / "front")
    assert done.returncode == 1
    assert "cannot be listened on" in done.stderr


def test_the_extra_is_named_where_it_is_missing(tmp_path: Path) -> None:
    """Without aiohttp the command says what to install; rendering for nginx needs none of it."""
    (tmp_path / "instances.yaml").write_text('instances: {eu1: {upstreams: ["http://127.0.0.1:9"]}}\n')
    program = "import sys; sys.modules['aiohttp'] = None; from crm_core.cli.main import main; main()"
    words = [sys.executable, "-c", program, "manager"]
    done = subprocess.run([*words, "--config", tmp_path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "crm manager needs aiohttp: pip install 'crm-core[manager]'\n")
    done = subprocess.run(
        [*words, "render", "nginx", "--config", tmp_path], capture_output=True, text=True, check=False
    )
    assert "upstream crm_eu1 {" in done.stdout
