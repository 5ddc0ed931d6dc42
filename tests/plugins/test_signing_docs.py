"""The programs of docs/signing.md, unchanged: against the published vectors, our verifiers and a live server."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from contract.box import TENANT, Box, good
from crm_core.model.ed25519 import public_key_of
from crm_core.plugin.signature import SignatureScheme
from crm_core.testing.signature import KEY, OTHER_KEY, accepts, push_request, with_headers
from crm_rfc9421.scheme import MessageSignatures
from crm_standard_webhooks.scheme import StandardWebhooks
from doc_pages import page, section

ACCEPTED = re.compile(r'"status":"(?:applied|unchanged)"')
"""All programs push the same data, so each after the first changes nothing."""

PAGE = page("docs/signing.md")
OTHERS: dict[str, type[SignatureScheme]] = {
    "Standard Webhooks": StandardWebhooks,
    "HTTP Message Signatures (RFC 9421)": MessageSignatures,
}
_needs = pytest.mark.system
NATIVE = ["bash", "python", pytest.param("js", marks=_needs("node"))]
NATIVE += [pytest.param("php", marks=_needs("php")), pytest.param("go", marks=_needs("go"))]
# The time and the nonce in each language, and their replacements for the vector.
FIXED = {
    "bash": (("$(date +%s)", "1790000000"), ("$(openssl rand -hex 16)", "{nonce}")),
    "python": (("str(int(time.time()))", '"1790000000"'), ("secrets.token_urlsafe(24)", '"{nonce}"')),
    "js": (("String(Math.floor(Date.now() / 1000))", '"1790000000"'), ('randomBytes(16).toString("hex")', '"{nonce}"')),
    "php": (("(string) time()", "'1790000000'"), ("bin2hex(random_bytes(16))", "'{nonce}'")),
    "go": (("time.Now()", "time.Unix(1790000000, 0)"), ("hex.EncodeToString(random)", '"{nonce}"')),
}


def snippet(heading: str, language: str) -> str:
    """The one program in a language under a scheme's heading."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", section(PAGE, heading), re.DOTALL)
    return str(found)


def run(language: str, program: str, folder: Path, url: str = "") -> str:
    """Run a program that pushes to ``url``; return its output."""
    file = folder / f"push.{language}"
    file.write_text(program)
    command = {
        "bash": ["bash", "-eu", str(file)],
        "python": [sys.executable, str(file)],
        "js": ["node", "--input-type=module", "-e", program],
        "php": ["php", str(file)],
        "go": ["go", "run", str(file)],
    }[language]
    environ = {**os.environ, "CRM_URL": url, "GO111MODULE": "off"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def recorder() -> Iterator[Any]:
    """A server that records requests; ``got`` has (path, headers, body)."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            server.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server: Any = HTTPServer(("127.0.0.1", 0), Handler)
    server.got, server.url = [], f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A running server whose key is the page's."""
    public = "ed25519:" + base64.b64encode(public_key_of(KEY)).decode()
    keys = [{"version": 2, "secret": "hex:" + KEY.hex()}, {"version": 3, "public": public}]
    made = Box(tmp_path_factory.mktemp("signers"), tenants={TENANT: {"keys": keys}})
    try:
        yield made.create_tenants().start()
    finally:
        assert made.stop() == 0


@pytest.mark.parametrize("name", ["signing", "keys", "protocol"])
def test_the_shell_turns_a_base64_secret_into_the_digits_that_openssl_wants(name: str) -> None:
    """The line of each page that names it gives the key's bytes, in one line however long the key is."""
    (line,) = re.findall(r"\$\(printf %s \"\$B64\".*?'\)", page(f"docs/{name}.md"))
    key = bytes(range(200, 256))
    done = subprocess.run(
        ["bash", "-euc", f"printf %s {line}"],
        env={**os.environ, "B64": base64.b64encode(key).decode()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == key.hex()


@pytest.mark.parametrize("language", NATIVE)
def test_the_native_programs_make_the_published_vector(language: str, recorder: Any, tmp_path: Path) -> None:
    """With the vector's body, time and nonce each program sends exactly the vector's headers and bytes."""
    vector = json.loads((Path(__file__).parent / "vectors/crm-sync-v1.json").read_text())["cases"][0]
    program = snippet("crm-sync-v1", language)
    for variable, fixed in FIXED[language]:
        assert variable in program
        program = program.replace(variable, fixed.format(nonce=vector["nonce"]))
    literal = re.compile(r"""b?(['`])\{"tenant".*?\}\1""")
    body = f"'{vector['body']}'.encode()" if language == "python" else rf"\g<1>{vector['body']}\g<1>"
    program = literal.sub(body, program)
    run(language, program, tmp_path, recorder.url)
    ((path, headers, sent),) = recorder.got
    assert path == "/i/eu1/t/northwind/api/v1/sync/branding"
    assert sent.decode() == vector["body"]
    assert {name.lower(): value for name, value in vector["headers"].items()}.items() <= headers.items()


@pytest.mark.parametrize("language", NATIVE)
def test_the_native_programs_push_to_a_live_server(language: str, box: Box, tmp_path: Path) -> None:
    """The push of each program, with only version and address set, is applied."""
    program = snippet("crm-sync-v1", language).replace('"version":7', f'"version":{next(box.versions)}')
    printed = run(language, program, tmp_path, f"http://127.0.0.1:{box.port}")
    assert ACCEPTED.search(printed)


@pytest.mark.parametrize(
    "language", ["python", pytest.param("js", marks=_needs("node")), pytest.param("php", marks=_needs("php"))]
)
def test_the_programs_with_a_private_key_push_to_a_live_server(language: str, box: Box, tmp_path: Path) -> None:
    """The push of each, with only version and address set, is accepted under the public key."""
    version = next(box.versions)
    program = snippet("With a private key", language).replace('"version":7', f'"version":{version}')
    assert ACCEPTED.search(run(language, program, tmp_path, f"http://127.0.0.1:{box.port}"))
    entries = good(box.client.get(f"{box.base()}/sync/log", headers=box.bearer()))["items"]
    assert (entries[0]["payload_version"], entries[0]["key_version"]) == (version, 3)


@pytest.mark.parametrize("language", ["python", pytest.param("js", marks=_needs("node"))])
@pytest.mark.parametrize("heading", OTHERS)
def test_the_other_programs_push_to_a_live_server(heading: str, language: str, box: Box, tmp_path: Path) -> None:
    """The pushes of the Python and Node programs of the other schemes are applied."""
    program = snippet(heading, language).replace('"version":7', f'"version":{next(box.versions)}')
    assert ACCEPTED.search(run(language, program, tmp_path, f"http://127.0.0.1:{box.port}"))


@pytest.mark.parametrize(("heading", "scheme"), OTHERS.items())
def test_the_other_python_examples_sign_valid_pushes(
    heading: str, scheme: type[SignatureScheme], recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each Python example, unchanged, sends a push that verifies, byte for byte."""
    monkeypatch.setenv("CRM_URL", recorder.url)
    made: dict[str, Any] = {}
    exec(snippet(heading, "python"), made)
    ((path, _, sent),) = recorder.got
    assert (path, sent) == ("/i/eu1/t/northwind/api/v1/sync/branding", made["body"])
    plain, headers = push_request(made["body"]), made["headers"]
    assert accepts(scheme(), with_headers(plain, headers), KEY)
    assert not accepts(scheme(), with_headers(plain, headers), OTHER_KEY)


@pytest.mark.parametrize("heading", OTHERS)
def test_the_other_shell_examples_push_to_a_live_server(heading: str, box: Box, tmp_path: Path) -> None:
    """The push of each shell example, sent as the page says, is applied."""
    program = snippet(heading, "bash").replace('"version":7', f'"version":{next(box.versions)}')
    program += (
        'curl -sS --fail-with-body "$@" --data-binary "$body" "$CRM_URL/i/eu1/t/northwind/api/v1/sync/branding"\n'
    )
    assert ACCEPTED.search(run("bash", program, tmp_path, f"http://127.0.0.1:{box.port}"))
