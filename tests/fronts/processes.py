"""Instances and fronts as the programs that an admin starts, each on its own files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

import forked
from crm_core.client import Target, envelope, fresh_nonce, native_signer, push_to
from free_ports import free_port
from plain_http import PLAIN

SECRET_KEY = "tests-" + "k" * 40
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


class Program:
    """A program that was started, and what it wrote."""

    def __init__(self, words: Sequence[str | Path], log: Path) -> None:
        self._log = log
        with log.open("ab") as out:
            environ = {**os.environ, "CRM_SECRET_KEY": SECRET_KEY, "PATH": PATH}
            program, *rest = map(str, words)
            self._process = (
                forked.start(rest, environ, out, out)
                if program == str(forked.REAL)
                else subprocess.Popen([program, *rest], stdout=out, stderr=out, env=environ)
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def until(self, url: str, seconds: float = 60) -> None:
        """Wait until an address answers 200."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self._process.poll() is None, self.written()
            try:
                if httpx.get(url, verify=PLAIN).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.03)
        raise AssertionError(f"{url} did not answer 200: {self.written()}")

    def written(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        self._process.send_signal(number)
        return self._process.wait(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()  # nginx's workers outlive a killed master
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


class Instance:
    """An instance in its own folder with tenants, each with its own key; started by ``start``."""

    def __init__(self, home: Path, code: str, tenants: Sequence[str], *, unix: bool = False) -> None:
        self.code = code
        self.config = home / code / "config"
        self.listen = f"unix:{home / code}.sock" if unix else f"127.0.0.1:{free_port()}"
        self.upstream = self.listen if unix else f"http://{self.listen}"
        self._log = home / f"{code}.log"
        self.program: Program | None = None
        self.crm("init", "--instance", code)
        settings = {
            "instance": code,
            "listen": self.listen,
            "secret_key": "env:CRM_SECRET_KEY",
            "trusted_proxies": ["127.0.0.0/8", "unix"],
        }
        self.config.joinpath("instance.yaml").write_text(yaml.safe_dump(settings))
        roster = {
            name: {"sync": "enabled", "keys": [{"version": 1, "secret": "hex:" + self.key_of(name).hex()}]}
            for name in tenants
        }
        self.config.joinpath("keys.yaml").write_text(yaml.safe_dump({"tenants": roster}))
        for name in tenants:
            self.crm("tenant", "create", name)

    def key_of(self, tenant: str) -> bytes:
        """The key of a tenant's platform."""
        return f"{self.code}/{tenant}".encode() * 8

    def crm(self, *words: str) -> str:
        """Run a command on the instance's files; what it printed."""
        environ = {**os.environ, "CRM_SECRET_KEY": SECRET_KEY}
        done = subprocess.run(
            [forked.crm(), *words, "--config", self.config],
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> Self:
        self.program = Program([forked.REAL, "serve", "--config", self.config], self._log)
        if self.listen.startswith("unix:"):
            path = Path(self.listen.removeprefix("unix:"))
            end = time.monotonic() + 60
            while not path.exists():
                assert time.monotonic() < end, self.program.written()
                time.sleep(0.03)
        else:
            self.program.until(f"{self.upstream}/readyz")
        return self

    def kill(self) -> None:
        """Kill it, as a power cut would."""
        assert self.program is not None
        self.program.stop(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.program is not None:
            self.program.__exit__()

    def token(self, tenant: str, *scopes: str) -> dict[str, str]:
        """The header of a fresh token."""
        words = [word for scope in scopes for word in ("--scope", scope)]
        made = json.loads(self.crm("token", "create", "--tenant", tenant, *words, "--json"))
        return {"Authorization": f"Bearer {made['token']}"}

    def base(self, tenant: str) -> str:
        return f"/i/{self.code}/t/{tenant}/api/v1"

    def push(self, tenant: str, kind: str, data: Mapping[str, Any], version: int) -> tuple[str, bytes, dict[str, str]]:
        """A signed push: path, body and header fields."""
        target = Target("http://front.example", self.code, tenant)
        body = envelope(target, kind, data, version=version, strategy="replace", preview=False)
        unsigned = push_to(target, kind, body)
        signed = native_signer(self.key_of(tenant), 1)(unsigned, int(time.time()), fresh_nonce())
        return unsigned.path, body, {**dict(unsigned.headers), **signed}


@dataclass(frozen=True)
class Running:
    """A front that runs."""

    url: str
    pid: int
    program: Program

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


@contextmanager
def manager(
    home: Path, instances: Mapping[str, Sequence[str]], *, files: int | None = None, **more: Any
) -> Iterator[Running]:
    """``crm manager`` for upstreams by code; ``files``: how many it may open."""
    config, port = _front_files(home, instances, more)
    words: list[str | Path] = [forked.REAL, "manager", "--config", config]
    if files is not None:
        words = ["sh", "-c", f'ulimit -n {files}; exec "$0" "$@"', *words]
    with _front(words, port, home / "manager.log") as running:
        yield running


@contextmanager
def nginx(home: Path, instances: Mapping[str, Sequence[str]], **more: Any) -> Iterator[Running]:
    """An nginx with what ``crm manager render nginx`` writes."""
    config, port = _front_files(home, instances, more)
    with _front(nginx_words(config), port, home / "nginx.log") as running:
        yield running


@contextmanager
def _front(words: Sequence[str | Path], port: int, log: Path) -> Iterator[Running]:
    url = f"http://127.0.0.1:{port}"
    with Program(words, log) as program:
        program.until(f"{url}/readyz")
        yield Running(url, program.pid, program)


def nginx_words(config: Path) -> list[str | Path]:
    """Render, and write a nginx.conf around it; how to start nginx with both in the foreground."""
    rendered = subprocess.run(
        [forked.crm(), "manager", "render", "nginx", "--config", config], capture_output=True, text=True, check=True
    ).stdout
    (config / "crm.conf").write_text(rendered)
    (config / "nginx.conf").write_text(
        f"daemon off;\nworker_processes 1;\nerror_log {config}/error.log;\npid {config}/nginx.pid;\n"
        + ("user root;\n" if os.geteuid() == 0 else "")
        + "events { worker_connections 4096; }\nhttp {\n    access_log off;\n"
        + "".join(
            f"    {each}_temp_path {config}/{each};\n" for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        + f"    include {config}/crm.conf;\n}}\n"
    )
    program = shutil.which("nginx", path=PATH)
    assert program is not None
    return [program, "-p", config, "-c", config / "nginx.conf"]


def _front_files(home: Path, instances: Mapping[str, Sequence[str]], more: Mapping[str, Any]) -> tuple[Path, int]:
    config = home / "front"
    config.mkdir(exist_ok=True)
    port = free_port()
    settings = {
        "listen": f"127.0.0.1:{port}",
        "instances": {code: {"upstreams": list(upstreams)} for code, upstreams in instances.items()},
        **more,
    }
    (config / "instances.yaml").write_text(yaml.safe_dump(settings))
    return config, port
