"""docs/keys.md and docs/client.md, run as they are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.box import TENANT, Box
from doc_pages import blocks, run_page
from free_ports import free_port


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    keys = [{"version": 2, "secret": "hex:" + bytes(range(1, 33)).hex()}]
    made = Box(tmp_path_factory.mktemp("client-docs"), tenants={TENANT: {"keys": keys}})
    try:
        yield made.create_tenants().start()
    finally:
        assert made.stop() == 0


def test_the_rotation_of_the_page_works(tmp_path: Path) -> None:
    """Every command of docs/keys.md in its order: a rotation, a revocation and a look back."""
    reported = run_page("docs/keys.md", tmp_path, free_port())
    assert "northwind: added key version 2 to config/keys.yaml" in reported
    assert "northwind: key version 1 stays active until " in reported
    assert "applied branding version 2 as revision 2" in reported
    assert '"uses": 1' in reported
    assert "northwind: key version 1 is revoked" in reported
    assert '~ /branding/title: "Nordwind Reisen" -> "Nordwind"' in reported
    assert "config/keys.yaml: 1 tenant, 2 keys" in reported


def test_the_client_examples_work(box: Box, tmp_path: Path) -> None:
    """Each Python example of docs/client.md, at the address of a live server, does what it says."""
    printed = []
    for at, block in enumerate(blocks("docs/client.md", "python")):
        file = tmp_path / f"example_{at}.py"
        file.write_text(block.text.replace("https://crm.example", f"http://127.0.0.1:{box.port}"))
        done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout.splitlines())
    assert printed == [
        ["ok", "/branding/title None -> Nordwind", "applied 1 1"],
        ["applied"],
        ["northwind previewed 2 None", "northwind applied 2 None"],
        ["applied"],
    ]
    assert box.public()["branding"]["title"] == "By webhook"
