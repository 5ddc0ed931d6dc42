from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

VECTORS = Path(__file__).parents[2] / "plugins/vectors"
Crm = Callable[..., Any]
STAMP = ("--timestamp", "1790000000")


def case(scheme: str, at: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((VECTORS / f"{scheme}.json").read_text())["cases"][at]
    return found


def headers_of(out: str) -> dict[str, str]:
    lines = out.partition("\n\n")[0].splitlines()
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


@pytest.mark.parametrize("scheme", ["crm-sync-v1", "standard-webhooks", "rfc9421"])
def test_the_published_vectors_are_reproduced(config: Path, crm: Crm, tmp_path: Path, scheme: str) -> None:
    """With the body, timestamp and nonce of a vector, crm sign prints its headers, for every scheme."""
    vector = case(scheme)
    body = tmp_path / "body.json"
    body.write_bytes(vector["body"].encode())
    nonce = vector.get("nonce") or vector["headers"].get("webhook-id") or "n0nce-0123456789abcdef"
    secret = f"hex:{vector['key_hex']}" if "key_hex" in vector else vector["secret"]
    made = crm(
        *("sign", "branding", str(body), "--body", "--scheme", scheme, *STAMP, "--nonce", nonce),
        *("--secret", secret, "--key-version", "2", "--url", "https://crm.example/i/eu1/t/northwind"),
    )
    assert made.code == 0, made.err
    wanted = {name.lower(): value for name, value in vector["headers"].items()}
    assert wanted.items() <= headers_of(made.out).items()


def test_signed_health_needs_no_file(config: Path, crm: Crm) -> None:
    """TYPE health signs the empty body of a GET."""
    vector = case("crm-sync-v1", 1)
    made = crm("sign", "health", *STAMP, "--nonce", vector["nonce"])
    assert headers_of(made.out) == {name.lower(): value for name, value in vector["headers"].items()}
    request = json.loads(crm("sign", "health", *STAMP, "--nonce", vector["nonce"], "--json").out)
    assert (request["method"], request["url"]) == ("GET", "http://127.0.0.1:8000/i/eu1/t/northwind/api/v1/sync/health")


def test_data_is_put_into_an_envelope_and_printed_below_the_headers(config: Path, crm: Crm, tmp_path: Path) -> None:
    """Without --body the FILE is the data: the body that the headers sign follows them after an empty line."""
    file = tmp_path / "brand.yaml"
    file.write_text('title: Nordwind ☃\ncolors: {primary: "#112233"}\n')
    made = crm("sign", "branding", str(file), "--version", "7", "--preview", "--strategy", "merge")
    assert made.code == 0, made.err
    assert json.loads(made.out.partition("\n\n")[2]) == {
        "tenant": "northwind",
        "instance": "eu1",
        "type": "branding",
        "version": 7,
        "data": {"title": "Nordwind ☃", "colors": {"primary": "#112233"}},
        "mode": "preview",
        "strategy": "merge",
    }


def test_the_curl_command_survives_a_shell(config: Path, crm: Crm, tmp_path: Path) -> None:
    """Quotes and other characters of the body arrive as they are; a whole body is read from its file."""
    data = {"title": 'It\'s "$HOME" ☃ `x`'}
    words = shlex.split(crm("sign", "branding", "-", "--version", "7", "--curl", stdin=json.dumps(data).encode()).out)
    assert words[:3] == ["curl", "-sS", "http://127.0.0.1:8000/i/eu1/t/northwind/api/v1/sync/branding"]
    assert json.loads(words[words.index("--data-binary") + 1])["data"] == data
    body = tmp_path / "a body.json"
    body.write_bytes(b"{}")
    words = shlex.split(crm("sign", "branding", str(body), "--body", "--curl").out)
    assert words[-2:] == ["--data-binary", f"@{body}"]


def test_no_config_folder_is_needed(crm: Crm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Address and secret are enough on a platform's machine; the key version is 1 unless it is named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NORTHWIND", "hex:" + "01" * 32)
    made = crm("sign", "health", "--url", "https://crm.example/i/eu1/t/northwind", "--secret", "env:NORTHWIND")
    assert made.code == 0, made.err
    assert headers_of(made.out)["sync-key-version"] == "1"


def test_the_instances_own_secrets_are_not_needed(config: Path, crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signing a push does not need the key that seals the instance's secrets."""
    monkeypatch.delenv("CRM_SECRET_KEY")
    assert crm("sign", "health").code == 0


def test_the_version_of_a_secret_comes_from_the_roster(config: Path, crm: Crm) -> None:
    """A secret of the roster brings its version along."""
    made = crm("sign", "health", "--secret", "hex:" + bytes(range(1, 33)).hex())
    assert headers_of(made.out)["sync-key-version"] == "2"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("branding",), 2, "add the FILE"),
        (("branding", "-"), 2, "add --version"),
        (("Branding", "-", "--version", "1"), 2, "not a payload type's name"),
        (("health", "--scheme", "ed25519"), 2, "unknown signature scheme ed25519"),
        (("health", "--nonce", "has.dot", "--scheme", "standard-webhooks"), 2, "without space and dot"),
        (("health", "--url", "ftp://x"), 2, "not a receiver's URL"),
        (("health", "--tenant", "acme"), 1, "keys.yaml has no entry for acme"),
        (("health", "--key-version", "9"), 1, "no key version 9 for northwind; it has 2"),
        (("health", "--secret", "plain-text-secret"), 1, "--secret: the secret has no prefix"),
        (("branding", "/absent.json", "--version", "1"), 2, "/absent.json cannot be read"),
    ],
)
def test_errors_have_the_right_exit_code(
    config: Path, crm: Crm, words: tuple[str, ...], code: int, message: str
) -> None:
    """Wrong usage is exit 2, what cannot be done exit 1; both say how to fix it, and no secret is repeated."""
    made = crm("sign", *words, stdin=b"{}")
    assert made.code == code
    assert message in made.err.replace("\n", " ")
    assert "plain-text-secret" not in made.err


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("a.yaml", "a: 007\nb: no\nc: 1.50\nd: ~\ne: true\nf: '1'\ng: 2026-11-01\nh: [1, {i: -0.5e3}]", None),
        ("a.json", '{"a": "007", "b": "no", "c": 1.5, "d": null, "e": true, "f": "1"}', None),
        ("a", ' {"a": 1}', {"a": 1}),
        ("a", "a: 1", {"a": 1}),
    ],
)
def test_yaml_has_the_types_of_json(crm: Crm, tmp_path: Path, *, name: str, text: str, value: Any) -> None:
    """What JSON would not write as a number, true, false or null is text; a file's name or start marks it as JSON."""
    file = tmp_path / name
    file.write_text(text)
    body = json.loads(crm("sign", "branding", str(file), "--version", "1").out.partition("\n\n")[2])
    wanted = value or {"a": "007", "b": "no", "c": 1.5, "d": None, "e": True, "f": "1"}
    assert wanted.items() <= body["data"].items()
    if name == "a.yaml":
        assert (body["data"]["g"], body["data"]["h"]) == ("2026-11-01", [1, {"i": -500.0}])


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "a: 1\na: 2", "a.yaml:2:1"),
        ("a.json", '{"a": 1, "a": 2}', "appears twice"),
        ("a.json", "{", "a.json: The body is not JSON"),
        ("a.yaml", "- a", "an object with members"),
        ("a.yaml", "a: .nan", None),
    ],
)
def test_an_invalid_payload_file_is_refused_with_its_place(
    crm: Crm, tmp_path: Path, *, name: str, text: str, message: str | None
) -> None:
    """Duplicates and broken files are refused before anything is signed."""
    file = tmp_path / name
    file.write_text(text)
    made = crm("sign", "branding", str(file), "--version", "1")
    assert made.code == (0 if message is None else 1)
    assert (message or "") in made.err


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("0.0.0.0:9000", "http://127.0.0.1:9000"),
        ('"[::]:9000"', "http://[::1]:9000"),
        ("crm.example:9000", "http://crm.example:9000"),
        ("unix:/run/crm/eu1.sock", "http://localhost"),
    ],
)
def test_the_address_is_where_the_instance_listens(config: Path, crm: Crm, listen: str, url: str) -> None:
    """Without --url it comes from instance.yaml; an instance that listens everywhere is reached at this machine."""
    (config / "instance.yaml").write_text(f"instance: eu1\nlisten: {listen}\nsecret_key: env:CRM_SECRET_KEY\n")
    made = crm("sign", "health", "--json")
    assert json.loads(made.out)["url"] == f"{url}/i/eu1/t/northwind/api/v1/sync/health"
    words = shlex.split(crm("sign", "health", "--curl").out)
    assert ("--unix-socket" in words) is listen.startswith("unix:")


@pytest.mark.parametrize(
    ("file", "text", "code", "message"),
    [
        ("instance.yaml", "instance: eu1\nlisten: 127.0.0.1:0\nsecret_key: env:K\n", 2, "add the address with --url"),
        ("keys.yaml", "tenants: {a: {}, b: {}}\n", 2, "add --tenant; keys.yaml has a, b"),
        ("keys.yaml", "tenants: {a: {}}\n", 1, "a has no active key in keys.yaml (there is none)"),
        (
            "keys.yaml",
            f"tenants: {{a: {{keys: [{{version: 3, secret: 'hex:{'ab' * 32}', revoked: true}}]}}}}\n",
            1,
            "(version 3 is revoked); add the receiver's current key, or create one there: crm keys rotate a",
        ),
        ("keys.yaml", "tenants: [\n", 1, "keys.yaml:2:1: "),
    ],
)
def test_values_missing_in_the_config_folder_are_requested(  # noqa: PLR0917 -- one row of the table
    config: Path, crm: Crm, file: str, text: str, code: int, message: str
) -> None:
    """A free port, several tenants, no key: each names the option, or the command, that helps."""
    (config / file).write_text(text)
    made = crm("sign", "health")
    assert (made.code, message in " ".join(made.err.split())) == (code, True), made.err


def test_a_tenant_that_takes_other_schemes_only_is_signed_for_in_one_of_them(config: Path, crm: Crm) -> None:
    """The usual scheme is the native one where the tenant takes it, else one that it does take."""
    roster = (config / "keys.yaml").read_text().replace("    keys:", "    schemes: [standard-webhooks]\n    keys:")
    (config / "keys.yaml").write_text(roster)
    assert "webhook-id" in headers_of(crm("sign", "health").out)


NARROWED = f"""tenants:
  northwind:
    keys:
      - {{version: 1, secret: "hex:{1:064x}"}}
      - {{version: 2, secret: "hex:{2:064x}", schemes: [standard-webhooks]}}
      - {{version: 3, secret: "hex:{3:064x}", schemes: [rfc9421], revoked: true}}
"""


@pytest.mark.parametrize(
    ("words", "header", "version"),
    [
        ((), "webhook-id", None),
        (("--scheme", "crm-sync-v1"), "sync-key-version", "1"),
        (("--scheme", "rfc9421"), "signature-input", "northwind:1"),
        (("--key-version", "1"), "sync-key-version", "1"),
        (("--key-version", "3"), "signature-input", "northwind:3"),
        (("--secret", f"hex:{2:064x}"), "webhook-id", None),
        (("--secret", f"hex:{9:064x}"), "sync-key-version", "1"),
    ],
)
def test_the_newest_key_that_can_sign_is_taken(
    config: Path, crm: Crm, words: tuple[str, ...], header: str, version: str | None
) -> None:
    """With the scheme that is named, or one that the key may be used with."""
    (config / "keys.yaml").write_text(NARROWED)
    made = crm("sign", "health", *words)
    assert made.code == 0, made.err
    assert header in headers_of(made.out)
    assert version is None or version in headers_of(made.out)[header]


def test_a_key_that_may_not_sign_so_is_refused(config: Path, crm: Crm) -> None:
    """Nothing is sent that the receiver would refuse, and the schemes of the key are named."""
    (config / "keys.yaml").write_text(NARROWED)
    made = crm("sign", "health", "--key-version", "2", "--scheme", "crm-sync-v1")
    assert made.code == 1
    assert "no key (version 2) can sign with the scheme crm-sync-v1; schemes of these keys: standard-webhooks" in (
        " ".join(made.err.split())
    )
