"""Secrets of sections: sealed, reused only for the same place, and shown nowhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract.box import PASSWORD, SMTP, Box, pointers, problem, warned
from contract.conftest import Boxes

MERGE = {"strategy": "merge"}
DOTTED = ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.1.1", "0.0.0.0"]
OTHER_SPELLINGS = [
    "localhost",
    "127.1",
    "0x7f.1",
    "2130706433",
    "0177.0.0.1",
    "0x7f000001",
    "0",
    "::1",
    "[::1]",
    "::ffff:10.0.0.1",
    "fe80::1",
    "fd00::1",
]


@pytest.fixture(autouse=True)
def _known_smtp(box: Box) -> None:
    """Each test starts from the same mail server, with its password."""
    box.applied("smtp", {**SMTP, "reply_to": f"r{next(box.versions)}@example.com"})


def set_in(response: dict[str, Any]) -> dict[str, Any]:
    """The answer's changes of the password."""
    return {c["pointer"]: (c["from"], c["to"]) for c in response["changes"] if "password" in c["pointer"]}


def test_a_merge_keeps_the_password_for_the_same_server(box: Box) -> None:
    """A merge that changes only the sender keeps the password and lists no change of it."""
    answer = box.applied("smtp", {"from_name": "Other"}, envelope=MERGE)
    assert [change["pointer"] for change in answer["changes"]] == ["/smtp/from_name"]
    again = box.applied("smtp", {"password": "another one"}, envelope=MERGE)
    assert set_in(again) == {"/smtp/password": ({"set": True}, {"set": True})}


@pytest.mark.parametrize(
    "change",
    [{"host": "mail.example.org"}, {"port": 465}, {"security": "tls"}, {"username": "eve"}, {"username": None}],
)
def test_a_merge_that_moves_the_server_requires_the_password(box: Box, change: dict[str, Any]) -> None:
    """Without the password it is refused, since the next email would send it to a new host; with it, it is applied."""
    refusal = problem(box.push("smtp", change, envelope=MERGE), 422, "password_required")
    assert pointers(refusal) == {"/data/password"}
    assert refusal["detail"].startswith(f"{next(iter(change))} changed, ")
    box.applied("smtp", {**change, "password": PASSWORD}, envelope=MERGE)


def test_the_same_values_sent_again_keep_the_password(box: Box) -> None:
    """Members that are sent without a change do not require the password."""
    answer = box.applied(
        "smtp", {name: SMTP[name] for name in ("host", "port", "security", "username")}, envelope=MERGE
    )
    assert answer["changes"] == []


def test_a_merge_may_remove_the_password(box: Box) -> None:
    """Null removes the password, also together with a new host."""
    answer = box.applied("smtp", {"password": None, "host": "mail.example.org"}, envelope=MERGE)
    assert set_in(answer) == {"/smtp/password": ({"set": True}, None)}


def test_a_replace_without_the_password_has_none(box: Box) -> None:
    """A replace is the whole section, so it removes the password."""
    without = {name: value for name, value in SMTP.items() if name != "password"}
    answer = box.applied("smtp", without)
    assert set_in(answer) == {"/smtp/password": ({"set": True}, None)}
    assert warned(answer) == ["password_dropped"]
    assert warned(box.applied("smtp", {**without, "from_name": "No password is stored now"})) == []


def test_a_replace_without_the_user_name_drops_the_password_silently(box: Box) -> None:
    """Without a user name, or with another one, the old password is of no use."""
    without = {name: value for name, value in SMTP.items() if name not in ("username", "password")}
    assert warned(box.applied("smtp", without)) == []
    box.applied("smtp", SMTP)
    assert warned(box.applied("smtp", {**without, "username": "another"})) == []
    box.applied("smtp", SMTP)
    assert warned(box.applied("smtp", {"from_name": "Kept"}, envelope=MERGE)) == []


def test_a_retained_password_is_seen_without_encryption(box: Box) -> None:
    """A merge that keeps a password on an unencrypted connection is warned of as the push that sent it."""
    box.applied("smtp", {**SMTP, "port": 25, "security": "none"})
    answer = box.applied("smtp", {"from_name": "Plain"}, envelope=MERGE)
    assert warned(answer) == ["password_in_clear"]


def test_a_required_password_is_listed_with_other_errors(box: Box) -> None:
    """The refusal is invalid_payload, and password_required is in its list."""
    refusal = problem(box.push("smtp", {"host": "m.example.org", "port": 99}, envelope=MERGE), 422, "invalid_payload")
    assert {error["code"] for error in refusal["errors"]} >= {"password_required"}
    assert pointers(refusal) == {"/data/password", "/data/port"}


def test_the_redacted_form_is_no_password(box: Box) -> None:
    """A redacted value that is sent back is refused and overwrites nothing."""
    before = box.health()["sections"]["smtp"]
    refusal = problem(box.push("smtp", {"password": {"set": True}}, envelope=MERGE), 422, "invalid_payload")
    assert pointers(refusal) == {"/data/password"}
    assert box.health()["sections"]["smtp"] == before


def test_a_combined_merge_keeps_the_password_too(box: Box) -> None:
    """A moved server requires the password, with a pointer into the section; otherwise it stays."""
    refusal = problem(box.push("combined", {"smtp": {"port": 465}}, envelope=MERGE), 422, "password_required")
    assert pointers(refusal) == {"/data/smtp/password"}
    box.applied("combined", {"smtp": {"from_name": "C"}}, envelope=MERGE)


def test_a_restore_keeps_the_current_password(box: Box) -> None:
    """A restore brings back the other members; the password is not sent to another host."""
    first = box.applied("smtp", {**SMTP, "from_name": "First"})
    box.applied("smtp", {"from_name": "Second", "password": "newer secret"}, envelope=MERGE)
    restored = box.client.post(f"{box.base()}/sync/history/smtp/{first['revision']}/restore", headers=box.bearer())
    assert restored.status_code == 200, restored.text
    assert [change["pointer"] for change in restored.json()["changes"]] == ["/smtp/from_name"]
    box.applied("smtp", {**SMTP, "host": "elsewhere.example.org", "password": "third secret"})
    refused = box.client.post(f"{box.base()}/sync/history/smtp/{first['revision']}/restore", headers=box.bearer())
    problem(refused, 422, "password_required")


def test_a_password_without_encryption_is_a_warning(box: Box) -> None:
    """A push with a password but without encryption is applied with a warning."""
    assert list(warned(box.applied("smtp", {**SMTP, "security": "none"}))) == ["password_in_clear"]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.1.2.3",
        "localhost",
        "192.168.0.1",
        "169.254.1.1",
        "::1",
        "[::1]",
        "::ffff:10.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "0x7f000001",
        "fe80::1",
        "fd00::1",
        "0.0.0.0",
        "0",
    ],
)
def test_a_host_inside_the_network_is_refused_in_any_spelling(box: Box, host: str) -> None:
    """Every spelling that inet_aton accepts is refused, with its pointer."""
    assert pointers(problem(box.push("smtp", {**SMTP, "host": host}), 422, "invalid_payload")) == {"/data/host"}


def test_a_port_outside_the_list_is_refused(box: Box) -> None:
    """Only the ports of smtp.ports in instance.yaml are accepted."""
    assert pointers(problem(box.push("smtp", {**SMTP, "port": 8080}), 422, "invalid_payload")) == {"/data/port"}


@pytest.mark.parametrize("name", ["from_name", "username"])
@pytest.mark.parametrize("value", ["a\r\nBcc: x@example.com", "a\nb", "a\x7fb"])
def test_no_control_characters_reach_a_mail_header(box: Box, name: str, value: str) -> None:
    """Control characters, which could begin another header, are refused."""
    assert pointers(problem(box.push("smtp", {**SMTP, name: value}), 422, "invalid_payload")) == {f"/data/{name}"}


def test_encoded_words_are_refused(box: Box) -> None:
    """Encoded words, which a reader would decode into any text, are refused."""
    refusal = problem(box.push("smtp", {**SMTP, "from_name": "=?utf-8?q?a?="}), 422, "invalid_payload")
    assert pointers(refusal) == {"/data/from_name"}


def test_private_hosts_are_accepted_if_the_instance_allows_them(boxes: Boxes) -> None:
    """With smtp.allow_private_hosts an inside address is accepted."""
    box = boxes(settings={"smtp": {"allow_private_hosts": True}})
    answer = box.applied("smtp", {**SMTP, "host": "127.0.0.1", "port": 2525})
    assert {"pointer": "/smtp/host", "from": None, "to": "127.0.0.1"} in answer["changes"]


def test_a_pushed_password_is_seen_nowhere(boxes: Boxes) -> None:
    """Not in any answer, not in any file of the tenants folder, not in what the server prints, also where refused."""
    box = boxes()
    secret = "Zebra-Quartz-91-nowhere"
    answers = [
        box.push("smtp", {**SMTP, "password": secret}),
        box.push("smtp", {**SMTP, "password": secret}, envelope={"mode": "preview"}),
        box.push("smtp", {**SMTP, "password": secret, "port": "x", "nonsense": secret}),
        box.push("smtp", {**SMTP, "password": [secret], "host": {secret: secret}}),
        box.push("smtp", {**SMTP, "password": secret + "\x00"}),
        box.push("branding", {"password": secret, "title": 5}),
        box.push("smtp", raw=box.body("smtp", {"password": secret}) + b"x"),
        box.push("smtp", {"password": secret}, envelope={"mode": secret}),
        box.push("combined", {"smtp": {"password": secret}, "nowhere": {"password": secret}}),
        box.push("combined", {"smtp": {**SMTP, "password": secret}, "workspace": {}}),
        box.push("smtp", {**SMTP, "password": secret}, timestamp=1_600_000_000),
        box.push("smtp", {**SMTP, "password": secret}, headers={"Sync-Signature": None}),
        box.push("smtp", {"from_name": "x", "password": secret}, envelope=MERGE),
    ]
    assert {answer.status_code for answer in answers} == {200, 400, 401, 422}
    answers += [box.get(path) for path in ("sync/log", "sync/health", "bootstrap", "sync/history/smtp")]
    answers += [box.get("sync/log", headers={"Accept": kind}) for kind in ("text/csv", "application/x-ndjson")]
    answers += [box.client.get(path) for path in ("/metrics", "/-/plugins", "/readyz", "/openapi.json", "/docs")]
    shown = [
        *box.crm("tenant", "show", "northwind").encode().split(),
        *box.crm("log", "list", "--tenant", "northwind").encode().split(),
    ]
    box.stop()
    files = [path.read_bytes() for path in box.folder.rglob("*") if path.is_file()]
    texts = [answer.content + str(answer.headers).encode() for answer in answers] + files + shown
    assert not [text[:200] for text in texts if secret.encode() in text]


def test_the_hash_of_a_payload_with_secrets_is_not_logged(box: Box) -> None:
    """The log has no hash of such a payload, by which its secret could be guessed; other payloads have theirs."""
    for kind, data, shown in (
        ("smtp", {"host": "smtp.example.com"}, True),
        ("smtp", SMTP, False),
        ("combined", {"smtp": SMTP}, False),
        ("combined", {"workspace": {}}, True),
        ("branding", {"title": "x"}, True),
    ):
        entry = box.entry(box.applied(kind, data)["request_id"])
        assert (entry["payload_sha256"] is not None) is shown, (kind, data)


def test_the_errors_in_the_log_do_not_show_a_secret_in_the_wrong_place(box: Box) -> None:
    """In a section with secrets they have a fixed text for each code, and end at members that the section has."""
    wrong = {**SMTP, "password": {PASSWORD: 1}, PASSWORD: "x", "port": "587"}
    refusal = problem(box.push("smtp", wrong), 422, "invalid_payload")
    entry = box.entry(refusal["request_id"])
    found = {(error["pointer"], error["code"]): error["message"] for error in entry["errors"]}
    assert found == {
        ("/data/password", "wrong_type"): "This value has the wrong type.",
        ("/data", "unknown_member"): "Unknown member.",
        ("/data/port", "wrong_type"): "This value has the wrong type.",
    }
    together = problem(box.push("combined", {"smtp": wrong, "branding": {"title": 5}}), 422, "invalid_payload")
    entry = box.entry(together["request_id"])
    branding = [error for error in together["errors"] if error["pointer"].startswith("/data/branding")]
    assert [error for error in entry["errors"] if error["pointer"].startswith("/data/branding")] == branding
    assert PASSWORD not in json.dumps(entry)
