from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest
from tinydb import TinyDB

import forked

CRM = Path(sys.executable).parent / "crm"
Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "CRM_SECRET_KEY": "k" * 40, "CRM_CONFIG": str(tmp_path / "config")}


@pytest.fixture
def crm(environ: dict[str, str], tmp_path: Path) -> Run:
    """The command on a new instance with the tenant ``northwind``."""

    def run(*words: str) -> Done:
        return subprocess.run(
            [forked.crm(), *words], env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )

    done = run("init", "--instance", "eu1", "--tenant", "northwind")
    assert done.returncode == 0, done.stderr
    settings = tmp_path / "config" / "instance.yaml"
    settings.write_text(settings.read_text().replace("listen: 127.0.0.1:8000", "listen: 127.0.0.1:0"))
    return run


@contextmanager
def server(environ: dict[str, str], *before: str) -> Iterator[tuple[str, int]]:
    """A server on the instance, run by the words ``before``: its address and pid. It must exit 0 on SIGTERM."""
    log = Path(environ["CRM_CONFIG"]).with_name("log")
    with (
        log.open("wb") as stderr,
        subprocess.Popen([*before, CRM, "serve"], env=environ, stdout=subprocess.PIPE, stderr=stderr) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        try:
            yield next(word for word in line.split() if word.startswith("http")), process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0


@pytest.fixture
def serving(crm: Run, environ: dict[str, str]) -> Iterator[tuple[str, int]]:
    """A server that runs during the test."""
    with server(environ) as running:
        yield running


def logged(folder: Path, event: str) -> list[dict[str, Any]]:
    """The lines of the server's log with an event."""
    lines = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


def eventually(condition: Callable[[], object]) -> bool:
    """Whether the condition becomes true within ten seconds."""
    end = time.monotonic() + 10
    while not (true := condition()) and time.monotonic() < end:
        time.sleep(0.1)
    return bool(true)


def json_of(done: Done) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def create_customers(crm: Run, address: str, count: int) -> set[str]:
    """Create customers over the API; return their names."""
    scopes = ("--scope", "customers:write", "--scope", "customers:read")
    token = json_of(crm("token", "create", "--tenant", "northwind", *scopes, "--json"))["token"]
    names = {f"Ada {number}" for number in range(count)}
    items = [{"name": name, "external_id": name.replace(" ", "-")} for name in sorted(names)]
    answer = httpx.post(
        f"{address}/i/eu1/t/northwind/api/v1/customers/batch",
        json={"items": items},
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    assert {result["status"] for result in answer.json()["results"]} == {201}
    return names


def stored(path: Path) -> set[str]:
    """The customers' names that stock TinyDB reads from a folded file."""
    with TinyDB(path, access_mode="r") as database:
        (name,) = (name for name in database.tables() if "customers" in name)
        return {row["body"]["name"] for row in database.table(name).all()}


def test_one_server_per_folder(crm: Run, serving: tuple[str, int]) -> None:
    """A second server exits 1 with the first's pid; the first still answers requests and commands."""
    address, pid = serving
    second = crm("serve")
    assert second.returncode == 1
    assert f"pid {pid}" in second.stderr
    assert httpx.get(f"{address}/healthz").status_code == 200
    assert len(create_customers(crm, address, 3)) == 3


def test_fold_and_backup_while_serving(crm: Run, serving: tuple[str, int], tmp_path: Path) -> None:
    """Fold and backup work with a running server; stock TinyDB reads every record from both files."""
    names = create_customers(crm, serving[0], 200)
    assert crm("tenant", "fold").stdout == "northwind  folded\n"
    (folded,) = (tmp_path / "tenants" / "northwind").glob("store-*.json")
    assert stored(folded) == names
    copy = tmp_path / "northwind.backup"
    done = crm("tenant", "backup", "northwind", "northwind.backup")
    assert done.returncode == 0, done.stderr
    assert stored(copy) == names
    assert copy.stat().st_mode & 0o777 == 0o600
    again = crm("tenant", "backup", "northwind", "northwind.backup")
    assert (again.returncode, "exists already" in again.stderr) == (1, True)


@pytest.mark.skipif(subprocess.run(["unshare", "--mount", "true"], check=False).returncode != 0, reason="cannot mount")
def test_a_backup_that_only_the_server_sees_is_a_failure(crm: Run, environ: dict[str, str], tmp_path: Path) -> None:
    """As under PrivateTmp: it would be gone with the server. One that it may not write says who forbids it."""
    (apart := tmp_path / "apart").mkdir()
    (locked := tmp_path / "locked").mkdir()
    mounts = f"mount -t tmpfs none {apart}; mount -t tmpfs -o ro none {locked}"
    with server(environ, "unshare", "--mount", "sh", "-c", f'{mounts}; exec "$@"', "sh"):
        done = crm("tenant", "backup", "northwind", str(apart / "a.backup"))
        assert (done.returncode, done.stdout) == (1, "")
        assert "which is not here: it sees other folders" in done.stderr
        done = crm("tenant", "backup", "northwind", str(locked / "a.backup"))
        assert (done.returncode, "Read-only file system; its unit or container" in done.stderr) == (1, True)
        (apart / "b.backup").touch()
        done = crm("tenant", "restore", "southwind", str(apart / "b.backup"))
        assert (done.returncode, "a server sees other folders" in done.stderr) == (1, True)


@pytest.mark.parametrize("served", [False, True])
def test_create_several_and_remove_one(crm: Run, environ: dict[str, str], tmp_path: Path, served: bool) -> None:
    """All or none are created; a removed tenant is in its backup only, and comes back from it."""
    with server(environ) if served else nullcontext():
        (tmp_path / "names").write_text("\ufeffalpha\n\nbeta\n")
        refused = crm("tenant", "create", "gamma", "northwind", "No_Name", "--from", "names")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.splitlines() == [
            "'No_Name' is not a tenant name: use 1 to 63 of a-z, 0-9 and -, and no - at the start or end",
            "tenant northwind exists already: choose another name",
            "no tenant was created; correct the names",
        ]
        assert crm("tenant", "create", "gamma", "gamma").returncode == 1
        assert [one["tenant"] for one in json_of(crm("tenant", "list", "--json"))] == ["northwind"]
        made = crm("tenant", "create", "gamma", "--from", "names", "--json")
        assert json_of(made) == [{"tenant": name, "key_added": True} for name in ("gamma", "alpha", "beta")]
        assert len(json_of(crm("keys", "list", "--json"))) == 4
        assert crm("tenant", "remove", "beta").returncode == 2
        assert crm("tenant", "remove", "unknown", "--yes").returncode == 1
        done = json_of(crm("tenant", "remove", "beta", "--yes", "--json"))
        assert Path(done["backup"]).parent == tmp_path / "backups"
        assert (tmp_path / "backups").stat().st_mode & 0o777 == 0o700
        assert crm("tenant", "remove", "alpha", "--yes", "--no-backup").returncode == 0
        assert [one["tenant"] for one in json_of(crm("tenant", "list", "--json"))] == ["gamma", "northwind"]
        assert sorted(path.name for path in (tmp_path / "tenants").iterdir() if path.is_dir()) == ["gamma", "northwind"]
        assert {one["tenant"] for one in json_of(crm("keys", "list", "--json"))} == {"gamma", "northwind"}
        assert crm("tenant", "restore", "beta", done["backup"]).returncode == 0
        assert crm("tenant", "create").returncode == 2
        assert crm("tenant", "create", "--from", "absent").returncode == 2


def test_a_tenant_whose_backup_fails_stays(crm: Run, tmp_path: Path) -> None:
    """If the backup cannot be written, the tenant keeps its name, data and roster entry."""
    (tmp_path / "backups").write_text("a file")
    refused = crm("tenant", "remove", "northwind", "--yes")
    assert (refused.returncode, "cannot be created" in refused.stderr) == (1, True)
    (tmp_path / "backups").unlink()
    (tmp_path / "backups").symlink_to("/proc")
    assert crm("tenant", "remove", "northwind", "--yes").returncode == 1
    assert [one["tenant"] for one in json_of(crm("tenant", "list", "--json"))] == ["northwind"]
    assert len(json_of(crm("keys", "list", "--json"))) == 1


def test_restore_and_move(crm: Run, serving: tuple[str, int]) -> None:
    """A backup restores to a new tenant, never over a live one; a moved tenant is unknown by its old name."""
    address, _ = serving
    create_customers(crm, address, 2)
    token = crm("token", "create", "--tenant", "northwind", "--scope", "customers:read").stdout.split()[0]
    assert crm("tenant", "backup", "northwind", "copy").returncode == 0
    live = crm("tenant", "restore", "northwind", "copy")
    assert (live.returncode, "move its folder away first" in live.stderr) == (1, True)
    restored = crm("tenant", "restore", "contoso", "copy")
    assert restored.returncode == 0
    assert "no entry for contoso" in restored.stderr
    assert "crm keys rotate contoso" in restored.stderr
    assert "it has no API tokens" in restored.stderr
    statuses = [
        httpx.get(
            f"{address}/i/eu1/t/{name}/api/v1/customers", headers={"Authorization": f"Bearer {token}"}
        ).status_code
        for name in ("northwind", "contoso")
    ]
    assert statuses == [200, 401]
    assert crm("keys", "rotate", "contoso").returncode == 0
    assert crm("tenant", "restore", "litware", "copy").returncode == 0
    moved = crm("tenant", "move", "contoso", "fabrikam")
    assert (moved.returncode, moved.stderr) == (0, "")
    assert {one["tenant"] for one in json_of(crm("keys", "list", "--json"))} == {"fabrikam", "northwind"}
    assert [one["tenant"] for one in json_of(crm("tenant", "list", "--json"))] == ["fabrikam", "litware", "northwind"]
    assert httpx.get(f"{address}/i/eu1/t/contoso/api/v1/bootstrap/public").status_code == 404
    assert httpx.get(f"{address}/i/eu1/t/fabrikam/api/v1/bootstrap/public").status_code == 200
    taken = crm("tenant", "move", "fabrikam", "northwind")
    assert (taken.returncode, "exists already" in taken.stderr) == (1, True)
    assert crm("tenant", "move", "absent", "elsewhere").returncode == 1
    cut = crm("tenant", "restore", "third", "config/keys.yaml")
    assert (cut.returncode, "not a whole backup" in cut.stderr) == (1, True)


def test_a_tenant_in_quarantine_is_moved(crm: Run, tmp_path: Path) -> None:
    """Its name is free for a restore; its tokens, which no write can give to the new name, are said to be refused."""
    assert crm("token", "create", "--tenant", "northwind", "--scope", "customers:read").returncode == 0
    (tmp_path / "tenants" / "northwind" / "quarantine").write_text("a segment is damaged\nRemove this file.\n")
    moved = crm("tenant", "move", "northwind", "damaged")
    assert (moved.returncode, "its API tokens are refused" in moved.stderr) == (0, True)
    assert [one["tenant"] for one in json_of(crm("keys", "list", "--json"))] == ["damaged"]
    assert [one["tenant"] for one in json_of(crm("tenant", "list", "--json"))] == ["damaged"]


def test_restore_and_create_where_the_folder_was_moved_away(crm: Run, serving: tuple[str, int], tmp_path: Path) -> None:
    """The running server accepts a restored tenant, and a new one, in place of one whose folder is gone."""
    address, _ = serving
    folder = tmp_path / "tenants" / "northwind"
    create_customers(crm, address, 2)
    assert crm("tenant", "backup", "northwind", "copy").returncode == 0
    (folder / "quarantine").write_text("a segment is damaged\nRemove this file.\n")
    folder.rename(tmp_path / "away")
    restored = crm("tenant", "restore", "northwind", "copy")
    assert (restored.returncode, restored.stderr) == (0, "")
    assert httpx.get(f"{address}/readyz").json()["status"] == "ready"
    assert crm("token", "create", "--tenant", "northwind", "--scope", "customers:read").returncode == 0
    assert crm("doctor", "northwind").returncode == 0
    assert crm("tenant", "fold", "northwind").returncode == 0
    (folded,) = folder.glob("store-*.json")
    assert stored(folded) == {"Ada 0", "Ada 1"}
    folder.rename(tmp_path / "away-2")
    assert crm("tenant", "create", "northwind").returncode == 0
    assert json_of(crm("tenant", "show", "northwind", "--json"))["revision"] == 0
    assert create_customers(crm, address, 1)


def test_doctor_names_secrets_that_others_can_read(crm: Run, tmp_path: Path) -> None:
    """Those next to the config files that refer to them; one elsewhere, as of a container, is not the folder's."""
    secret, elsewhere = tmp_path / "config" / "secret_key", tmp_path / "old_key"
    for each in (secret, elsewhere):
        each.write_text("k" * 40)
        each.chmod(0o644)
    settings = tmp_path / "config" / "instance.yaml"
    named = f"secret_key: [file:secret_key, file:{elsewhere}]"
    settings.write_text(settings.read_text().replace("secret_key: env:CRM_SECRET_KEY", named))
    ill = crm("doctor")
    (problem,) = [line for line in ill.stdout.splitlines() if line.startswith("config")]
    assert (ill.returncode, problem) == (1, f"config: {secret} can be read by others: chmod 0600 {secret}")
    secret.chmod(0o600)
    assert crm("doctor").returncode == 0


def test_doctor_names_files_that_it_cannot_read(environ: dict[str, str], crm: Run, tmp_path: Path) -> None:
    """Such as those of another user: they are problems like others, and the rest is checked."""
    for name in ("modules.yaml", "roles.yaml"):
        (tmp_path / "config" / name).chmod(0)
    bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    words = [*bound, str(CRM), "doctor"]
    ill = subprocess.run(words, env=environ, capture_output=True, text=True, check=False)
    named = [line.split(":")[1].strip() for line in ill.stdout.splitlines() if "Permission denied" in line]
    assert (ill.returncode, ill.stderr, named) == (1, "", ["modules.yaml", "roles.yaml"])


def test_doctor_names_what_is_damaged(crm: Run, tmp_path: Path) -> None:
    """Doctor exits 0 on a healthy instance, and 1 with each damaged file and its fix, and open permissions."""
    well = crm("doctor")
    assert (well.returncode, well.stdout) == (0, "config: no problems found\nnorthwind: no problems found\n")
    assert crm("tenant", "create", "contoso").returncode == 0
    roster = tmp_path / "config" / "keys.yaml"
    roster.chmod(0o644)
    (journal,) = (tmp_path / "tenants" / "contoso").glob("journal-*.log")
    journal.write_bytes(b"")
    ill = crm("doctor", "--json")
    assert ill.returncode == 1
    found = json.loads(ill.stdout)
    assert found["tenants"]["northwind"] == []
    assert any(journal.name in problem for problem in found["tenants"]["contoso"])
    assert any("chmod 0600" in problem for problem in found["config"])
    (aside,) = journal.parent.glob("*.damaged-*")
    assert (aside.name, (journal.parent / "quarantine").exists()) == (f"{journal.name}.damaged-1", True)
    fixes = [line for line in crm("doctor").stdout.splitlines() if "crm tenant restore" in line]
    assert [line.partition(":")[0] for line in fixes] == ["contoso"]
    assert "move its folder away" in fixes[0]
    assert crm("doctor", "northwind").returncode == 0  # permissions are those of all tenants
    whole = roster.read_text()
    roster.write_text(f"{whole}nothing: 1\n")
    assert crm("doctor", "northwind").stdout.startswith("config: keys.yaml:")
    roster.write_text(whole)
    assert "there is no tenant absent" in crm("doctor", "absent").stderr
    listed = {one["tenant"]: one["mode"] for one in json_of(crm("tenant", "list", "--json"))}
    assert listed == {"contoso": "quarantined", "northwind": "ok"}
    assert crm("migrate").returncode == 0


def test_quarantine_shows_while_serving(crm: Run, environ: dict[str, str], tmp_path: Path) -> None:
    """A tenant with a damaged file can be read, is degraded in health and named by /readyz; others work."""
    assert crm("tenant", "create", "contoso").returncode == 0
    options = ("--tenant", "contoso", "--scope", "sync:health", "--scope", "customers:read")
    token = json_of(crm("token", "create", *options, "--json"))["token"]
    assert crm("tenant", "fold", "contoso").returncode == 0
    (folded,) = (tmp_path / "tenants" / "contoso").glob("store-*.json")
    folded.write_bytes(folded.read_bytes()[:-7])
    with server(environ) as (address, _):
        bearer = {"Authorization": f"Bearer {token}"}
        health = httpx.get(f"{address}/i/eu1/t/contoso/api/v1/sync/health", headers=bearer)
        assert health.status_code == 200, health.text
        assert health.json()["status"] == "degraded"
        assert folded.name in " ".join(health.json()["reasons"])
        assert httpx.get(f"{address}/i/eu1/t/contoso/api/v1/customers", headers=bearer).status_code == 200
        ready = httpx.get(f"{address}/readyz")
        assert ready.status_code == 200
        (ill,) = ready.json()["tenants"]
        assert (ill["tenant"], ill["state"]) == ("contoso", "quarantined")
        assert eventually(lambda: logged(tmp_path, "tenant_troubled"))
        refused = crm("token", "create", *options)
        assert (refused.returncode, "storage_unavailable" in refused.stderr) == (1, True)
        assert create_customers(crm, address, 1)
        (folder,) = (tmp_path / "tenants").glob("contoso")
        (folder / "quarantine").unlink()
        assert httpx.get(f"{address}/readyz").json()["tenants"] == []
        assert crm("token", "create", *options).returncode == 0
        assert eventually(lambda: logged(tmp_path, "tenant_recovered"))
        troubled = logged(tmp_path, "tenant_troubled")
        assert {(line["tenant"], line["mode"]) for line in troubled} == {("contoso", "quarantined")}
        assert any(folded.name in line["reason"] for line in troubled)
