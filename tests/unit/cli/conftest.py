from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from crm_core.cli.main import main
from crm_core.settings.examples import example

KEY = bytes(range(1, 33)).hex()


class Ran(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config folder of eu1 with the tenant northwind, whose key version 2 is the published one of the examples."""
    folder = tmp_path / "config"
    folder.mkdir()
    for name in ("instance.yaml", "modules.yaml", "roles.yaml"):
        (folder / name).write_text(example(name, instance="eu1"))
    (folder / "keys.yaml").write_text(
        f"tenants:\n  northwind:\n    keys:\n      - version: 2\n        secret: hex:{KEY}\n"
    )
    monkeypatch.setenv("CRM_SECRET_KEY", "hex:" + "5a" * 32)
    monkeypatch.setenv("CRM_CONFIG", str(folder))
    return folder


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs a command through the entry point, in this process."""

    def run(*words: str, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "argv", ["crm", *words])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as done:
            code = int(done.code or 0)
        return Ran(code, *capsys.readouterr())

    return run
