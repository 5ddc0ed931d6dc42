from __future__ import annotations

import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from contract.box import Box
from forked import REAL


def ignores_hangup(pid: int) -> bool:
    mask = re.search(r"SigIgn:\s*([0-9a-f]+)", Path(f"/proc/{pid}/status").read_text())
    return mask is not None and bool(int(mask[1], 16) & 1 << signal.SIGHUP - 1)


@pytest.mark.parametrize("program", ["serve", "manager"])
def test_a_reload_does_not_end_a_server_that_starts(tmp_path: Path, program: str) -> None:
    """SIGHUP before a server accepts requests changes nothing: as a reload right after a restart sends it."""
    box = Box(tmp_path)
    (box.config / "instances.yaml").write_text(
        'listen: 127.0.0.1:0\ninstances: {eu1: {upstreams: ["http://127.0.0.1:9"]}}\n'
    )
    words = [REAL, program, "--config", box.config]
    with subprocess.Popen(words, env=box.environ, stdout=subprocess.PIPE) as server:
        try:
            end = time.monotonic() + 20
            while not ignores_hangup(server.pid):
                assert time.monotonic() < end
                time.sleep(0.001)
            server.send_signal(signal.SIGHUP)
            assert server.stdout is not None
            assert b" serves http://127.0.0.1:" in server.stdout.readline()
        finally:
            server.terminate()
    assert server.returncode == 0
