"""An instance that starts on a full disk, also after a crash, serves reads, and writes again once there is space."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from contract.box import BRANDING, TENANT, Box, good, until

UNFINISHED = b'00000000 {"s'


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of two MiB and 64 files."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m,nr_inodes=64", "tmpfs", place]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("NOT TESTED: a disk that fills up needs root to mount a small tmpfs: run the tests as root")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.fixture
def box(tmp_path: Path, small: Path) -> Iterator[Box]:
    """An instance whose tenants are on the small file system, with one push."""
    box = Box(tmp_path / "instance", settings={"tenants_dir": str(small / "tenants")}).create_tenants().start()
    good(box.push("branding", BRANDING))
    yield box
    box.stop()


def fill(small: Path) -> Path:
    """Use up every byte; return the file to remove."""
    ballast = small / "ballast"
    handle = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    for size in (65536, 4096, 1):
        with suppress(OSError):
            while True:
                os.write(handle, bytes(size))
    os.close(handle)
    return ballast


def use_up_files(small: Path) -> list[Path]:
    """Create files until no more can be created."""
    made: list[Path] = []
    with suppress(OSError):
        while True:
            path = small / f"file-{len(made)}"
            path.touch()
            made.append(path)
    return made


def title(box: Box) -> str:
    document = good(box.client.get(f"{box.base()}/bootstrap/public"))
    return str(document["branding"]["title"])


def status(box: Box) -> str:
    return str(good(box.client.get("/readyz"))["status"])


def test_it_starts_and_serves_reads_after_a_crash_with_a_torn_tail(box: Box, small: Path) -> None:
    """Reads work, writes are 507, readiness is degraded; with space again the torn tail goes and writes succeed."""
    box.stop(signal.SIGKILL)
    (journal,) = (small / "tenants" / TENANT).glob("journal-*.log")
    durable = journal.read_bytes()
    journal.write_bytes(durable + UNFINISHED)
    ballast = fill(small)
    box.start()
    assert title(box) == BRANDING["title"]
    assert box.push("branding", {**BRANDING, "title": "Later"}).status_code == 507
    assert title(box) == BRANDING["title"]
    assert status(box) == "degraded"
    ballast.unlink()
    until(lambda: status(box) == "ready", box.log_text)
    assert journal.read_bytes() == durable
    good(box.push("branding", {**BRANDING, "title": "Later"}))
    assert title(box) == "Later"
    assert box.stop() == 0
    box.start()
    assert title(box) == "Later"


def test_it_starts_where_no_file_can_be_created(box: Box, small: Path) -> None:
    """Without a socket for commands it serves reads; commands reach it once files can be created."""
    assert box.stop() == 0
    made = use_up_files(small)
    box.start()
    assert title(box) == BRANDING["title"]
    assert "control_socket_failed" in box.log_text()
    for path in made:
        path.unlink()
    until((small / "tenants" / ".control.sock").exists, box.log_text)
    assert TENANT in box.crm("tenant", "list")


def test_it_serves_although_its_output_is_full(box: Box) -> None:
    """A line that cannot be printed does not stop the start."""
    port = box.port
    box.stop()
    box.write_settings({"listen": f"127.0.0.1:{port}", "tenants_dir": str(box.folder / "tenants")})
    command = [*box.program, "serve", "--config", str(box.config)]
    with Path("/dev/full").open("wb") as full, subprocess.Popen(command, env=box.environ, stdout=full) as process:
        try:
            until(lambda: _answers(port), lambda: "no answer", process)
        finally:
            process.terminate()
    assert process.returncode == 0


def _answers(port: int) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    return False
