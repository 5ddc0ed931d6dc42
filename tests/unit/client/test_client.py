from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from crm_core.client import (
    AsyncClient,
    Client,
    NotAReceiver,
    Outcome,
    Pause,
    Refused,
    Retries,
    Target,
    Unanswered,
    Unsigned,
    native_signer,
    push_to,
    transport,
)
from plain_http import PLAIN

KEY = bytes(range(1, 33))
SIGNER = native_signer(KEY, 2)
QUICK = Retries(attempts=4, first_pause=0.001, longest_pause=2.0)
APPLIED = {
    "status": "applied",
    "request_id": "r-1",
    "tenant": "northwind",
    "type": "branding",
    "version": 7,
    "applied_at": "2026-11-24T02:00:00Z",
    "revision": 57,
    "changes": [{"pointer": "/branding/title", "from": None, "to": "Nordwind"}],
    "modules": {"deals": "available"},
    "warnings": [{"pointer": "/colors", "code": "contrast", "message": "Low."}],
    "log_head": {"seq": 57, "hash": "ab"},
    "a_later_member": 1,
}
ORIGINAL = {"request_id": "r-0", "received_at": "2026-11-24T02:00:00Z", "status": "applied", "version": 7}
HEALTH = {
    "status": "ok",
    "reasons": [],
    "enabled": True,
    "expected_key": "northwind:2",
    "payload_types": ["branding", "combined", "features"],
    "sections": {"branding": {"version": 6, "min_version": 7}, "features": {"version": 11, "min_version": 12}},
}


@pytest.fixture(params=["plain", "async"])
def push(request: pytest.FixtureRequest, receiver: Any) -> Callable[..., Any]:
    """A push through either client, so that every test of an exchange runs with both."""

    async def call(verb: str = "push", *arguments: Any, pauses: list[Pause] | None = None, **more: Any) -> Any:
        settings: dict[str, Any] = {"retries": QUICK, "watch": (pauses if pauses is not None else []).append}
        arguments = arguments or (("branding", {"title": "Nordwind"}) if verb != "health" else ())
        if request.param == "plain":
            with Client(receiver.target, SIGNER, transport=httpx.HTTPTransport(verify=PLAIN), **settings) as client:
                return getattr(client, verb)(*arguments, **more)
        transport = httpx.AsyncHTTPTransport(verify=PLAIN)
        async with AsyncClient(receiver.target, SIGNER, transport=transport, **settings) as client:
            return await getattr(client, verb)(*arguments, **more)

    return call


async def test_a_push_is_signed_sent_and_read(receiver: Any, push: Any, planned: Any) -> None:
    """The body is the envelope, the signature is over its very bytes, and the answer comes back as a value."""
    receiver.answers = [planned(APPLIED)]
    outcome = await push(version=7)
    (got,) = receiver.got
    assert (got.method, got.path) == ("POST", "/i/eu1/t/northwind/api/v1/sync/branding")
    assert json.loads(got.body) == {
        "tenant": "northwind",
        "instance": "eu1",
        "type": "branding",
        "version": 7,
        "data": {"title": "Nordwind"},
    }
    lines = ["crm-sync-v1", "eu1", "northwind", "branding", "2", got.headers["sync-timestamp"]]
    text = "\n".join([*lines, got.headers["sync-nonce"], hashlib.sha256(got.body).hexdigest()])
    assert got.headers["sync-signature"] == "v1=" + hmac.new(KEY, text.encode(), "sha256").hexdigest()
    assert got.headers["content-type"] == "application/json"
    assert (outcome.status, outcome.version, outcome.revision) == ("applied", 7, 57)
    assert (outcome.changes[0].pointer, outcome.changes[0].after) == ("/branding/title", "Nordwind")
    assert outcome.warnings[0].code == "contrast"
    assert outcome.document == APPLIED


async def test_a_preview_says_so_in_the_signed_body(receiver: Any, push: Any, planned: Any) -> None:
    """Mode and strategy are in the body, where the signature covers them."""
    receiver.answers = [planned({**APPLIED, "status": "previewed", "revision": None, "applied_at": None})]
    outcome = await push("preview", version=7, strategy="merge")
    body = json.loads(receiver.got[0].body)
    assert (body["mode"], body["strategy"]) == ("preview", "merge")
    assert (outcome.status, outcome.revision) == ("previewed", None)


@pytest.mark.parametrize(
    ("payload_type", "data", "version"),
    [("branding", {}, 7), ("combined", {"features": {}, "branding": {}}, 12), ("smtp", {"host": "x"}, 1)],
)
async def test_without_a_version_health_decides(
    receiver: Any, push: Any, planned: Any, *, payload_type: str, data: Mapping[str, Any], version: int
) -> None:
    """A push gets the lowest version that health allows; for several sections, the highest of theirs."""
    receiver.answers = [planned(HEALTH), planned(APPLIED)]
    await push("push", payload_type, data)
    health, pushed = receiver.got
    assert (health.method, health.path, health.body) == ("GET", "/i/eu1/t/northwind/api/v1/sync/health", b"")
    assert json.loads(pushed.body)["version"] == version
    assert health.headers["sync-nonce"] != pushed.headers["sync-nonce"]


async def test_versions_that_the_receiver_cannot_read_now_are_waited_for(
    receiver: Any, push: Any, planned: Any
) -> None:
    """While its store does not answer, health has no sections: no push starts at version 1 again."""
    unreadable = {"status": "degraded", "reasons": ["The database does not answer."], "sections": {}, "log_head": None}
    pauses: list[Pause] = []
    receiver.answers = [planned(unreadable), planned(HEALTH), planned(APPLIED)]
    await push(pauses=pauses)
    assert [pause.why for pause in pauses] == ["The database does not answer."]
    assert json.loads(receiver.got[-1].body)["version"] == 7
    receiver.answers = [planned(unreadable)] * QUICK.attempts
    receiver.got.clear()
    with pytest.raises(Unanswered, match=r"sync/health: The database does not answer\."):
        await push()
    assert {got.method for got in receiver.got} == {"GET"}


async def test_health_is_a_value(receiver: Any, push: Any, planned: Any) -> None:
    """Health has the expected key, the sections and the whole answer."""
    receiver.answers = [planned(HEALTH)]
    health = await push("health")
    assert (health.status, health.expected_key, health.sections["features"].min_version) == ("ok", "northwind:2", 12)
    assert health.document == HEALTH


async def test_a_retry_is_the_very_same_request(receiver: Any, push: Any, planned: Any, problem: Any) -> None:
    """After 5xx, 429 and a lost connection the same bytes are sent with the same nonce and signature."""
    receiver.answers = [
        problem(503, "storage_unavailable"),
        problem(429, "rate_limited", {"retry-after": "1"}),
        planned(drop=True),
        planned(APPLIED),
    ]
    pauses: list[Pause] = []
    outcome = await push(version=7, pauses=pauses)
    assert outcome.status == "applied"
    assert len({(got.body, *sorted(got.headers.items())) for got in receiver.got}) == 1
    assert [pause.seconds for pause in pauses] == [0.001, 1.0, 0.004]
    assert pauses[0].why == "503 storage_unavailable: storage_unavailable it is."
    assert "no answer" in pauses[2].why


@pytest.mark.parametrize("status", ["applied", "unchanged"])
@pytest.mark.parametrize("code", ["replayed_nonce", "duplicate_payload"])
async def test_a_push_whose_answer_got_lost_is_done(  # noqa: PLR0917 -- fixtures
    receiver: Any, push: Any, planned: Any, problem: Any, code: str, status: str
) -> None:
    """A 409 whose original was applied or unchanged is a success: it was this push."""
    receiver.answers = [planned(drop=True), problem(409, code, original={**ORIGINAL, "status": status})]
    outcome = await push(version=7)
    assert (outcome.status, outcome.version, outcome.request_id) == ("already_applied", 7, "r-0")


async def test_a_repeat_that_is_too_old_is_signed_again(receiver: Any, push: Any, planned: Any, problem: Any) -> None:
    """The same body with a fresh signature: the answer says whether the first copy was applied."""
    too_old = problem(401, "timestamp_out_of_window")
    receiver.answers = [planned(drop=True), too_old, problem(409, "duplicate_payload", original=ORIGINAL)]
    assert (await push(version=7)).status == "already_applied"
    first, second, third = receiver.got
    assert first.body == second.body == third.body
    assert first.headers["sync-nonce"] == second.headers["sync-nonce"] != third.headers["sync-nonce"]
    receiver.answers = [planned(drop=True), too_old, too_old]
    with pytest.raises(Refused, match="timestamp_out_of_window"):
        await push(version=7)


async def test_a_push_of_what_is_there_is_unchanged(receiver: Any, push: Any, planned: Any) -> None:
    """It is a separate outcome, without changes and without a time."""
    receiver.answers = [planned({**APPLIED, "status": "unchanged", "changes": [], "applied_at": None})]
    outcome = await push(version=7)
    assert (outcome.status, outcome.changes, outcome.applied_at) == ("unchanged", (), None)


async def test_a_receiver_may_accept_repeats(receiver: Any, push: Any, planned: Any) -> None:
    """If the roster accepts repeats, the answer is 200 and the outcome is the same."""
    receiver.answers = [planned({"status": "already_applied", "original": ORIGINAL})]
    outcome = await push(version=7)
    assert (outcome.status, outcome.version, outcome.request_id) == ("already_applied", 7, "r-0")


@pytest.mark.parametrize(("verb", "answer"), [("preview", {**APPLIED, "status": "previewed"}), ("health", HEALTH)])
async def test_a_read_whose_answer_got_lost_is_signed_again(
    receiver: Any, push: Any, planned: Any, verb: str, answer: dict[str, Any]
) -> None:
    """A preview and health change nothing and their answer is needed; the receiver refuses a used nonce."""
    receiver.answers = [planned(drop=True), planned(drop=True), planned(answer)]
    outcome = await push(verb, **({} if verb == "health" else {"version": 7}))
    assert outcome.document == answer
    assert len({got.headers["sync-nonce"] for got in receiver.got}) == len(receiver.got) == 3


@pytest.mark.parametrize("original", [{**ORIGINAL, "status": "rejected"}, {**ORIGINAL, "status": "previewed"}, None])
async def test_a_repeat_of_what_was_not_applied_is_refused(
    receiver: Any, push: Any, problem: Any, original: Any
) -> None:
    """Only an applied original makes a push done."""
    receiver.answers = [problem(409, "replayed_nonce", original=original)]
    with pytest.raises(Refused) as caught:
        await push(version=7)
    assert (caught.value.status, caught.value.code) == (409, "replayed_nonce")


async def test_a_refusal_is_not_tried_again(receiver: Any, push: Any, problem: Any) -> None:
    """A 4xx is final; the error carries code, request id and every finding."""
    listed = [{"pointer": "/data/title", "code": "too_long", "message": "Shorten it."}]
    receiver.answers = [problem(422, "invalid_payload", errors=listed, request_id="r-9")]
    with pytest.raises(Refused) as caught:
        await push(version=7)
    assert len(receiver.got) == 1
    assert (caught.value.code, caught.value.request_id) == ("invalid_payload", "r-9")
    assert caught.value.findings[0].pointer == "/data/title"
    assert str(caught.value) == "422 invalid_payload: invalid_payload it is."


async def test_trying_again_ends(receiver: Any, push: Any, problem: Any) -> None:
    """A client gives up after its attempts, and immediately if the pause would be too long."""
    receiver.answers = [problem(503, "storage_unavailable")] * 4
    with pytest.raises(Unanswered, match="503 storage_unavailable"):
        await push(version=7)
    assert len(receiver.got) == 4
    receiver.answers = [problem(429, "rate_limited", {"retry-after": "3600"})]
    with pytest.raises(Unanswered, match="429 rate_limited"):
        await push(version=7)


async def test_a_receiver_that_is_not_there(receiver: Any, push: Any) -> None:
    """A refused connection is tried again; then the error names the URL."""
    receiver.stop()
    with pytest.raises(Unanswered, match=rf"^{receiver.origin}/i/eu1/.*no answer"):
        await push(version=7)


async def test_an_answer_that_is_not_a_receivers(receiver: Any, push: Any, planned: Any) -> None:
    """A redirect, a page, broken JSON and JSON of another shape are errors, and no redirect is followed."""
    elsewhere = {"location": "https://login.example/"}
    receiver.answers = [
        planned(b"", status=302, headers=elsewhere),
        planned(b"<h1>Hello</h1>", kind="text/html"),
        planned(b"<h1>No</h1>", status=404, kind="text/html"),
        planned(b"\xff"),
        planned([]),
        planned({"status": "fine"}),
    ]
    for words in ("302.*leads to https://login", "200", "404, text/html", "200", "200", "status"):
        with pytest.raises(NotAReceiver, match=words):
            await push(version=7)


async def test_data_that_json_cannot_express(push: Any) -> None:
    """NaN and lone surrogates are refused before anything is sent."""
    for value in (float("nan"), "\ud800"):
        with pytest.raises(ValueError, match=r"JSON|surrogates"):
            await push("push", "branding", {"title": value}, version=7)


async def test_another_scheme_is_a_function(receiver: Any, planned: Any) -> None:
    """A signer receives the request with the bytes to send and returns the headers."""
    seen: list[Unsigned] = []

    def signer(request: Unsigned, timestamp: int, nonce: str) -> Mapping[str, str]:
        seen.append(request)
        return {"x-stamp": str(timestamp), "x-nonce": nonce}

    receiver.answers = [planned(APPLIED)]
    async with AsyncClient(receiver.target, signer) as client:
        outcome = await client.push("branding", {}, version=7)
    assert isinstance(outcome, Outcome)
    (got,) = receiver.got
    assert seen == [push_to(receiver.target, "branding", got.body)]
    assert got.headers["x-nonce"]
    assert got.headers["host"] == seen[0].authority


@pytest.mark.parametrize(
    ("url", "instance", "tenant"),
    [
        ("https://crm.example/i/eu1/t/northwind", None, None),
        ("https://crm.example/i/eu1/t/northwind/api/v1/", None, None),
        ("https://crm.example/i/eu1/", None, "northwind"),
        ("https://CRM.example", "eu1", "northwind"),
        ("https://crm.example/i/eu1/t/northwind", "eu1", "northwind"),
    ],
)
def test_an_address_may_name_instance_and_tenant(url: str, instance: str | None, tenant: str | None) -> None:
    """Arguments fill in what the URL leaves out."""
    target = Target.at(url, instance=instance, tenant=tenant)
    assert target == Target("https://crm.example", "eu1", "northwind")
    assert Target.at("http://[::1]:8000/i/eu1/t/a").origin == "http://[::1]:8000"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("crm.example", "not a receiver's URL"),
        ("ftp://crm.example/i/eu1/t/northwind", "not a receiver's URL"),
        ("https://crm.example/x/i/eu1/t/northwind", "not a receiver's URL"),
        ("https://crm.example/i/eu1/t/northwind?a=b", "not a receiver's URL"),
        ("https://crm.example:99999/", "not a URL"),
        ("https://user:secret@crm.example/i/eu1/t/northwind", "Remove them"),
        ("https://crm.example/i/eu1", "tenant is missing"),
        ("https://crm.example", "instance is missing"),
        ("https://crm.example/i/us2/t/northwind", "Leave one of them out"),
    ],
)
def test_an_address_that_cannot_be_is_explained(url: str, words: str) -> None:
    """Each wrong URL gets its own message, which repeats no password."""
    instance = "eu1" if words == "Leave one of them out" else None
    with pytest.raises(ValueError, match=words) as caught:
        Target.at(url, instance=instance)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("limit", [{"LARGEST": 100}, {"LONGEST": -1.0}])
async def test_an_answer_without_end_is_given_up(
    push: Any, receiver: Any, planned: Any, monkeypatch: pytest.MonkeyPatch, limit: dict[str, float]
) -> None:
    """One that is too large, or drips in for too long, is final: it would occupy a thread forever."""
    for name, most in limit.items():
        monkeypatch.setattr(transport, name, most)
    receiver.answers = [planned(APPLIED)]
    with pytest.raises(Unanswered, match="check the address"):
        await push(version=7)
    assert len(receiver.got) == 1


def test_the_client_needs_nothing_of_the_server() -> None:
    """Importing the client loads neither the web framework nor a store nor the plugin system."""
    code = "import sys, crm_core.client; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert not {"quart", "tinydb", "pluggy", "yaml", "uvicorn"} & set(done.stdout.split())
    assert "httpx" in done.stdout.split()


def test_an_untrusted_certificate_is_not_retried(tmp_path: Path) -> None:
    """A certificate that no trusted authority signed is reported without retries."""
    import ssl
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    subject = ["-subj", "/CN=localhost", "-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    subprocess.run(made, check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.handle_error = lambda *_args: None  # type: ignore[method-assign]
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    pauses: list[Pause] = []
    try:
        target = Target(f"https://localhost:{server.server_port}", "eu1", "northwind")
        with Client(target, SIGNER, watch=pauses.append) as client, pytest.raises(Unanswered, match="CERTIFICATE"):
            client.push("branding", {}, version=1)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert pauses == []
