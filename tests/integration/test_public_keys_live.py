"""Public keys and other people's signers against a running server: directly, through the manager and through nginx."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import http_message_signatures as hms
import pytest
import requests
import requests_http_signature
import yaml
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contract.box import TENANT, Box, key_of, problem, roster_key, until
from crm_core.cli.main import crm
from crm_core.client import Client, Target, private_key_signer
from fronts.processes import manager, nginx

PAIR = Ed25519PrivateKey.from_private_bytes(key_of("pair", 3))
PUBLIC = "ed25519:" + base64.b64encode(PAIR.public_key().public_bytes_raw()).decode()
PRIVATE = "whsk_" + base64.b64encode(key_of("pair", 3)).decode()
PEM = PAIR.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
PATH = f"/i/eu1/t/{TENANT}/api/v1/sync/branding"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """An instance whose tenant has a secret and a newer public key."""
    tenants = {TENANT: {"keys": [roster_key(), {"version": 3, "public": PUBLIC}]}}
    made = Box(tmp_path_factory.mktemp("pairs"), tenants=tenants, environ={"PRIVATE": PRIVATE})
    try:
        yield made.create_tenants().start()
    finally:
        assert made.stop() == 0


@pytest.fixture(scope="module", params=["direct", "manager", pytest.param("nginx", marks=pytest.mark.system("nginx"))])
def origin(request: pytest.FixtureRequest, box: Box, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The origin by which clients reach the instance."""
    direct = f"http://127.0.0.1:{box.port}"
    if request.param == "direct":
        yield direct
        return
    front = {"manager": manager, "nginx": nginx}[request.param]
    with front(tmp_path_factory.mktemp("front"), {"eu1": [direct]}) as running:
        yield running.url


def by_svix(url: str, body: bytes) -> Any:
    """Svix's library and its own header names."""
    from svix.webhooks import Webhook  # a second of imports

    now, id_ = datetime.now(UTC), f"msg_{secrets.token_hex(12)}"
    signer = Webhook("whsec_" + base64.b64encode(key_of()).decode())
    headers = {
        "svix-id": id_,
        "svix-timestamp": str(int(now.timestamp())),
        "svix-signature": signer.sign(id_, now, body.decode()),
    }
    return requests.post(url, data=body, headers={**JSON, **headers}, timeout=10)


def by_standard_webhooks_pair(url: str, body: bytes) -> Any:
    """The asymmetric `v1a` of the specification, with lines of the test's own."""
    id_, now = f"msg_{secrets.token_hex(12)}", str(int(datetime.now(UTC).timestamp()))
    signature = base64.b64encode(PAIR.sign(f"{id_}.{now}.".encode() + body)).decode()
    headers = {"webhook-id": id_, "webhook-timestamp": now, "webhook-signature": f"v1,{'A' * 43}= v1a,{signature}"}
    return requests.post(url, data=body, headers={**JSON, **headers}, timeout=10)


def by_requests_pair(url: str, body: bytes) -> Any:
    """requests-http-signature with its default components and a private key."""
    return _by_requests(url, body, requests_http_signature.algorithms.ED25519, PEM, 3)


def by_requests_secret(url: str, body: bytes) -> Any:
    """requests-http-signature with its default components and a secret."""
    return _by_requests(url, body, requests_http_signature.algorithms.HMAC_SHA256, key_of(), 2)


def _by_requests(url: str, body: bytes, algorithm: Any, key: bytes, version: int) -> Any:
    auth = requests_http_signature.HTTPSignatureAuth(
        signature_algorithm=algorithm, key=key, key_id=f"{TENANT}:{version}", use_nonce=True
    )
    return requests.post(url, data=body, headers=JSON, auth=auth, timeout=10)


def by_message_signatures(url: str, body: bytes) -> Any:
    """http-message-signatures with Ed25519, one member of the digest, and derived components of the target."""
    resolver = hms.MappingKeyResolver(private_keys={f"{TENANT}:3": PEM}, public_keys={})
    signer = hms.HTTPMessageSigner(signature_algorithm=hms.algorithms.ED25519, key_resolver=resolver)
    message = SimpleNamespace(method="POST", url=url, headers=dict(JSON), body=body)
    covered = ("@method", "@request-target", "@scheme", "@authority", '"content-digest";key="sha-256"', "content-type")
    signer.sign(message, key_id=f"{TENANT}:3", nonce=secrets.token_hex(12), covered_component_ids=covered, body=body)
    return requests.post(url, data=body, headers=message.headers, timeout=10)


SENDERS = [by_svix, by_standard_webhooks_pair, by_requests_pair, by_requests_secret, by_message_signatures]


@pytest.mark.parametrize("send", SENDERS)
def test_other_peoples_signers_are_applied(box: Box, origin: str, send: Callable[[str, bytes], Any]) -> None:
    """Each push is applied on each way to the instance."""
    answer = send(origin + PATH, box.body("branding", {"title": secrets.token_hex(4)}))
    assert (answer.status_code, answer.json()["status"]) == (200, "applied"), answer.text


def test_the_client_signs_with_a_private_key(box: Box, origin: str) -> None:
    """The client pushes and reads health; both are verified with the public key."""
    target = Target.at(f"{origin}/i/eu1/t/{TENANT}")
    with Client(target, private_key_signer(key_of("pair", 3), 3)) as client:
        outcome = client.push("branding", {"title": secrets.token_hex(4)}, version=next(box.versions))
        assert outcome.status == "applied"
        health = client.health().document
    entry = box.entry(outcome.document["request_id"])
    assert (entry["scheme"], entry["key_version"], entry["signature_result"]) == ("rfc9421", 3, "valid")
    kinds = {key["key_version"]: (key["kind"], key["schemes"]) for key in health["accepted_keys"]}
    assert kinds == {3: ("public", None), 2: ("secret", None)}


def test_a_public_key_makes_no_mac(box: Box) -> None:
    """Its bytes as an HMAC key open no scheme: the native one refuses its version, the others find no signature."""
    forged = PAIR.public_key().public_bytes_raw()
    problem(box.push("branding", {"title": "x"}, key=forged, key_version=3), 401, "scheme_not_accepted")
    body = box.body("branding", {"title": "x"})
    auth = requests_http_signature.HTTPSignatureAuth(
        signature_algorithm=requests_http_signature.algorithms.HMAC_SHA256,
        key=forged,
        key_id=f"{TENANT}:3",
        use_nonce=True,
        include_alg=False,
    )
    answer = requests.post(f"http://127.0.0.1:{box.port}{PATH}", data=body, headers=JSON, auth=auth, timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (401, "signature_invalid")


def test_the_target_uri_is_that_of_public_url(tmp_path: Path) -> None:
    """With `public_url` set a signature over another host or scheme is invalid, one over it is applied anywhere."""
    tenants = {TENANT: {"keys": [{"version": 3, "public": PUBLIC}]}}
    box = Box(tmp_path / "public", tenants=tenants, settings={"public_url": "https://crm.example.com"})
    box.create_tenants().start()
    try:
        here = f"http://127.0.0.1:{box.port}{PATH}"
        body = box.body("branding", {"title": "x"})
        assert by_requests_pair(here, body).json()["code"] == "signature_invalid"
        auth = requests_http_signature.HTTPSignatureAuth(
            signature_algorithm=requests_http_signature.algorithms.ED25519,
            key=PEM,
            key_id=f"{TENANT}:3",
            use_nonce=True,
        )
        signed = requests.Request(
            "POST", f"https://crm.example.com{PATH}", data=body, headers=JSON, auth=auth
        ).prepare()
        signed.url = here
        assert requests.Session().send(signed, timeout=10).json()["status"] == "applied"
    finally:
        assert box.stop() == 0


def test_from_a_secret_to_a_public_key(tmp_path: Path) -> None:
    """A running tenant moves from its secret to a key pair: both sign during the overlap, then the pair alone."""
    entry = {"schemes": ["crm-sync-v1", "rfc9421"], "keys": [roster_key(schemes=["crm-sync-v1"])]}
    box = Box(tmp_path / "moving", tenants={TENANT: entry}).create_tenants().start()
    try:
        box.applied("branding", {"title": "by the secret"})
        private, public = (line.partition(": ")[2] for line in box.crm("keys", "generate", "--ed25519").splitlines())
        box.environ["PRIVATE"] = private
        rotated = box.crm("keys", "rotate", TENANT, "--public", public, "--overlap", "24h")
        assert f"{TENANT}: added key version 3" in rotated
        until(lambda: len(box.health()["accepted_keys"]) == 2, lambda: "no second key")
        data = tmp_path / "branding.yaml"
        data.write_text("title: by the pair\n")
        url = f"http://127.0.0.1:{box.port}/i/eu1/t/{TENANT}"
        pushed = box.crm("push", "branding", str(data), "--url", url, "--private-key", "env:PRIVATE")
        assert pushed.startswith("applied branding")
        box.applied("branding", {"title": "by the secret again"}, envelope={"version": 100})
        assert box.health()["expected_key"] == f"{TENANT}:3"
        listed = box.crm("keys", "list", TENANT)
        assert "public key" in listed.splitlines()[0]
        box.crm("keys", "revoke", TENANT, "2")
        until(lambda: [key["state"] for key in box.health()["accepted_keys"]] == ["active", "revoked"], box.log_text)
        problem(box.push("branding", {"title": "too late"}), 401, "key_inactive")
        data.write_text("title: by the pair alone\n")
        assert box.crm("push", "branding", str(data), "--url", url, "--private-key", "env:PRIVATE").startswith(
            "applied"
        )
    finally:
        assert box.stop() == 0


def test_a_folder_is_applied_with_secrets_and_private_keys(tmp_path: Path) -> None:
    """Each tenant's newest key that can sign here is used, for health too; one whose key is not given fails alone."""
    pairs = {name: Ed25519PrivateKey.from_private_bytes(key_of(name, 3)) for name in ("paired", "piped", "missing")}
    public = {
        name: "ed25519:" + base64.b64encode(pair.public_key().public_bytes_raw()).decode()
        for name, pair in pairs.items()
    }
    tenants: dict[str, Any] = {name: {"keys": [{"version": 3, "public": key}]} for name, key in public.items()}
    tenants["paired"]["keys"].append(roster_key("paired"))
    tenants["shared"] = {"keys": [roster_key("shared")]}
    box = Box(tmp_path / "fleet", tenants=tenants).create_tenants().start()
    try:
        desired, platform = tmp_path / "desired", tmp_path / "platform"
        desired.mkdir()
        platform.mkdir()
        for name in tenants:
            (desired / f"{name}.yaml").write_text("branding: {title: by the folder}\n")
        (tmp_path / "piped.pub").write_text(public["piped"])
        tenants["piped"]["keys"] = [{"version": 3, "public": f"file:{tmp_path / 'piped.pub'}"}]
        tenants["elsewhere"] = {"keys": [{"version": 1, "secret": "env:NOT_SET"}]}
        (platform / "keys.yaml").write_text(yaml.safe_dump({"tenants": tenants}))
        environ = {name.upper(): "whsk_" + base64.b64encode(key_of(name, 3)).decode() for name in ("paired", "piped")}
        keys = ("--private-key", "env:PAIRED", "--private-key", "env:PIPED")
        url = f"http://127.0.0.1:{box.port}/i/eu1"
        words = ("apply", str(desired), "--json", "--url", url, *keys, "--config", str(platform))
        done = CliRunner().invoke(crm, words, env=environ)
        assert done.exit_code == 1, done.output
        found = {one["tenant"]: one for one in map(json.loads, done.stdout.splitlines())}
        assert {name: one["status"] for name, one in found.items()} == {
            "missing": "failed", "paired": "applied", "piped": "applied", "shared": "applied",
        }  # fmt: skip
        assert "sign with the private key of one: --private-key REF" in found["missing"]["problem"]["detail"]
        logged = {
            name: json.loads(box.crm("log", "list", "--tenant", name, "--json"))
            for name in ("paired", "piped", "shared")
        }
        words = ("health", "--all", "--json", "--url", url, *keys, "--config", str(platform))
        done = CliRunner().invoke(crm, words, env=environ)
        found = {one["tenant"]: one["status"] for one in map(json.loads, done.stdout.splitlines())}
        known = dict.fromkeys(("paired", "piped", "shared"), "ok")
        assert found == {**known, "elsewhere": "failed", "missing": "failed"}
        used = {name: entries[0]["key_version"] for name, entries in logged.items()}
        assert used == {"paired": 3, "piped": 3, "shared": 2}
    finally:
        assert box.stop() == 0
