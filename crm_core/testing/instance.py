"""A running instance with the plugins under test: ``crm serve`` in a temporary folder, pushed to as by a platform.

``crm_core.testing.pytest_plugin`` has it as the fixture ``crm_instance``.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from crm_core.client import Client, Outcome, Strategy, Target, native_signer
from crm_core.model.ed25519 import public_key_of

TENANT: Final = "northwind"
_CODE: Final = "eu1"
_WAIT: Final = 30.0
_PLUGIN: Final = """\
\"\"\"The hooks of {module}, which is not installed.\"\"\"
from importlib.metadata import EntryPoint

found = EntryPoint("plugin", {module!r}, "crm").load()
globals().update({{name: getattr(found, name) for name in dir(found) if not name.startswith("__")}})
"""


class RunningInstance:
    """An instance ``eu1`` with a tenant ``northwind``, which has a secret key (version 1) and a public one (version 2).

    ``plugins``: modules with hook functions, or ``module:object`` as entry points name one, importable here and not
    installed. ``settings``: members over those of instance.yaml. ``folder`` contains everything; ``url`` is the
    server's address. Commands find the private key as ``env:PRIVATE_KEY``.
    """

    def __init__(self, folder: Path, *, plugins: Iterable[str] = (), settings: Mapping[str, Any] | None = None) -> None:
        self.folder, self.url = folder, ""
        self._settings = settings or {}
        self.key, self.private_key = secrets.token_bytes(32), secrets.token_bytes(32)
        self._config = folder / "config"
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CRM_")},
            "CRM_SECRET_KEY": "base64:" + base64.b64encode(secrets.token_bytes(32)).decode(),
            "PRIVATE_KEY": "whsk_" + base64.b64encode(self.private_key).decode(),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: list[httpx.Client] = []
        self._write(plugins)

    def start(self) -> None:
        """Create the tenant and serve. Raises RuntimeError with the server's words if it does not."""
        self.crm("tenant", "create", TENANT)
        with (self.folder / "server.out").open("wb") as out, (self.folder / "server.log").open("wb") as log:
            self._process = subprocess.Popen(self._command("serve"), env=self._environ, stdout=out, stderr=log)
        until = time.monotonic() + _WAIT
        while " serves " not in (said := (self.folder / "server.out").read_text()):
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise RuntimeError(f"crm serve does not start:\n{self.log()}")
            time.sleep(0.05)
        self.url = said.split()[3]
        self._write_instance(listen=self.url.removeprefix("http://"))  # where commands find the server

    def stop(self) -> None:
        """End the server."""
        for client in self._clients:
            client.close()
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_WAIT)
            self._process = None

    def push(
        self, payload_type: str, data: Mapping[str, Any], *, strategy: Strategy = "replace", preview: bool = False
    ) -> Outcome:
        """Sign a payload with ``crm-sync-v1`` and push it. Raises crm_core.client.Refused with the findings."""
        with Client(Target(self.url, _CODE, TENANT), native_signer(self.key, 1)) as client:
            send = client.preview if preview else client.push
            return send(payload_type, data, strategy=strategy)

    def api(self, *scopes: str) -> httpx.Client:
        """A client of the tenant's API with a token of these scopes; paths such as ``visits`` or ``bootstrap``."""
        options = [word for scope in scopes for word in ("--scope", scope)]
        token = json.loads(self.crm("token", "create", "--tenant", TENANT, *options, "--json"))["token"]
        client = httpx.Client(
            base_url=f"{self.url}/i/{_CODE}/t/{TENANT}/api/v1/", headers={"Authorization": f"Bearer {token}"}
        )
        self._clients.append(client)
        return client

    def crm(self, *words: str, stdin: str = "") -> str:
        """Run a command on the instance and return its output. Raises RuntimeError with its words if it fails."""
        done = subprocess.run(
            self._command(*words), env=self._environ, input=stdin, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"crm {' '.join(words)} exited {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def log(self) -> str:
        """The server's log."""
        return (self.folder / "server.log").read_text(errors="replace")

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "crm_core.cli", *words, "--config", str(self._config)]

    def _write_instance(self, listen: str) -> None:
        instance = {
            "instance": _CODE,
            "listen": listen,
            "tenants_dir": "../tenants",
            "secret_key": "env:CRM_SECRET_KEY",
            "plugins": {"folders": [str(self.folder / "plugins")]},
        }
        (self._config / "instance.yaml").write_text(yaml.safe_dump({**instance, **self._settings}))

    def _write(self, plugins: Iterable[str]) -> None:
        self._config.mkdir(mode=0o700, parents=True)
        self._write_instance(listen="127.0.0.1:0")
        (self.folder / "plugins").mkdir()
        for module in plugins:
            (self.folder / "plugins" / f"{re.split('[.:]', module)[0]}.py").write_text(_PLUGIN.format(module=module))
        public = base64.b64encode(public_key_of(self.private_key)).decode()
        keys = [
            {"version": 1, "secret": "base64:" + base64.b64encode(self.key).decode()},
            {"version": 2, "public": f"ed25519:{public}"},
        ]
        (self._config / "keys.yaml").write_text(yaml.safe_dump({"tenants": {TENANT: {"keys": keys}}}))
