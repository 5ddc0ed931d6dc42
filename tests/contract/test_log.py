"""The sync log: every attempt, filters and pages, exports, and a chain that a reader can recompute."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import time
from typing import Any

import pytest
import rfc8785

from contract.box import BRANDING, SMTP, Box, good, problem
from contract.conftest import Boxes

MEMBERS = [
    *("id", "seq", "received_at", "instance", "tenant", "payload_type", "payload_version", "mode", "scheme"),
    *("key_version", "signature_result", "status", "error_code", "error_message", "request_id"),
    *("client_request_id", "source_ip", "nonce", "payload_sha256", "payload_bytes", "duration_ms", "revision"),
    *("changes_count", "actor", "count", "prev_hash", "entry_hash"),
]


@pytest.fixture(scope="module")
def box(boxes: Boxes) -> Box:
    """An instance with a log of every kind of entry."""
    box = boxes()
    for n in range(6):
        box.applied("branding", {"title": f"T{n}"})
        box.push("branding", {"title": n})
        box.push("smtp", SMTP, headers={"Sync-Signature": None, "X-Request-Id": "theirs:1"})
        box.push("branding", {"title": "p"}, envelope={"mode": "preview"})
    box.push("branding", BRANDING, path=f"{box.base()}/sync/%3Dcmd")
    box.push("branding", BRANDING, path=f"{box.base()}/sync/=cmd")
    return box


def everything(box: Box, **query: str) -> list[dict[str, Any]]:
    """Every entry that the filters select, page by page."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = good(box.get("sync/log", **query, **cursor))
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


def test_an_entry_has_exactly_the_members_of_the_contract(box: Box) -> None:
    """Entries in and outside the chain have all members, and errors only if there are any; numbers are integers."""
    for entry in everything(box):
        with_errors = entry["error_code"] == "invalid_payload"
        assert list(entry) == [*MEMBERS, *(["errors"] if with_errors else [])]
        assert not [name for name, value in entry.items() if isinstance(value, float)]


def test_the_entry_of_an_applied_push_is_complete(box: Box) -> None:
    """The entry has every value of the push and of its answer."""
    body = box.body("branding", {"title": "full"})
    signed = box.sign("branding", body)
    begun = time.monotonic()
    answer = good(box.push("branding", raw=body, headers={**signed, "X-Request-Id": "mine.1:a_b-C"}))
    took = (time.monotonic() - begun) * 1000
    entry = box.entry(answer["request_id"])
    wanted = {
        "seq": answer["log_head"]["seq"],
        "entry_hash": answer["log_head"]["hash"],
        "instance": "eu1",
        "tenant": "northwind",
        "payload_type": "branding",
        "payload_version": answer["version"],
        "mode": "apply",
        "scheme": "crm-sync-v1",
        "key_version": 2,
        "signature_result": "valid",
        "status": "applied",
        "error_code": None,
        "error_message": None,
        "client_request_id": "mine.1:a_b-C",
        "source_ip": "127.0.0.1",
        "nonce": signed["Sync-Nonce"],
        "payload_sha256": hashlib.sha256(body).hexdigest(),
        "payload_bytes": len(body),
        "revision": answer["revision"],
        "changes_count": len(answer["changes"]),
        "actor": "key:2",
        "count": 1,
    }
    assert {name: entry[name] for name in wanted} == wanted
    assert 0 <= entry["duration_ms"] <= took + 1
    assert good(box.get(f"sync/log/{entry['id']}")) == entry


def test_a_preview_is_logged_without_a_revision(box: Box) -> None:
    """The entry of a preview counts the changes."""
    answer = box.applied("branding", {"title": "seen"}, envelope={"mode": "preview"})
    entry = box.entry(answer["request_id"])
    assert (entry["status"], entry["mode"], entry["revision"]) == ("previewed", "preview", None)
    assert entry["changes_count"] == len(answer["changes"])


def test_the_chain_can_be_recomputed_from_the_list(box: Box) -> None:
    """SHA-256 of prev_hash, LF and the RFC 8785 JSON of the entry without its hashes, from 64 zeros to the head."""
    chain = [entry for entry in reversed(everything(box, limit="7")) if entry["seq"] is not None]
    head = "0" * 64
    for seq, entry in enumerate(chain, start=1):
        members = {name: value for name, value in entry.items() if name not in ("prev_hash", "entry_hash")}
        digest = hashlib.sha256(head.encode() + b"\n" + rfc8785.dumps(members)).hexdigest()
        assert (entry["seq"], entry["prev_hash"], entry["entry_hash"]) == (seq, head, digest)
        head = digest
    assert box.health()["log_head"] == {"seq": len(chain), "hash": head}


def test_unverified_attempts_are_outside_the_chain(box: Box) -> None:
    """They have null hashes and are in the same list, newest first by id."""
    entries = everything(box)
    assert [entry["id"] for entry in entries] == sorted((entry["id"] for entry in entries), reverse=True)
    unchained = [entry for entry in entries if entry["signature_result"] == "missing"]
    assert len(unchained) == 6
    assert {(entry["seq"], entry["prev_hash"], entry["entry_hash"]) for entry in unchained} == {(None, None, None)}
    assert {entry["client_request_id"] for entry in unchained} == {"theirs:1"}


@pytest.mark.parametrize("limit", ["1", "3", "500"])
def test_pages_have_every_entry_once(box: Box, limit: str) -> None:
    """Paging with any limit shows each entry exactly once."""
    assert everything(box, limit=limit) == everything(box)


@pytest.mark.parametrize(
    "filters",
    [
        {"status": "applied"},
        {"status": "rejected", "payload_type": "branding"},
        {"payload_type": "smtp"},
        {"signature_result": "missing"},
        {"error_code": "invalid_payload"},
        {"source_ip": "127.0.0.1"},
        {"source_ip": "192.0.2.1"},
        {"nonce": "none-such-nonce-at-all"},
    ],
)
def test_filters_narrow_the_list(box: Box, filters: dict[str, str]) -> None:
    """A filtered list has exactly the matching entries, over all pages."""
    wanted = [entry for entry in everything(box) if all(entry[name] == value for name, value in filters.items())]
    assert everything(box, **filters) == wanted
    assert everything(box, **filters, limit="2") == wanted


def test_since_is_inclusive_and_until_exclusive(box: Box) -> None:
    """Both compare received_at and accept other time zones."""
    entries = everything(box)
    middle = entries[len(entries) // 2]["received_at"]
    assert everything(box, since=middle) == [entry for entry in entries if entry["received_at"] >= middle]
    assert everything(box, until=middle) == [entry for entry in entries if entry["received_at"] < middle]
    zone = middle.removesuffix("Z") + "+00:00"
    assert everything(box, since=zone) == everything(box, since=middle)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"colour": "red"}, "unknown_parameter"),
        ({"limit": "0"}, "invalid_parameter"),
        ({"limit": "501"}, "invalid_parameter"),
        ({"limit": "ten"}, "invalid_parameter"),
        ({"limit": "٣"}, "invalid_parameter"),
        ({"status": "lost"}, "invalid_parameter"),
        ({"signature_result": "good"}, "invalid_parameter"),
        ({"since": "yesterday"}, "invalid_parameter"),
        ({"until": "2026-11-24T02:00:00"}, "invalid_parameter"),
        ({"cursor": "nonsense"}, "invalid_cursor"),
        ({"cursor": ""}, "invalid_cursor"),
    ],
)
def test_invalid_filters_are_refused(box: Box, query: dict[str, str], code: str) -> None:
    """Unknown parameters and invalid values are refused with their codes."""
    problem(box.get("sync/log", **query), 400, code)


def test_a_cursor_is_valid_for_its_own_list_only(box: Box) -> None:
    """Other filters, another list or an edited cursor are invalid_cursor."""
    cursor = good(box.get("sync/log", limit="2"))["next_cursor"]
    problem(box.get("sync/log", limit="2", status="applied", cursor=cursor), 400, "invalid_cursor")
    problem(box.get("sync/history/branding", cursor=cursor), 400, "invalid_cursor")
    problem(box.get("sync/log", cursor=cursor[:-1] + ("A" if cursor[-1] != "A" else "B")), 400, "invalid_cursor")
    good(box.get("sync/log", limit="3", cursor=cursor))


def test_the_log_comes_as_json_lines(box: Box) -> None:
    """The export has every selected entry, one a line."""
    answer = box.get("sync/log", headers={"Accept": "application/x-ndjson"}, status="applied")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in answer.text.splitlines()] == everything(box, status="applied")


def test_the_log_comes_as_csv_that_no_spreadsheet_runs(box: Box) -> None:
    """The export has a header row and all entries; a cell that would be a formula gets a leading apostrophe."""
    answer = box.get("sync/log", headers={"Accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    marked = box.get("sync/log", bom="true", headers={"Accept": "text/csv"})
    assert marked.content.startswith(b"\xef\xbb\xbfid,seq,")
    problem(box.get("sync/log", bom="yes", headers={"Accept": "text/csv"}), 400, "invalid_parameter")
    head, *rows = csv.reader(io.StringIO(answer.text))
    assert head == MEMBERS
    entries = everything(box)
    assert [row[0] for row in rows] == [entry["id"] for entry in entries]
    types = [row[MEMBERS.index("payload_type")] for row in rows]
    assert "'=cmd" in types
    assert not [cell for cell in itertools.chain(*rows) if cell[:1] in tuple("=+-@")]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("*/*", "application/json"), ("", "application/json"), ("text/*", "text/csv"), ("image/png", None)],
)
def test_what_is_accepted_decides_the_form(box: Box, accept: str, kind: str | None) -> None:
    """Accept selects the format; 406 if none is available."""
    answer = box.get("sync/log", headers={"Accept": accept})
    if kind is None:
        problem(answer, 406, "not_acceptable")
    else:
        assert answer.headers["content-type"].startswith(kind)


def test_the_log_is_for_tokens_with_its_scope(box: Box) -> None:
    """401 and 403, for the list and for one entry; an unknown entry is 404."""
    entry = everything(box)[0]["id"]
    for path in ("sync/log", f"sync/log/{entry}", "sync/history/branding"):
        problem(box.client.get(f"{box.base()}/{path}"), 401, "unauthenticated")
        refused = box.client.get(f"{box.base()}/{path}", headers=box.bearer("sync:health"))
        problem(refused, 403, "insufficient_scope")
    problem(box.get("sync/log/01900000-0000-7000-8000-000000000000"), 404, "not_found")
    problem(box.get("sync/log/nothing"), 404, "not_found")


def test_verify_finds_the_chain_whole_and_knows_its_heads(box: Box) -> None:
    """While the server runs, verify finds the head of an answer in the chain, but not an invented one."""
    head = box.applied("branding", BRANDING)["log_head"]
    box.applied("branding", BRANDING)
    answer = f"{head['seq']}:{head['hash']}"
    box.crm("log", "verify", "--tenant", "northwind")
    box.crm("log", "verify", "--tenant", "northwind", "--head", answer)
    box.crm("log", "verify", "--tenant", "northwind", "--head", f"{head['seq']}:{'f' * 64}", code=1)
    endless = box.crm("log", "verify", "--tenant", "northwind", "--head", f"{'9' * 5000}:{'f' * 64}", code=2)
    assert "SEQ:HASH" in endless


def test_history_has_each_applied_revision_with_its_changes(box: Box) -> None:
    """History is newest first and paged; a restore is in it with its actor."""
    first = box.applied("workspace", {"locale": "de"})
    second = box.applied("workspace", {"locale": "fr"})
    items = good(box.get("sync/history/workspace"))["items"]
    assert [item["revision"] for item in items] == [second["revision"], first["revision"]]
    assert items[0] == {
        "section": "workspace",
        "revision": second["revision"],
        "version": second["version"],
        "applied_at": second["applied_at"],
        "key_version": 2,
        "actor": "key:2",
        "request_id": second["request_id"],
        "changes": second["changes"],
    }
    page = good(box.get("sync/history/workspace", limit="1"))
    following = good(box.get("sync/history/workspace", limit="1", cursor=page["next_cursor"]))
    assert [*page["items"], *following["items"]] == items
    path = f"{box.base()}/sync/history/workspace/{first['revision']}/restore"
    restored = good(box.client.post(path, headers=box.bearer()))
    assert restored["changes"] == [{"pointer": "/workspace/locale", "from": "fr", "to": "de"}]
    newest = good(box.get("sync/history/workspace", limit="1"))["items"][0]
    assert (newest["revision"], newest["key_version"]) == (restored["revision"], None)
    assert newest["actor"].startswith("token:")
    entry = box.entry(restored["request_id"])
    assert (entry["signature_result"], entry["status"], entry["actor"]) == ("unchecked", "applied", newest["actor"])
    problem(box.client.post(path, headers=box.bearer("sync:read")), 403, "insufficient_scope")
    problem(box.client.post(path.replace(f"/{first['revision']}/", "/99999/"), headers=box.bearer()), 404, "not_found")
    problem(box.get("sync/history/nothing"), 404, "not_found")


def test_a_refusal_has_its_errors_in_the_log(box: Box) -> None:
    """The entry lists what the answer listed, at most twenty; the chain and the exports have it, CSV leaves it out."""
    links = [{"label": "Help", "url": "http://insecure.example"}] * 25
    refusal = problem(box.push("branding", {"title": 5, "footer": {"links": links}}), 422, "invalid_payload")
    assert len(refusal["errors"]) > 20
    entry = box.entry(refusal["request_id"])
    assert entry["errors"] == refusal["errors"][:20]
    assert good(box.get(f"sync/log/{entry['id']}")) == entry
    lines = box.get("sync/log", request_id=refusal["request_id"], headers={"Accept": "application/x-ndjson"})
    assert json.loads(lines.text) == entry
    table = box.get("sync/log", request_id=refusal["request_id"], headers={"Accept": "text/csv"}).text
    assert next(csv.reader(io.StringIO(table))) == MEMBERS
    assert "/data/footer" not in table
    exported = box.crm("log", "export", "--tenant", "northwind", "--format", "csv")
    assert next(csv.reader(io.StringIO(exported))) == MEMBERS
    assert "/data/footer" not in exported
    none = box.crm("log", "export", "--tenant", "northwind", "--format", "csv", "--status", "failed")
    assert list(csv.reader(io.StringIO(none))) == [MEMBERS]
    assert "is intact" in box.crm("log", "verify", "--tenant", "northwind")


def test_crm_log_show_lists_the_errors_of_an_attempt(box: Box) -> None:
    """By the id of the entry or of its request; an id that the log does not have exits 1."""
    refusal = problem(box.push("branding", {"title": 5}), 422, "invalid_payload")
    entry = box.entry(refusal["request_id"])
    (error,) = entry["errors"]
    for name in (entry["id"], refusal["request_id"]):
        text = box.crm("log", "show", name, "--tenant", "northwind")
        assert f"/data/title: {error['message']} ({error['code']})" in text
        assert entry["entry_hash"] in text
        assert json.loads(box.crm("log", "show", name, "--tenant", "northwind", "--json")) == entry
    shown = f"\n    /data/title: {error['message']} ({error['code']})\n"
    assert shown in box.crm("log", "list", "--tenant", "northwind")
    assert "no entry" in box.crm("log", "show", "unknown", "--tenant", "northwind", code=1)
