"""Platforms that sign with other people's libraries, from PyPI and npm, push to a running server."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import http_message_signatures as hms
import httpx
import pytest
import standardwebhooks

import npm
from contract.box import TENANT, Box, good, key_of, problem, roster_key

NODE = ("standardwebhooks", "svix", "http-message-signatures")
Sign = Callable[[bytes, str, int], Mapping[str, str]]
PATH = f"/i/eu1/t/{TENANT}/api/v1/sync/branding"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    made = Box(
        tmp_path_factory.mktemp("clients"),
        tenants={
            TENANT: {"keys": [roster_key(), roster_key(version=3)]},
            "patient": {"repeats": "accept", "keys": [roster_key("patient")]},
        },
    )
    try:
        yield made.create_tenants().start()
    finally:
        assert made.stop() == 0


@pytest.fixture(scope="session")
def node_clients(request: pytest.FixtureRequest) -> Path:
    """The folder with the libraries from npm, installed once; skips if that fails."""
    folder = Path(request.config.cache.mkdir("node-clients"))
    npm.install(folder, NODE)
    return folder


def webhook_headers(id_: str, timestamp: int, signature: str) -> dict[str, str]:
    return {"webhook-id": id_, "webhook-timestamp": str(timestamp), "webhook-signature": signature}


def by_standardwebhooks(body: bytes, id_: str, timestamp: int, key: bytes = key_of()) -> Mapping[str, str]:
    signer = standardwebhooks.Webhook("whsec_" + base64.b64encode(key).decode())
    return webhook_headers(id_, timestamp, signer.sign(id_, datetime.fromtimestamp(timestamp, UTC), body.decode()))


def by_svix(body: bytes, id_: str, timestamp: int) -> Mapping[str, str]:
    from svix.webhooks import Webhook  # a second of imports

    signer = Webhook("whsec_" + base64.b64encode(key_of()).decode())
    return webhook_headers(id_, timestamp, signer.sign(id_, datetime.fromtimestamp(timestamp, UTC), body.decode()))


class _Keys(hms.HTTPSignatureKeyResolver):
    def resolve_private_key(self, key_id: str) -> bytes:
        return key_of()


def by_message_signatures(body: bytes, id_: str, timestamp: int) -> Mapping[str, str]:
    signer = hms.HTTPMessageSigner(signature_algorithm=hms.algorithms.HMAC_SHA256, key_resolver=_Keys())
    digest = base64.b64encode(hashlib.sha512(body).digest()).decode()
    headers = {"Content-Type": "application/json", "Content-Digest": f"sha-512=:{digest}:"}
    message = SimpleNamespace(method="POST", url=f"http://localhost{PATH}", headers=headers, body=body)
    signer.sign(
        message,
        key_id=f"{TENANT}:2",
        created=datetime.fromtimestamp(timestamp, UTC),
        nonce=id_,
        label="any",
        covered_component_ids=("@method", "@path", "content-digest", "content-type"),
        body=body,
        use_existing_digest=True,
    )
    return headers


_BY_NODE = [
    pytest.param(f"node {name}", marks=[pytest.mark.system("node"), pytest.mark.system("npm")]) for name in NODE
]


@pytest.fixture(params=["standardwebhooks", "svix", "http-message-signatures", *_BY_NODE])
def sign(request: pytest.FixtureRequest) -> Sign:
    """Another's library at work: the headers of a signed push."""
    python: dict[str, Sign] = {
        "standardwebhooks": by_standardwebhooks,
        "svix": by_svix,
        "http-message-signatures": by_message_signatures,
    }
    if request.param in python:
        return python[request.param]
    folder, library = request.getfixturevalue("node_clients"), request.param.partition(" ")[2]

    def by_node(body: bytes, id_: str, timestamp: int) -> Mapping[str, str]:
        reported = {
            "body": body.decode(),
            "url": f"http://localhost{PATH}",
            "key_base64": base64.b64encode(key_of()).decode(),
            "keyid": f"{TENANT}:2",
            "id": id_,
            "timestamp": timestamp,
        }
        done = subprocess.run(
            ["node", str(Path(__file__).parent / "clients.mjs"), library],
            input=json.dumps(reported),
            env={**os.environ, "NODE_CLIENTS": str(folder)},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        headers: dict[str, str] = json.loads(done.stdout)
        return headers

    return by_node


def send(box: Box, body: bytes, headers: Mapping[str, str], path: str = PATH) -> httpx.Response:
    return box.client.post(path, content=body, headers={"Content-Type": "application/json", **headers})


def test_a_push_is_accepted_and_its_replay_refused(box: Box, sign: Sign) -> None:
    """What another's library signs is applied once; the same request again is a replay, a damaged one invalid."""
    body = box.body("branding", {"title": f"Größe ☃ {secrets.token_hex(4)}"})
    headers = sign(body, f"msg_{secrets.token_hex(12)}", int(time.time()))
    first = good(send(box, body, headers))
    assert first["status"] == "applied"
    reported = problem(send(box, body, headers), 409, "replayed_nonce")
    assert reported["original"]["request_id"] == first["request_id"]
    assert reported["original"]["status"] == "applied"
    problem(send(box, body.replace(b"title", b"tItle"), headers), 401, "signature_invalid")
    late = sign(body, f"msg_{secrets.token_hex(12)}", int(time.time()) - 400)
    problem(send(box, body, late), 401, "timestamp_out_of_window")


def test_a_sender_that_knows_only_2xx_can_be_humoured(box: Box) -> None:
    """With `repeats: accept` the repeat of an applied push, signed again or not, is a 200 that changes nothing."""
    body = box.body("branding", {"title": "Once"}, tenant="patient")
    headers = by_standardwebhooks(body, "msg_once", int(time.time()), key_of("patient"))
    path = PATH.replace(TENANT, "patient")
    first = good(send(box, body, headers, path))
    again = good(send(box, body, headers, path))
    assert (again["status"], again["original"]["request_id"]) == ("already_applied", first["request_id"])
    assert box.health("patient")["sections"]["branding"]["revision"] == first["revision"]
    later = by_standardwebhooks(body, "msg_once", int(time.time()) + 1, key_of("patient"))
    assert good(send(box, body, later, path))["status"] == "already_applied"
    other = send(box, body.replace(b"Once", b"Else"), headers, path)
    problem(other, 401, "signature_invalid")


@pytest.mark.parametrize("version", [2, 3])
def test_a_scheme_that_names_no_key_is_tried_with_each(box: Box, version: int) -> None:
    """While two keys are active a webhook signed with either is taken, and the log names the one that matched."""
    body = box.body("branding", {"title": f"By key {version}"})
    key, now = key_of(version=version), int(time.time())
    reported = good(send(box, body, by_standardwebhooks(body, f"msg_{version}", now, key)))
    entry = box.entry(reported["request_id"])
    assert (entry["key_version"], entry["scheme"], entry["nonce"]) == (version, "standard-webhooks", f"msg_{version}")
