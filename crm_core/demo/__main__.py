"""Create or continue a demo instance: serve it, push to it as a platform would, and show what to do next.

``python -m crm_core.demo --folder .demo --port 8000``. All its data is in that folder.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from crm_core.client import Client, Outcome, Target, native_signer
from crm_core.control.lock import FolderBusy, folder_lock
from crm_core.demo.filling import TENANT, fill
from crm_core.settings.secrets import Secrets

INSTANCE: Final = "eu1"
EMAIL: Final = "admin@nordwind.example"
_READY_SECONDS: Final = 30.0


class Demo:
    """The demo's folder: ``config``, ``tenants``, and secrets that belong elsewhere in production."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder.resolve()
        self.config = self.folder / "config"
        self.port = port
        self.crm = [sys.executable, "-m", "crm_core.cli"]

    @property
    def url(self) -> str:
        """The address of the tenant's workspace."""
        return f"http://127.0.0.1:{self.port}/i/{INSTANCE}/t/{TENANT}"

    @property
    def environ(self) -> dict[str, str]:
        """The environment of the demo's commands."""
        return {**os.environ, "CRM_CONFIG": str(self.config)}

    def secret(self, name: str, size: int) -> str:
        """Return a secret of the demo, created at its first use."""
        path = self.folder / name
        if not path.exists():
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_urlsafe(size))
        return path.read_text()

    def run(self, *words: str, stdin: str = "") -> str:
        """Run a command of ``crm`` and return its output."""
        done = subprocess.run(  # noqa: S603 -- our own command
            [*self.crm, *words], env=self.environ, input=stdin, text=True, capture_output=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"crm {' '.join(words)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def prepare(self) -> None:
        """Create the config files, the tenant and its first user if they are missing."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._refuse_second()
        if not (self.folder / "ready").exists():
            self.run("init", "--instance", INSTANCE)
            self.secret("secret_key", 32)
            self._set("secret_key", "file:../secret_key")
            if not (self.folder / "tenants" / TENANT).exists():
                self.run("tenant", "create", TENANT)
            password = self.secret("password", 9)
            with contextlib.suppress(SystemExit):  # the user exists if an earlier start was interrupted
                self.run(
                    "user", "create", "--tenant", TENANT, "--email", EMAIL, "--name", "Robin Hansen",
                    "--role", "super_admin", "--password-stdin", stdin=password + "\n",
                )  # fmt: skip
            (self.folder / "ready").touch()
        self._set("listen", f"127.0.0.1:{self.port}")

    def _refuse_second(self) -> None:
        """Exit if this demo is already running; its files stay as they are."""
        try:
            with folder_lock(self.folder / "tenants"):
                pass
        except FolderBusy as busy:
            text = (self.config / "instance.yaml").read_text() if self.config.exists() else ""
            listen = next((line for line in text.splitlines() if line.startswith("listen:")), "listen: ?")
            address = listen.removeprefix("listen: ")
            raise SystemExit(f"This demo is already running (pid {busy.pid}, {address}). Use it, or stop it.") from None

    def _set(self, member: str, value: str) -> None:
        """Set a member of instance.yaml; comments stay."""
        instance = self.config / "instance.yaml"
        lines = instance.read_text().splitlines()
        lines = [f"{member}: {value}" if line.startswith(f"{member}:") else line for line in lines]
        instance.write_text("\n".join(lines) + "\n")

    @contextlib.contextmanager
    def served(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run the server, ready for requests, until the block ends."""
        path = self.folder / "server.log"
        begins = path.stat().st_size if path.exists() else 0
        with (
            path.open("ab") as log,
            subprocess.Popen(  # noqa: S603 -- our own command
                [*self.crm, "serve"], env=self.environ, stdout=log, stderr=log
            ) as server,
        ):
            try:
                self._await_ready(server, path, begins)
                yield server
            finally:
                server.send_signal(signal.SIGTERM)

    def _await_ready(self, server: subprocess.Popen[bytes], log: Path, begins: int) -> None:
        """Wait for the server's own message: another program may answer on the port."""
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            output = log.read_bytes()[begins:].decode(errors="replace")
            if f"crm {INSTANCE} serves" in output:
                return
            if server.poll() is not None:
                raise SystemExit(f"The server did not start. For another port: make run PORT=8001\n{output[-800:]}")
            time.sleep(0.1)
        raise SystemExit(f"The server was not ready within {_READY_SECONDS:.0f} seconds. See {log}.")

    def platform(self) -> Client:
        """Return a client that signs with the tenant's key, as the platform does."""
        roster = yaml.safe_load((self.config / "keys.yaml").read_text())
        key = roster["tenants"][TENANT]["keys"][0]
        secret = Secrets(self.environ, self.config).reference(key["secret"])
        return Client(Target.at(self.url), native_signer(secret, key["version"]))


def main() -> None:
    """Serve the demo until it is interrupted."""
    parser = argparse.ArgumentParser(prog="crm demo", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".demo"))
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    demo = Demo(options.folder, options.port)
    data = yaml.safe_load(Path(__file__).with_name("data.yaml").read_text(encoding="utf-8"))
    say("Starting the demo instance ...")
    demo.prepare()
    with demo.served() as server:
        signal.signal(signal.SIGTERM, lambda *_: server.send_signal(signal.SIGTERM))
        if push_all(demo, data):
            fill(demo.url, demo.run, data["records"])
        show_next_steps(demo)
        with contextlib.suppress(KeyboardInterrupt):
            server.wait()


def push_all(demo: Demo, data: Mapping[str, Any]) -> bool:
    """Push each payload, then several combined, then pushes that must be refused; print each result.

    Returns False if an earlier run has pushed: changes since then stay.
    """
    pushes: dict[str, Any] = data["pushes"]
    with demo.platform() as platform:
        present = platform.health().sections
        if set(pushes) <= set(present):
            versions = ", ".join(f"{name} version {section.version}" for name, section in present.items())
            say(f"  continues with earlier pushes: {versions}")
            return False
        for name, payload in pushes.items():
            report(name, platform.push(name, payload))
        combined = {name: pushes[name] for name in data["combined"]}
        report("combined", platform.push("combined", combined))
    for case in data["refused"]:
        body = b"{}"
        headers = {"Content-Type": "application/json", "Sync-Key-Version": "1", "Sync-Nonce": secrets.token_urlsafe(18)}
        headers |= {"Sync-Timestamp": str(int(time.time()))}
        headers |= {name: value for name, value in case["headers"].items() if value is not None}
        answer = httpx.post(f"{demo.url}/api/v1/sync/branding", content=body, headers=headers)
        say(f"  refused   {case['what']}: {answer.status_code} {answer.json()['code']}")
    return True


def report(name: str, outcome: Outcome) -> None:
    """Print the result of a push."""
    say(f"  {outcome.status:<9} {name} version {outcome.version}, revision {outcome.revision}")


def show_next_steps(demo: Demo) -> None:
    """Print the addresses and some commands to try."""
    crm = Path(sys.executable).with_name("crm")
    command = os.path.relpath(crm) if crm.exists() else "crm"
    config = os.path.relpath(demo.config)
    say(
        f"""
Ready.

  workspace   {demo.url}/
  sign in     {EMAIL}  {demo.secret("password", 9)}
  API docs    http://127.0.0.1:{demo.port}/docs
  health      http://127.0.0.1:{demo.port}/readyz

Push as the platform would, and watch the open page change:

  echo 'colors: {{primary: "#b3261e"}}' | {command} push branding - --strategy merge --config {config}

See the branding as an app does:

  curl -s {demo.url}/api/v1/bootstrap/public

Use this instance in every other crm command:

  export CRM_CONFIG={demo.config}

Ctrl-C stops the server. The next make run continues with the same data, in {os.path.relpath(demo.folder)}."""
    )


def say(text: str) -> None:
    """Print a line immediately."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
