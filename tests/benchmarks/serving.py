"""Servers under load: the product with its files in a folder, and the stock application, each its own process."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 32
KEY = bytes(range(1, 33))


def free_port() -> int:
    """A port that no one listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def raw(method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
    """A request as its bytes."""
    fields = {"Host": "127.0.0.1", **(headers or {})}
    if body:
        fields["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def branding(version: int) -> dict[str, object]:
    """A branding section that differs with each version."""
    return {
        "title": f"Northwind {version}",
        "colors": {"primary": "#0b5fff", "sidebar": "#ffffff", "text": "#1b2230"},
        "footer": {"text": "Northwind", "links": [{"label": "Help", "url": "https://example.com/help"}]},
        "login_message": "x" * 300,
    }


@dataclass(frozen=True)
class Product:
    """A running instance ``eu1``; each tenant has KEY under its own key version."""

    port: int
    pid: int
    config: Path

    def base(self, tenant: str) -> str:
        """The path of a tenant's API."""
        return f"/i/eu1/t/{tenant}/api/v1"

    def crm(self, *words: str, given: str = "") -> str:
        """Run a command of the instance."""
        return crm(self.config, *words, given=given)

    def token(self, tenant: str, *scopes: str) -> str:
        """A token with these scopes."""
        wanted = [word for scope in scopes for word in ("--scope", scope)]
        token: str = json.loads(self.crm("token", "create", "--tenant", tenant, *wanted, "--json"))["token"]
        return token

    def push(self, tenant: str, payload_type: str, data: object, version: int) -> bytes:
        """A signed push as its bytes."""
        body = json.dumps({"tenant": tenant, "type": payload_type, "version": version, "data": data}).encode()
        stamp, nonce, key = int(time.time()), secrets.token_urlsafe(18), tenant_key(tenant)
        digest = hashlib.sha256(body).hexdigest()
        text = "\n".join(["crm-sync-v1", "eu1", tenant, payload_type, "1", str(stamp), nonce, digest])
        headers = {
            "Content-Type": "application/json",
            "Sync-Key-Version": "1",
            "Sync-Timestamp": str(stamp),
            "Sync-Nonce": nonce,
            "Sync-Signature": "v1=" + hmac.new(key, text.encode(), hashlib.sha256).hexdigest(),
        }
        return raw("POST", f"{self.base(tenant)}/sync/{payload_type}", headers, body)


def pushes(served: Product, tenants: Sequence[str], versions: Iterator[int], each: int) -> list[list[bytes]]:
    """Fresh pushes that change each tenant's branding so many times, a list for each connection."""
    numbers = [next(versions) for _ in range(each)]
    lines: list[list[bytes]] = [[] for _ in range(CONNECTIONS)]
    for number in numbers:
        for at, name in enumerate(tenants):
            lines[at % CONNECTIONS].append(served.push(name, "branding", branding(number), number))
    return lines


def tenant_key(tenant: str) -> bytes:
    """The signing key of a tenant."""
    return hashlib.sha256(KEY + tenant.encode()).digest()


def environ() -> dict[str, str]:
    """The environment of the product's processes."""
    return {**os.environ, "CRM_SECRET_KEY": "bench-" + "k" * 40}


def crm(config: Path, *words: str, given: str = "") -> str:
    """Run a command to its end; what it printed."""
    command = [sys.executable, "-m", "crm_core.cli", *words, "--config", str(config)]
    done = subprocess.run(command, env=environ(), input=given, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def configured(folder: Path, tenants: Collection[str], storage: str = "") -> tuple[Path, int]:
    """The configuration of an instance with these tenants, and the port that it names. ``storage``: another backend."""
    config, port = folder / "config", free_port()
    crm(config, "init", "--instance", "eu1")
    instance = config / "instance.yaml"
    text = instance.read_text().replace("listen: 127.0.0.1:8000", f"listen: 127.0.0.1:{port}")
    instance.write_text(text.replace("storage: {backend: tinydb}", storage) if storage else text)
    rows = [f"  {name}: {{keys: [{{version: 1, secret: 'hex:{tenant_key(name).hex()}'}}]}}" for name in tenants]
    (config / "keys.yaml").write_text("tenants:\n" + "\n".join(rows) + "\n")
    if storage:
        crm(config, "migrate")
    crm(config, "tenant", "create", *tenants)
    return config, port


@contextmanager
def product(folder: Path, tenants: Collection[str], storage: str = "") -> Iterator[Product]:
    """An instance with these tenants, serving."""
    config, port = configured(folder, tenants, storage)
    command = [sys.executable, "-m", "crm_core.cli", "serve", "--config", str(config)]
    with _running(command, port, "/readyz", folder) as pid:
        yield Product(port, pid, config)


@dataclass(frozen=True)
class Other:
    """A running server that the product is compared with."""

    port: int
    pid: int


@contextmanager
def stock(folder: Path) -> Iterator[Other]:
    """The stock application, serving."""
    port = free_port()
    with _running([sys.executable, "-m", "benchmarks.stock", str(port)], port, "/hello", folder) as pid:
        yield Other(port, pid)


@contextmanager
def peer(folder: Path) -> Iterator[Other]:
    """The peer, serving from a new database. Its packages are the extra ``bench``."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.peer", str(port), str(folder / "peer.db")]
    with _running(command, port, "/docs", folder) as pid:
        yield Other(port, pid)


@contextmanager
def off_the_measured_core() -> Iterator[None]:
    """Processes started in the meantime leave the measured server its core, as if they ran on another machine."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, (cores - {max(cores)}) or cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@contextmanager
def _running(command: list[str], port: int, ready: str, folder: Path) -> Iterator[int]:
    with (folder / "server.log").open("ab") as log:
        server = subprocess.Popen(command, env=environ(), stdout=log, stderr=log)
        os.sched_setaffinity(server.pid, {max(os.sched_getaffinity(0))})  # one core, on which every server is measured
        try:
            for _ in range(200):
                assert server.poll() is None, (folder / "server.log").read_text()[-2000:]
                with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}{ready}"):
                    break
                time.sleep(0.05)
            yield server.pid
        finally:
            server.terminate()
            server.wait(20)
