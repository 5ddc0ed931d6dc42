"""A failover that is really run: the primary of two PostgreSQL servers is killed under load, the standby promoted.

``python tests/soak/failover.py`` prints the run with its clock and exits 1 if an answered change is missing, or pushes
need more than ten seconds after the promotion. Replication is synchronous; ``crm serve`` runs in two processes.
"""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import psycopg

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))

from contract.box import Box, until  # noqa: E402 -- found through the path above when run as a program
from postgresql_server import ROLE, programs  # noqa: E402 -- likewise

RESUME_WITHIN = 10.0


class Cluster:
    """A primary and a standby in a folder."""

    def __init__(self, folder: Path) -> None:
        found = programs()
        assert found is not None, "PostgreSQL is not installed: apt-get install -y postgresql"
        self.programs, self.folder, self.demote = found, folder, list[str]()
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)
            self.demote = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]

    def run(self, program: str, *words: str | Path) -> None:
        command = [*self.demote, self.programs / program, *words]
        subprocess.run(command, check=True, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start(self, name: str, port: int, *settings: str) -> None:
        options = " ".join(
            f"-c {each}" for each in (f"port={port}", "listen_addresses=''", "max_connections=100", *settings)
        )
        log = self.folder / f"{name}.log"
        self.run("pg_ctl", "-D", self.folder / name, "-w", "-l", log, "-o", f"-k {self.folder} {options}", "start")

    def admin(self, port: int) -> psycopg.Connection[Any]:
        return psycopg.connect(host=str(self.folder), port=port, user="postgres", dbname="postgres", autocommit=True)

    def build(self) -> str:
        """Both servers, replicating synchronously; the DSN that names both."""
        self.run("initdb", "-D", self.folder / "one", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C")
        self.start("one", 5501)
        with closing(self.admin(5501)) as db:
            db.execute(f"CREATE ROLE {ROLE} LOGIN NOSUPERUSER NOBYPASSRLS")
            db.execute(f"CREATE DATABASE crm OWNER {ROLE}")
        self.run(
            "pg_basebackup",
            "-h",
            self.folder,
            "-p",
            "5501",
            "-U",
            "postgres",
            "-D",
            self.folder / "two",
            "-R",
            "-cfast",
        )
        self.start("two", 5502)
        self.run("pg_ctl", "-D", self.folder / "one", "-m", "fast", "-w", "stop")
        self.start("one", 5501, "synchronous_standby_names='*'")  # on its command line, so that the standby has none
        with closing(self.admin(5501)) as db:
            query = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
            until(lambda: db.execute(query).fetchone() is not None, lambda: "the standby does not replicate")
        host = self.folder
        return f"host={host},{host} port=5501,5502 user={ROLE} dbname=crm target_session_attrs=read-write"

    def kill(self, name: str) -> None:
        """Kill a server and its processes with -9."""
        pid = int((self.folder / name / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in (pid, *map(int, children)):
            os.kill(each, signal.SIGKILL)

    def stop(self, name: str) -> None:
        self.run("pg_ctl", "-D", self.folder / name, "-m", "immediate", "stop")


class Writers:
    """Threads that create customers and push, and remember what was answered, and when."""

    def __init__(self, box: Box) -> None:
        self.box, self.stopping = box, threading.Event()
        self.headers = box.bearer("customers:read", "customers:write")
        self.created, self.pushed = dict[str, float](), dict[int, float]()
        self.statuses: set[int] = set()
        self._threads = [threading.Thread(target=self._create, args=(number,)) for number in range(3)]
        self._threads.append(threading.Thread(target=self._push))

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        with closing(HTTPConnection("127.0.0.1", self.box.port, timeout=15)) as connection:
            connection.request(method, self.box.base() + path, body, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def _create(self, number: int) -> None:
        step = 0
        while not self.stopping.is_set():
            name = f"c{number}-{step}"
            try:
                body = json.dumps({"name": name}).encode()
                status, _ = self._ask("PUT", f"/customers/external/{name}", body, self.headers)
            except (OSError, HTTPException):
                continue
            self.statuses.add(status)
            if status in (200, 201):
                self.created[name] = time.monotonic()
                step += 1
            else:
                time.sleep(0.1)

    def _push(self) -> None:
        version = 1
        while not self.stopping.is_set():
            raw = self.box.body("branding", {"title": f"Title {version}"}, version=version)
            try:
                status, text = self._ask("POST", "/sync/branding", raw, self.box.sign("branding", raw))
            except (OSError, HTTPException):
                continue
            self.statuses.add(status)
            if status == 200:
                self.pushed[version] = time.monotonic()
            elif json.loads(text).get("code") not in ("stale_version", "duplicate_payload"):
                time.sleep(0.1)
                continue
            version += 1

    def run(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self.stopping.set()
        for thread in self._threads:
            thread.join()


def failover(folder: Path) -> bool:
    """The run, line by line; whether all went well."""
    servers = folder / "servers"
    servers.mkdir()
    cluster = Cluster(servers)
    dsn = cluster.build()
    box = Box(folder / "box", settings={"storage": {"backend": "postgresql", "dsn": dsn, "pool": 5}})
    box.options = ("--processes", "2")
    box.crm("migrate")
    box.create_tenants().start()
    writers, begun = Writers(box), time.monotonic()

    def say(text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - begun:7.2f} s  {text}\n")
        sys.stdout.flush()

    writers.run()
    until(lambda: len(writers.created) > 100 and len(writers.pushed) > 20, box.log_text)
    say(f"{len(writers.created)} customers and {len(writers.pushed)} pushes answered; the primary is killed with -9")
    cluster.kill("one")
    time.sleep(3.0)
    say(f"no primary for 3 seconds; statuses so far: {sorted(writers.statuses)}; the standby is promoted")
    cluster.run("pg_ctl", "-D", servers / "two", "-w", "promote")
    promoted = time.monotonic()
    say("promoted")
    until(lambda: max(writers.pushed.values()) > promoted, box.log_text)
    until(lambda: max(writers.created.values()) > promoted, box.log_text)
    resumed = min(moment for moment in writers.pushed.values() if moment > promoted) - promoted
    say(f"the first push was answered {resumed:.2f} s after the promotion")
    time.sleep(2.0)
    writers.stop()
    with closing(psycopg.connect(host=str(servers), port=5502, user="postgres", dbname="crm")) as db:
        rows = db.execute("SELECT body FROM crm.documents WHERE collection = 'records:customers'").fetchall()
    found = {json.loads(body)["external_id"] for (body,) in rows}
    lost = writers.created.keys() - found
    log = box.crm("log", "verify", "--tenant", "northwind").strip()
    applied = box.crm("log", "export", "--tenant", "northwind").count('"applied"')
    say(f"{len(writers.created)} customers answered, {len(lost)} of them lost; {len(writers.pushed)} pushes answered")
    say(f"{applied} pushes applied; {log}")
    ended = box.stop()
    cluster.stop("two")
    say(f"crm serve exited {ended}")
    return not lost and applied >= len(writers.pushed) and resumed <= RESUME_WITHIN and ended == 0


def main() -> None:
    """Run the failover in a folder that the servers' user may enter."""
    with tempfile.TemporaryDirectory(prefix="crm-failover-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        sys.exit(0 if failover(folder) else 1)


if __name__ == "__main__":
    main()
