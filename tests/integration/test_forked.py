from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import forked
from contract.box import Box, until

pytestmark = pytest.mark.skipif("COVERAGE_PROCESS_CONFIG" in os.environ, reason="coverage has the real ones started")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Box:
    return Box(tmp_path_factory.mktemp("forked") / "instance").create_tenants()


@pytest.mark.parametrize(
    "words",
    [
        ("tenant", "list", "--json"),
        ("tenant", "show", "unknown"),
        ("tenant", "lst"),
        ("config", "check"),
        ("apply", "nowhere"),
        ("manager", "render", "nginx"),
        ("--version",),
        (),
    ],
    ids=" ".join,
)
def test_a_forked_command_does_what_the_real_one_does(box: Box, words: tuple[str, ...]) -> None:
    """Both print the same on both streams and exit with the same code, in the folder they are called in."""
    environ = {**box.environ, "CRM_CONFIG": "config"}
    real, fork = (
        subprocess.run([program, *words], env=environ, cwd=box.folder, capture_output=True, check=False, timeout=60)
        for program in (forked.REAL, forked.crm())
    )
    assert (fork.returncode, fork.stdout, fork.stderr) == (real.returncode, real.stdout, real.stderr)


def test_a_forked_command_reads_its_standard_input(box: Box) -> None:
    """A password that is piped in arrives."""
    words = ["user", "create", "--tenant", "northwind", "--email", "a@b.example", "--role", "viewer"]
    done = subprocess.run(
        [forked.crm(), *words, "--name", "A", "--password-stdin", "--config", box.config],
        env=box.environ, input="short", capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "8 to 256 characters" in done.stderr


def test_the_real_command_hashes_a_password_with_the_true_cost(box: Box) -> None:
    """OWASP's parameters of argon2id are stored; a forked command takes the least ones."""
    words = ["user", "create", "--tenant", "northwind", "--role", "viewer", "--password-stdin", "--config", box.config]
    for program, email in ((forked.REAL, "real@example.com"), (forked.crm(), "forked@example.com")):
        options: dict[str, Any] = {"env": box.environ, "input": b"correct horse battery", "capture_output": True}
        subprocess.run([program, *words, "--email", email], **options, check=True, timeout=60)
    stored = b"".join(path.read_bytes() for path in (box.folder / "tenants").rglob("*") if path.is_file())
    assert re.findall(rb"argon2id\$v=19\$([mtp=0-9,]+)", stored) == [b"m=19456,t=2,p=1", b"m=8,t=1,p=1"]


def test_a_forked_server_is_a_process_like_any_other(box: Box) -> None:
    """It has its own pid and signals, is in the group of its caller, and has the folder's lock."""
    box.environ["CRM_FORKED_TEST"] = "1"
    box.start()
    assert isinstance(box.process, forked.Process)
    pid = box.process.pid
    assert f"(pid {pid})".encode() in box.said()
    assert os.getpgid(pid) == os.getpgid(0)
    assert box.process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        box.process.wait(0.01)
    second = subprocess.run(
        [forked.REAL, "serve", "--config", box.config], env=box.environ, capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert str(pid) in second.stderr
    assert box.stop(signal.SIGKILL) == -signal.SIGKILL
    until(lambda: not Path(f"/proc/{pid}").exists(), lambda: "the dead process is still there")
    assert box.start().stop() == 0


def test_no_server_keeps_the_streams_of_another(box: Box) -> None:
    """A forked process has open what it was given and what it opened itself, nothing of those before it."""
    box.start()
    assert box.process is not None
    others = Box(box.folder.parent / "other").create_tenants().start()
    assert others.process is not None
    opened = set()
    for each in Path(f"/proc/{others.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # the server may have closed it in the meantime
            opened.add(each.readlink())
    assert others.folder / "server.out" in opened
    assert not [path for path in opened if path.is_relative_to(box.folder)]
    others.stop()
    box.stop()


def test_the_real_one_runs_if_the_start_makes_a_difference(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that Python reads when it starts, and measuring coverage, need a real start."""
    with (box.folder / "out").open("wb") as out:
        for environ in ({**box.environ, "PYTHONPATH": "/nowhere"}, {**box.environ, "LANG": "de_DE.UTF-8"}):
            process = forked.start(["--version"], environ, out, out)
            assert isinstance(process, subprocess.Popen)
            assert process.wait() == 0
        monkeypatch.delenv("PYTEST_VERSION")
        process = forked.start(["--version"], box.environ, out, out)
        assert isinstance(process, subprocess.Popen)
        assert process.wait() == 0
