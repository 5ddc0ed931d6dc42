"""``crm push`` and the client against a running server, over a network that loses answers too."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from contract.box import BRANDING, SMTP, TENANT, Box, key_of, roster_key
from crm_core.client import AsyncClient, Client, Refused, Retries, Target, Unanswered, native_signer
from free_ports import free_port

QUICK = Retries(attempts=4, first_pause=0.01)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    made = Box(tmp_path_factory.mktemp("push"))
    try:
        yield made.create_tenants().start()
    finally:
        assert made.stop() == 0


@pytest.fixture
def target(box: Box) -> Target:
    return Target(f"http://127.0.0.1:{box.port}", "eu1", TENANT)


SIGNER = native_signer(key_of(), 2)


class Lossy:
    """A line to the server that carries requests there and loses the first answers on their way back."""

    def __init__(self, port: int, losses: int) -> None:
        self.port, self.losses, self.requests = port, losses, 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._socket.accept()
            except OSError:
                return
            with near, socket.create_connection(("127.0.0.1", self.port)) as far:
                far.sendall(self._whole(near))
                answer = self._whole(far)
                self.requests += 1
                if self.requests > self.losses:
                    near.sendall(answer)

    @staticmethod
    def _whole(end: socket.socket) -> bytes:
        """One message, head and body."""
        end.settimeout(10)
        raw = b""
        while b"\r\n\r\n" not in raw:
            raw += end.recv(65536)
        head, _, body = raw.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        length = int(lengths[0].partition(b":")[2]) if lengths else 0
        while len(body) < length:
            body += end.recv(65536)
        return head + b"\r\n\r\n" + body

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def crm(box: Box) -> Iterator[Box]:
    """The box with its listening address in instance.yaml, as crm push reads it."""
    port = box.port
    box.write_settings({"listen": f"127.0.0.1:{port}"})
    yield box
    box.write_settings({})


def write(tmp_path: Path, name: str, text: str) -> str:
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


def test_the_command_pushes_previews_and_shows_what_changes(crm: Box, tmp_path: Path) -> None:
    """FILE and TYPE are enough: key, address, tenant and version come from the config folder and from health."""
    file = write(tmp_path, "brand.yaml", 'title: Nordwind ☃\ncolors: {primary: "#0b5fff"}\n')
    preview = crm.crm("push", "branding", file, "--preview")
    assert "preview of branding version 1; nothing was changed" in preview
    assert '+ /branding/title: "Nordwind ☃"' in preview
    applied = crm.crm("push", "branding", file)
    assert "applied branding version 1 as revision 1" in applied
    assert crm.public()["branding"]["title"] == "Nordwind ☃"
    merged = crm.crm("push", "branding", "-", "--strategy", "merge", stdin="colors: {accent: '#ff8800', primary: null}")
    assert "applied branding version 2" in merged
    assert '- /branding/colors/primary: "#0b5fff"' in merged
    assert '+ /branding/colors/accent: "#ff8800"' in merged
    again = crm.crm("push", "branding", file, "--version", "1")
    assert "branding version 1 has already been applied (request " in again


def test_a_dry_run_sends_nothing_and_a_preview_has_an_exit_code(crm: Box, tmp_path: Path) -> None:
    """A dry run prints the signed request; a preview with --exit-code exits 3 while the push would change something."""
    file = write(tmp_path, "dry.yaml", "title: Dry run\n")
    before = crm.health()["log_head"]["seq"]
    request = json.loads(crm.crm("push", "branding", file, "--dry-run", "--version", "700", "--json"))
    headers = {name.lower(): value for name, value in request["headers"].items()}
    assert headers["sync-signature"].startswith("v1=")
    assert json.loads(request["body"])["data"] == {"title": "Dry run"}
    assert '"title":"Dry run"' in crm.crm("push", "branding", file, "--dry-run").replace(": ", ":")
    assert crm.health()["log_head"]["seq"] == before
    crm.crm("push", "branding", file, "--preview", "--exit-code", code=3)
    crm.crm("push", "branding", file, "--exit-code", code=2)
    crm.crm("push", "branding", file)
    crm.crm("push", "branding", file, "--preview", "--exit-code")
    crm.crm("push", "branding", "/absent.yaml", code=2)


def test_health_of_tenants(crm: Box) -> None:
    """A line for each tenant; exit 1 unless all are ok or disabled, 4 if the receiver does not answer."""
    assert crm.crm("health").startswith(f"{TENANT}  ok")
    (line,) = crm.crm("health", "--all", "--json").splitlines()
    assert json.loads(line)["expected_key"] == f"{TENANT}:2"
    both = crm.crm("health", TENANT, "unknown", "--json", code=1).splitlines()
    assert [json.loads(line)["status"] for line in both] == ["ok", "failed"]
    crm.crm("health", TENANT, "--all", code=2)
    crm.crm("health", TENANT, "--tenant", "contoso", code=2)
    url = f"http://127.0.0.1:{free_port()}/i/eu1/t/{TENANT}"
    *_, gone = crm.crm("health", "--url", url, "--json", code=4).splitlines()
    assert json.loads(gone)["status"] == "unanswered"


def test_health_of_a_fleet_whose_receiver_is_down(crm: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tenants are asked at the same time: with all requests open together, each of them is reported unanswered."""
    names = [f"tenant-{number}" for number in range(12)]
    roster = {"tenants": {name: {"keys": [roster_key(name, 1)]} for name in names}}
    (tmp_path / "keys.yaml").write_text(yaml.safe_dump(roster))
    monkeypatch.setattr(crm, "config", tmp_path)
    together = threading.Barrier(len(names))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            together.wait(30)
            self.connection.close()

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        printed = crm.crm("health", "--all", "--url", f"http://127.0.0.1:{server.server_port}/i/eu1", code=4)
        server.shutdown()
    assert [line.split()[0] for line in printed.splitlines() if line[0] != " "][:-1] == sorted(names)
    assert printed.endswith("12 tenants: 12 unanswered\n")


@pytest.mark.parametrize("scheme", ["crm-sync-v1", "standard-webhooks", "rfc9421"])
def test_the_command_signs_in_every_scheme(crm: Box, tmp_path: Path, scheme: str) -> None:
    """--scheme picks a plugin's signer; --json is the server's answer."""
    file = write(tmp_path, "smtp.json", json.dumps(SMTP))
    answer = json.loads(
        crm.crm("push", "combined", "-", "--scheme", scheme, "--json", stdin=f'{{"smtp": {json.dumps(SMTP)}}}')
    )
    assert answer["status"] == "applied"
    assert crm.entry(answer["request_id"])["scheme"] == scheme
    assert SMTP["password"] not in crm.crm("push", "smtp", file, "--scheme", scheme)


def test_a_refusal_exits_1_and_is_explained(crm: Box, tmp_path: Path) -> None:
    """Code, every finding and the request id; --json prints the problem."""
    bad = write(tmp_path, "bad.yaml", "title: 3\nlogo_url: http://x\n")
    refusal = crm.crm("push", "branding", bad, code=1)
    assert "refused: 422 invalid_payload" in refusal
    assert "/data/title: " in refusal
    assert "/data/logo_url: " in refusal
    assert "request id: " in refusal
    problem = json.loads(crm.crm("push", "branding", bad, "--json", code=1))
    assert problem["code"] == "invalid_payload"
    wrong = crm.crm(
        "push", "branding", bad, "--secret", "hex:" + "ab" * 32, "--key-version", "2", "--version", "9", code=1
    )
    assert "refused: 401 signature_invalid" in wrong
    assert "crm explain" in wrong
    assert "unknown payload type" in crm.crm("push", "colours", bad, "--version", "9", code=1).lower()


def test_the_log_is_followed_until_an_interrupt(crm: Box, tmp_path: Path) -> None:
    """Each entry has its errors with their codes, as in the list; Ctrl-C is the usual end, exit 0 without a word."""
    crm.crm("push", "branding", write(tmp_path, "bad.yaml", "title: 3"), code=1)
    words = [sys.executable, "-m", "crm_core.cli", "log", "tail", "--tenant", TENANT, "--last", "1"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*words, "--config", crm.config], env=crm.environ, stdout=pipe, stderr=pipe, text=True
    ) as tail:
        assert tail.stdout is not None
        shown = tail.stdout.readline() + tail.stdout.readline()
        tail.send_signal(signal.SIGINT)
        rest, errors = tail.communicate(timeout=60)
    assert (tail.returncode, rest, errors) == (0, "", ""), shown
    assert "/data/title: " in shown
    assert "(wrong_type)" in shown
    assert shown == crm.crm("log", "list", "--tenant", TENANT, "--limit", "1")


def test_the_highest_version_names_both_ways_on(crm: Box, tmp_path: Path) -> None:
    """No version is above it: the command says what to do at the receiver, and after that pushes."""
    file = tmp_path / "features.yaml"
    file.write_text("plan: {code: s, features: []}")
    crm.crm("push", "features", str(file), "--version", str(2**53 - 1))
    said = crm.crm("push", "features", str(file), code=1)
    assert "crm keys revoke at the receiver if its key leaked, else crm tenant reset-version" in said
    crm.crm("tenant", "reset-version", TENANT, "features")
    crm.crm("push", "features", str(file))


def test_the_command_needs_no_config_folder(box: Box, tmp_path: Path) -> None:
    """On the platform's own machine address and secret are enough."""
    file = write(tmp_path, "brand.json", json.dumps(BRANDING))
    url = f"http://127.0.0.1:{box.port}/i/eu1/t/{TENANT}"
    command = [str(Path(sys.executable).parent / "crm"), "push", "branding", file, "--url", url]
    secret = ["--secret", "env:PLATFORM_KEY", "--key-version", "2", "--preview"]
    environ = {"PLATFORM_KEY": "hex:" + key_of().hex(), "PATH": "/usr/bin"}
    done = subprocess.run([*command, *secret], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "preview of branding" in done.stdout
    assert "\x1b[" not in done.stdout


def test_a_push_whose_answers_get_lost_is_applied_once(box: Box, target: Target) -> None:
    """The client sends the very same bytes until it hears of them, and the server applies them once."""
    line = Lossy(box.port, losses=2)
    before = box.health()["log_head"]["seq"]
    with Client(Target(line.origin, "eu1", TENANT), SIGNER, retries=QUICK) as client:
        outcome = client.push("workspace", {"locale": "de-DE"}, version=1)
    line.close()
    assert (outcome.status, line.requests) == ("already_applied", 3)
    assert box.health()["sections"]["workspace"]["version"] == 1
    assert box.health()["log_head"]["seq"] == before + 1


def test_a_preview_whose_answer_is_lost_still_shows_its_changes(box: Box, target: Target) -> None:
    """It is sent again, since it changes nothing."""
    line = Lossy(box.port, losses=1)
    with Client(Target(line.origin, "eu1", TENANT), SIGNER, retries=QUICK) as client:
        outcome = client.preview("workspace", {"currency": "EUR", "locale": "fr-FR"}, version=900)
    line.close()
    assert outcome.status == "previewed"
    assert "/workspace/currency" in [change.pointer for change in outcome.changes]


async def test_the_async_client_does_the_same(target: Target) -> None:
    """Health has the next version, a push uses it, and a stale one is refused with what is current."""
    async with AsyncClient(target, SIGNER) as client:
        health = await client.health()
        assert health.expected_key == f"{TENANT}:2"
        data = {"branding": {"title": "Async"}, "workspace": {"locale": "en-GB"}}
        outcome = await client.push("combined", data)
        assert outcome.version == health.min_version("combined", data)
        with pytest.raises(Refused) as caught:
            await client.push("workspace", {"locale": "en-US"}, version=1)
    assert caught.value.code == "stale_version"
    assert caught.value.document["current"] == {"workspace": outcome.version}


def test_a_server_that_does_not_answer_is_an_error() -> None:
    """After its attempts the client says what it tried."""
    gone = Client(Target(f"http://127.0.0.1:{free_port()}", "eu1", TENANT), SIGNER, retries=QUICK)
    with gone, pytest.raises(Unanswered, match="no answer"):
        gone.health()


def test_a_unix_socket_is_reached_too(tmp_path: Path) -> None:
    """Where instance.yaml listens on a socket, crm push goes there."""
    made = Box(tmp_path, settings={"listen": f"unix:{tmp_path}/run/crm.sock"})
    (tmp_path / "run").mkdir(mode=0o700)
    made.create_tenants()
    command = [str(Path(sys.executable).parent / "crm"), "serve", "--config", str(made.config)]
    with subprocess.Popen(command, env=made.environ, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert "unix:" in server.stdout.readline()
            assert "applied branding version 1" in made.crm("push", "branding", "-", stdin="title: Socket")
        finally:
            server.terminate()
        assert server.wait(20) == 0
