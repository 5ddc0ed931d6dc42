from __future__ import annotations

import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crm_core.cli.init import write_files
from crm_core.errors import SetupError


def test_a_file_that_cannot_be_written_whole_is_removed(tmp_path: Path) -> None:
    """After a full disk the same command writes every file, since it left no part of one."""
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(SetupError, match="cannot be written"):
            write_files(tmp_path, "eu1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []
    assert write_files(tmp_path, "eu1") == ["instance.yaml", "keys.yaml", "modules.yaml", "roles.yaml"]


def test_a_file_without_content_is_written(tmp_path: Path) -> None:
    """An init that was killed leaves one, and no file of an instance may be empty; links to other things stay."""
    (tmp_path / "keys.yaml").touch()
    (tmp_path / "roles.yaml").symlink_to("elsewhere")
    assert write_files(tmp_path, "eu1") == ["instance.yaml", "keys.yaml", "modules.yaml"]
    assert (tmp_path / "keys.yaml").read_text().endswith("tenants: {}\n")
    assert not (tmp_path / "elsewhere").exists()


def test_a_bad_name_writes_no_files(tmp_path: Path, crm: Callable[..., Any]) -> None:
    """A mistyped instance or tenant is wrong usage; the corrected command starts from an empty folder."""
    for names in (("EU 1", "northwind"), ("eu1", "North Wind")):
        ran = crm("init", "--config", str(tmp_path / "config"), "--instance", names[0], "--tenant", names[1])
        assert (ran.code, ran.out) == (2, "")
        assert not (tmp_path / "config").exists()


def test_the_folder_of_another_instance_is_refused(tmp_path: Path, crm: Callable[..., Any]) -> None:
    """Where a tenant is wanted, one sentence names the file, its instance and both ways on; nothing is written."""
    write_files(tmp_path, "eu1")
    (tmp_path / "keys.yaml").unlink()
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    ran = crm("init", "--config", str(tmp_path), "--instance", "us1", "--tenant", "northwind")
    assert (ran.code, ran.out) == (1, "")
    said = f"{tmp_path / 'instance.yaml'} is that of another instance, eu1"
    advice = "name another folder with --config, or write --instance eu1"
    assert ran.err.splitlines() == [f"{said}, so nothing was written; {advice}"]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before
    ran = crm("init", "--config", str(tmp_path), "--instance", "us1")
    assert (ran.code, ran.err.splitlines()) == (0, [f"warning: {said}, and stays; {advice}"])
    assert (tmp_path / "instance.yaml").read_text() == before["instance.yaml"]


def test_files_that_cannot_be_read_stay(tmp_path: Path, crm: Callable[..., Any]) -> None:
    """A broken instance.yaml names no instance: it stays, and the missing files are written."""
    (tmp_path / "instance.yaml").write_text("instance: [")
    ran = crm("init", "--config", str(tmp_path), "--instance", "eu1")
    assert ran.code == 0
    assert (tmp_path / "instance.yaml").read_text() == "instance: ["
    assert {path.name for path in tmp_path.iterdir()} == {"instance.yaml", "keys.yaml", "modules.yaml", "roles.yaml"}
