"""A running instance seen from outside: the ``crm`` command, the files an admin edits, and the wire.

It signs pushes with its own lines, so that a fault in the product's client and verifier cannot cancel out.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml
from click.testing import CliRunner

import forked
from crm_core.cli.main import crm
from plain_http import PLAIN

SECRET_KEY = "of-the-instance-" + "k" * 40
TENANT = "northwind"
WAIT = 60.0  # seconds until something is broken: starting takes half a second, on a busy machine twenty


def key_of(tenant: str = TENANT, version: int = 2) -> bytes:
    """The key that a tenant's platform signs with."""
    return hashlib.sha256(f"{tenant} {version}".encode()).digest()


def roster_key(tenant: str = TENANT, version: int = 2, **members: Any) -> dict[str, Any]:
    """An entry of keys.yaml."""
    return {"version": version, "secret": "hex:" + key_of(tenant, version).hex(), **members}


class Box:
    """One instance in its own folder."""

    program: Sequence[str] = (str(forked.REAL),)  # what runs ``crm serve``; a fork may replace the real one
    options: Sequence[str] = ()  # of ``crm serve``

    def __init__(
        self,
        folder: Path,
        *,
        tenants: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        files: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """``tenants``: entries of keys.yaml; ``settings``: over instance.yaml; ``files``: more of the config folder."""
        self.folder, self.config = folder, folder / "config"
        self.config.mkdir(parents=True)
        self.environ = {**os.environ, "CRM_SECRET_KEY": SECRET_KEY, **(environ or {})}
        self.roster: dict[str, Any] = dict(tenants or {TENANT: {"keys": [roster_key()]}})
        self.write_settings(settings or {})
        self.write_roster()
        for name, text in (files or {}).items():
            (self.config / name).parent.mkdir(exist_ok=True)
            (self.config / name).write_text(text)
        self.versions = itertools.count(1)
        self.process: forked.Process | subprocess.Popen[bytes] | None = None
        self.client = httpx.Client(verify=PLAIN)
        self._tokens: dict[tuple[str, ...], str] = {}

    # The admin

    def write_settings(self, over: Mapping[str, Any]) -> None:
        """Write instance.yaml."""
        settings: dict[str, Any] = {
            "instance": "eu1",
            "listen": "127.0.0.1:0",
            "tenants_dir": "../tenants",
            "secret_key": "env:CRM_SECRET_KEY",
            "sync": {"unverified_per_minute": 100_000},
        }
        for name, value in over.items():
            settings[name] = {**settings.get(name, {}), **value} if isinstance(value, dict) else value
        (self.config / "instance.yaml").write_text(yaml.safe_dump(settings))

    def write_roster(self) -> None:
        """Write keys.yaml from ``roster``."""
        (self.config / "keys.yaml").write_text(yaml.safe_dump({"tenants": self.roster}))

    def crm(self, *words: str, code: int = 0, stdin: str = "") -> str:
        """Run a command in this process; its standard output and error. It must end with ``code``."""
        arguments = [*words, "--config", str(self.config)]
        environ = {name: self.environ[name] for name in self.environ if os.environ.get(name) != self.environ[name]}
        done = CliRunner().invoke(_Bounded(), arguments, env=environ, input=stdin)
        assert done.exit_code == code, (
            f"crm {' '.join(words)} exited {done.exit_code}: {done.output} {done.exception!r}"
        )
        return done.output

    def create_tenants(self) -> Box:
        """Make the stores of the tenants in the roster."""
        for tenant in self.roster:
            self.crm("tenant", "create", tenant)
        return self

    def start(self, limits: str = "") -> Box:
        """Run ``crm serve``, under limits such as ``ulimit -n 200``, and wait for the line with its address."""
        with (self.folder / "server.out").open("wb") as out, (self.folder / "server.log").open("ab") as log:
            words = ["serve", *self.options, "--config", str(self.config)]
            if limits or self.program != Box.program:
                before = ("sh", "-c", f'{limits}; exec "$@"', "sh") if limits else ()
                self.process = subprocess.Popen(
                    [*before, *self.program, *words], env=self.environ, stdout=out, stderr=log
                )
            else:
                self.process = forked.start(words, self.environ, out, log)
        until(lambda: b"serves" in self.said(), lambda: f"not ready: {self.log_text()[-2000:]}", self.process)
        self.client.close()
        self.client = httpx.Client(base_url=self.said().split()[3].decode(), timeout=30, verify=PLAIN)
        return self

    def spent(self) -> float:
        """Seconds of processor time that the server has taken, its threads counted; others' work is not in it."""
        assert self.process is not None
        threads = Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9

    def said(self) -> bytes:
        """The server's output so far."""
        return (self.folder / "server.out").read_bytes()

    def log_text(self) -> str:
        """The server's log."""
        return (self.folder / "server.log").read_text(errors="replace")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the server; its exit code."""
        self.client.close()
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(WAIT)
        self.process = None
        return code

    def reload(self, settled: Callable[[], bool]) -> None:
        """Have the server read edited files now, and wait until it shows."""
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)
        until(settled, lambda: f"the edit did not come into force: {self.log_text()[-2000:]}")

    # The platform

    @property
    def port(self) -> int:
        """Where the server listens."""
        port = self.client.base_url.port
        assert port is not None
        return port

    @staticmethod
    def base(tenant: str = TENANT) -> str:
        """The path of a tenant's API."""
        return f"/i/eu1/t/{tenant}/api/v1"

    def body(self, kind: str, data: Any, tenant: str = TENANT, **envelope: Any) -> bytes:
        """The body of a push; None leaves a member out."""
        version = envelope.pop("version", None) or next(self.versions)
        made = {"tenant": tenant, "instance": "eu1", "type": kind, "version": version, "data": data, **envelope}
        return json.dumps({name: value for name, value in made.items() if value is not None}).encode()

    def sign(
        self,
        kind: str,
        body: bytes,
        *,
        tenant: str = TENANT,
        key: bytes | None = None,
        key_version: int = 2,
        timestamp: int | None = None,
        nonce: str | None = None,
        instance: str = "eu1",
    ) -> dict[str, str]:
        """The headers of a push signed as ``crm-sync-v1``."""
        stamp = str(int(time.time()) if timestamp is None else timestamp)
        nonce = nonce or secrets.token_urlsafe(24)
        digest = hashlib.sha256(body).hexdigest()
        lines = ["crm-sync-v1", instance, tenant, kind, str(key_version), stamp, nonce, digest]
        mac = hmac.new(key or key_of(tenant, key_version), "\n".join(lines).encode(), hashlib.sha256)
        return {
            "Content-Type": "application/json",
            "Sync-Key-Version": str(key_version),
            "Sync-Timestamp": stamp,
            "Sync-Nonce": nonce,
            "Sync-Signature": "v1=" + mac.hexdigest(),
        }

    def push(
        self,
        kind: str,
        data: Any = None,
        *,
        tenant: str = TENANT,
        raw: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
        path: str | None = None,
        envelope: Mapping[str, Any] | None = None,
        **signing: Any,
    ) -> httpx.Response:
        """POST a signed push; ``headers`` go over the signed ones, None takes one away."""
        body = raw if raw is not None else self.body(kind, data, tenant, **(envelope or {}))
        sent: dict[str, str | None] = {**self.sign(kind, body, tenant=tenant, **signing), **(headers or {})}
        present = {name: value for name, value in sent.items() if value is not None}
        return self.client.post(path or f"{self.base(tenant)}/sync/{kind}", content=body, headers=present)

    def applied(self, kind: str, data: Any, **how: Any) -> dict[str, Any]:
        """Push what must be applied; the answer."""
        return good(self.push(kind, data, **how))

    # Readers

    def bearer(self, *scopes: str, tenant: str = TENANT) -> dict[str, str]:
        """The header of a token with these scopes; all of sync's unless others are given."""
        wanted = scopes or ("sync:health", "sync:read", "sync:admin")
        if (tenant, *wanted) not in self._tokens:
            options = [word for scope in wanted for word in ("--scope", scope)]
            made = json.loads(self.crm("token", "create", "--tenant", tenant, *options, "--json"))
            self._tokens[tenant, *wanted] = made["token"]
        return {"Authorization": f"Bearer {self._tokens[tenant, *wanted]}"}

    def get(
        self, path: str, *, tenant: str = TENANT, headers: Mapping[str, str] | None = None, **query: Any
    ) -> httpx.Response:
        """GET an address below the tenant's API with a token for all of sync."""
        sent = {**self.bearer(tenant=tenant), **(headers or {})}
        return self.client.get(f"{self.base(tenant)}/{path}", headers=sent, params=query or None)

    def health(self, tenant: str = TENANT) -> dict[str, Any]:
        """What health says."""
        return good(self.get("sync/health", tenant=tenant))

    def entry(self, request_id: str, tenant: str = TENANT) -> dict[str, Any]:
        """The one log entry of a request."""
        items = good(self.get("sync/log", tenant=tenant, request_id=request_id))["items"]
        assert len(items) == 1, items
        found: dict[str, Any] = items[0]
        return found

    def public(self, tenant: str = TENANT) -> Any:
        """What anybody sees of the tenant."""
        return good(self.client.get(f"{self.base(tenant)}/bootstrap/public"))

    def bootstrap(self, tenant: str = TENANT) -> dict[str, Any]:
        """The tenant as a token's bearer sees it."""
        return good(self.get("bootstrap", tenant=tenant))


class _Bounded(type(crm)):  # type: ignore[misc]  # the group's own class
    """The group of commands with the boundary where our errors become exit codes."""

    def __init__(self) -> None:
        super().__init__("crm")

    def invoke(self, ctx: Any) -> Any:
        from crm_core.cli.running import boundary

        with boundary():
            return super().invoke(ctx)


def until(
    done: Callable[[], bool],
    complaint: Callable[[], str],
    process: forked.Process | subprocess.Popen[bytes] | None = None,
) -> None:
    """Wait for something; fail with ``complaint`` where it does not come, or the process ends."""
    deadline = time.monotonic() + WAIT
    while not done():
        assert time.monotonic() < deadline, complaint()
        assert process is None or process.poll() is None, complaint()
        time.sleep(0.01)


def good(answer: httpx.Response) -> Any:
    """The JSON of a 200."""
    assert answer.status_code == 200, f"{answer.status_code} {answer.text[:800]}"
    return answer.json()


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The members of the problem that an answer must be (RFC 9457)."""
    assert (answer.status_code, code) == (status, _code(answer)), answer.text[:800]
    assert answer.headers["content-type"] == "application/problem+json"
    reported: dict[str, Any] = answer.json()
    assert reported["status"] == status
    assert reported["title"]
    assert reported["detail"]
    assert reported["type"]
    assert reported["request_id"] == answer.headers["x-request-id"]
    return reported


def _code(answer: httpx.Response) -> Any:
    return answer.json().get("code") if "json" in answer.headers.get("content-type", "") else None


def pointers(reported: Mapping[str, Any]) -> set[str]:
    """The pointers of a problem's errors."""
    return {error["pointer"] for error in reported["errors"]}


def warned(reported: Mapping[str, Any]) -> Iterable[str]:
    """The codes of an answer's warnings."""
    return [warning["code"] for warning in reported["warnings"]]


BRANDING: dict[str, Any] = {
    "title": "Nordwind Reisen",
    "colors": {"primary": "#0b5fff", "sidebar": "#10243e"},
    "footer": {"text": "Nordwind GmbH", "links": [{"label": "Help", "url": "https://example.com/help"}]},
}
PLAN: dict[str, Any] = {"code": "growth", "name": "Growth", "features": ["customers.*", "deals.*", "tasks.*"]}
PASSWORD = "s3cret-Passw0rd!"
SMTP: dict[str, Any] = {
    "host": "smtp.example.com",
    "port": 587,
    "security": "starttls",
    "username": "mailer",
    "password": PASSWORD,
    "from_email": "crm@example.com",
    "from_name": "Nordwind",
}
WORKSPACE: dict[str, Any] = {"locale": "de-DE", "timezone": "Europe/Berlin", "currency": "EUR"}
