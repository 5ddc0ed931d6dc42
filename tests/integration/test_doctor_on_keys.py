"""What ``crm doctor`` says of the key roster."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import forked

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def crm(tmp_path: Path) -> Run:
    """The command on a new instance with the tenant ``northwind``."""
    environ = {**os.environ, "CRM_SECRET_KEY": "k" * 40, "CRM_CONFIG": str(tmp_path / "config")}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        line = [forked.crm(), *words]
        return subprocess.run(line, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    done = run("init", "--instance", "eu1", "--tenant", "northwind")
    assert done.returncode == 0, done.stderr
    return run


def test_doctor_sends_no_one_to_replace_a_store_that_is_elsewhere(crm: Run, tmp_path: Path) -> None:
    """A tenant whose store is not where instance.yaml says may be on a disk that is not mounted."""
    (tmp_path / "tenants" / "northwind").rename(tmp_path / "elsewhere")
    ill = crm("doctor")
    assert ill.returncode == 1
    assert (
        "northwind: keys.yaml has an entry for it, but it has no store. If it had one, check the storage" in ill.stdout
    )


def test_doctor_names_a_tenant_that_has_no_active_key(crm: Run) -> None:
    """A tenant whose only key has ended can be healthy on disk and accept no push: doctor says so, with the fix."""
    assert crm("keys", "revoke", "northwind", "1").returncode == 0
    ill = crm("doctor")
    assert "config: northwind has no active key and accepts no pushes; crm keys rotate northwind" in ill.stdout
    assert ill.returncode == 1
    assert crm("tenant", "create", "contoso").returncode == 0
    assert crm("doctor", "contoso").returncode == 0
    assert crm("keys", "rotate", "northwind").returncode == 0
    assert crm("doctor").returncode == 0
