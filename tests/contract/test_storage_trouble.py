"""When a push is durable, and a tenant whose files are damaged while the others continue."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path
from zlib import crc32

import httpx

from contract.box import BRANDING, Box, good, problem, roster_key, until
from contract.conftest import Boxes

UNREADABLE = "The tenant's files cannot be read now. Its operator runs crm doctor to see why."


def test_an_unverified_attempt_is_readable_immediately_and_durable_soon(boxes: Boxes) -> None:
    """It costs no extra fsync, and survives kill -9: with no further request it is soon in the tenant's files."""
    box = boxes()
    reported = problem(box.push("branding", BRANDING, headers={"Sync-Signature": None}), 401, "signature_missing")
    assert box.entry(reported["request_id"])["error_code"] == "signature_missing"
    files = box.folder / "tenants" / "northwind"
    written = reported["request_id"].encode()
    until(lambda: any(written in path.read_bytes() for path in files.rglob("*.log")), box.log_text)
    box.stop(signal.SIGKILL)
    box.start()
    assert box.entry(reported["request_id"])["error_code"] == "signature_missing"


def test_a_verified_refusal_is_durable_before_it_is_reported(boxes: Boxes) -> None:
    """Killed immediately: entry, chain and used nonce are there."""
    box = boxes()
    body, nonce = box.body("branding", {"title": 5}), "durable-" + "n" * 20
    box.bearer()
    reported = problem(box.push("branding", raw=body, nonce=nonce), 422, "invalid_payload")
    box.stop(signal.SIGKILL)
    box.start()
    assert box.entry(reported["request_id"])["seq"] == 1
    problem(box.push("branding", raw=body, nonce=nonce), 409, "replayed_nonce")
    box.crm("log", "verify", "--tenant", "northwind")


def damage(folder: Path) -> None:
    """The ways in which a bad disk damages a tenant's files."""
    for path in folder.glob("store-*.json"):
        path.write_bytes(b"garbage" + path.read_bytes()[7:])


def test_a_damaged_tenant_takes_no_writes_and_the_others_go_on(boxes: Boxes) -> None:
    """503 with Retry-After and nothing used; health, readiness and the log say so; the server stays up."""
    tenants = {name: {"keys": [roster_key(name)]} for name in ("northwind", "contoso")}
    box: Box = boxes(tenants=tenants)
    box.applied("branding", BRANDING)
    box.bearer()
    box.stop()
    damage(box.folder / "tenants/northwind")
    box.start()
    body, nonce = box.body("branding", {"title": "later"}), "later-" + "n" * 20
    for _ in range(2):
        refused = box.push("branding", raw=body, nonce=nonce)
        reported = problem(refused, 503, "storage_unavailable")
        assert int(refused.headers["retry-after"]) > 0
        entry = box.entry(reported["request_id"])
        assert (entry["status"], entry["error_code"], entry["seq"]) == ("failed", "storage_unavailable", None)
    health = box.health()
    assert (health["status"], health["sections"].keys()) == ("degraded", {"branding"})
    assert (health["counts"]["24h"]["failed"], health["counts"]["24h"]["unverified"]) == (2, 0)
    assert "checksum" in health["reasons"][0]
    roster = box.config / "keys.yaml"
    roster.write_text(roster.read_text() + "  broken\n")
    while "checksum" not in (reasons := box.health()["reasons"])[0] or len(reasons) < 2:
        time.sleep(0.1)  # an edit that is not in effect comes after the damage
    ready = box.client.get("/readyz")
    assert ready.status_code == 200
    assert [one["tenant"] for one in ready.json()["tenants"]] == ["northwind"]
    stranger = box.client.get("/readyz", headers={"X-Forwarded-For": "203.0.113.9"})
    assert stranger.json() == {"status": "degraded", "instance": "eu1", "storage_up": True}
    assert box.public() == {"branding": BRANDING}
    assert good(box.push("branding", BRANDING, tenant="contoso"))["status"] == "applied"


PAGES = "/i/eu1/t/northwind"
EMAIL, PASSWORD = "jana@northwind.example", "seven sailing boats"


def confirmation(client: httpx.Client, path: str) -> str:
    """The CSRF text of a page's last form."""
    return re.findall(r'name="csrf" value="([^"]+)"', client.get(f"{PAGES}{path}").text)[-1]


def test_people_can_sign_in_to_read_a_damaged_tenant_and_out_again(boxes: Boxes) -> None:
    """The pages show what is wrong; signing out ends the session, and so does a new start of the server."""
    box: Box = boxes()
    words = ("user", "create", "--tenant", "northwind", "--email", EMAIL, "--role", "super_admin", "--password-stdin")
    box.crm(*words, stdin=PASSWORD + "\n")
    box.applied("branding", BRANDING)
    box.stop()
    damage(box.folder / "tenants/northwind")
    box.start()
    origin = str(box.client.base_url).rstrip("/")
    with httpx.Client(base_url=origin, follow_redirects=True, headers={"Origin": origin}) as browser:
        form = {"email": EMAIL, "password": PASSWORD, "next": ""}
        entered = browser.post(f"{PAGES}/login", data=form | {"csrf": confirmation(browser, "/login")})
        assert (entered.status_code, entered.url.path) == (200, f"{PAGES}/")
        assert "checksum" in good_text(browser.get(f"{PAGES}/sync"))
        form_of = {"csrf": confirmation(browser, "/customers/new"), "name": "Typed Name"}
        refused = browser.post(f"{PAGES}/customers/new", data=form_of)
        assert (refused.status_code, "Typed Name" in refused.text) == (503, True)
        assert "Your input stays here." in refused.text
        assert "crm doctor" not in refused.text  # words for the operator
        cookies = dict(browser.cookies)
        browser.post(f"{PAGES}/logout", data={"csrf": confirmation(browser, "/")})
        browser.cookies.update(cookies)
        assert browser.get(f"{PAGES}/").url.path == f"{PAGES}/login"
        browser.post(f"{PAGES}/login", data=form | {"csrf": confirmation(browser, "/login")})
        assert browser.get(f"{PAGES}/").url.path == f"{PAGES}/"
        box.stop()
        box.start()
        assert browser.get(str(box.client.base_url).rstrip("/") + f"{PAGES}/").url.path == f"{PAGES}/login"
    granted = good(box.client.post(f"{box.base()}/auth/login", json={"email": EMAIL, "password": PASSWORD}))
    bearer = {"Authorization": f"Bearer {granted['access_token']}"}
    assert good(box.client.get(f"{box.base()}/bootstrap", headers=bearer))["user"]["email"] == EMAIL


def good_text(answer: httpx.Response) -> str:
    """The text of a page that was answered."""
    assert answer.status_code == 200, answer.text[:500]
    return answer.text


def test_no_command_takes_what_is_left_in_quarantine_for_the_whole(boxes: Boxes) -> None:
    """The log does not verify, and what reads it, copies it or counts keys in it says that something is missing."""
    box: Box = boxes(tenants={name: {"keys": [roster_key(name)]} for name in ("northwind", "contoso")})
    for tenant in ("northwind", "contoso"):
        box.applied("branding", BRANDING, tenant=tenant)
    box.stop()
    (journal,) = (box.folder / "tenants/northwind").glob("journal-*.log")
    journal.write_bytes(journal.read_bytes().replace(b'"applied"', b'"rejected"'))
    missing = "northwind is in quarantine"
    printed = box.crm("log", "verify", "--tenant", "northwind", code=1)
    assert missing in printed
    assert "is intact" not in printed
    assert f'"{missing}' in box.crm("log", "verify", "--tenant", "northwind", "--json", code=1)
    for words in (
        ("log", "list", "--tenant", "northwind"),
        ("log", "export", "--tenant", "northwind"),
        ("history", "branding", "--tenant", "northwind"),
    ):
        assert missing in box.crm(*words)
    copied = box.crm("tenant", "backup", "northwind", str(box.folder / "copy"))
    assert copied.startswith(missing), "nothing that can fail comes after the copy"
    assert "read-only: journal-" in box.crm("tenant", "show", "northwind")
    listed = box.crm("keys", "list")
    assert "northwind: last use is unknown" in listed
    uses = {line.split()[0]: "used" in line for line in listed.splitlines() if "sha256:" in line}
    assert uses == {"northwind": False, "contoso": True}
    assert "is intact" in box.crm("log", "verify", "--tenant", "contoso")
    assert "quarantine" not in box.crm("log", "list", "--tenant", "contoso")


def upgrade(folder: Path) -> str:
    """Let a tenant's journal be of format 2, as a newer version would write it; what a refusal says of it."""
    (path,) = folder.glob("journal-*.log")
    line, _, rest = path.read_bytes().partition(b"\n")
    text = line[9:].replace(b'"format":1', b'"format":2')
    path.write_bytes(b"%08x %b\n%b" % (crc32(text), text, rest))
    return f"{path.name} has format 2, this version reads format 1"


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a tenant's folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_tenant_that_a_newer_version_wrote_to_is_refused_untouched(boxes: Boxes) -> None:
    """Reads and writes are 503; only signed health and commands name the format; others go on, no file changes."""
    box: Box = boxes(tenants={name: {"keys": [roster_key(name)]} for name in ("northwind", "contoso")})
    box.applied("branding", BRANDING)
    bearer = box.bearer("customers:read", "customers:write")
    box.stop()
    folder = box.folder / "tenants/northwind"
    said = upgrade(folder)
    before = content(folder)
    for words in (("migrate",), ("doctor", "northwind")):  # without a server
        printed = box.crm(*words, code=1)
        assert "northwind: " in printed
        assert said in printed
    assert "contoso: no problems found" in box.crm("doctor", "contoso")
    box.start()
    customers = f"{box.base()}/customers"
    for answer in (
        box.push("branding", BRANDING),
        box.client.get(customers, headers=bearer),
        box.client.post(customers, json={"name": "Ada"}, headers=bearer),
    ):
        assert problem(answer, 503, "storage_unavailable")["detail"] == UNREADABLE
    log = ("log", "list", "--tenant", "northwind")
    signed = good(box.client.get(f"{box.base()}/sync/health", headers=box.sign("health", b"")))
    assert (signed["status"], signed["expected_key"]) == ("degraded", "northwind:2")
    assert said in " ".join(signed["reasons"])
    assert (signed["sections"], signed["log_head"], signed["counts"]["24h"]["applied"]) == ({}, None, None)
    for words in (("migrate",), ("doctor", "northwind"), ("tenant", "fold", "northwind"), log):
        assert said in box.crm(*words, code=1)
    assert [one["tenant"] for one in box.client.get("/readyz").json()["tenants"]] == ["northwind"]
    assert good(box.push("branding", BRANDING, tenant="contoso"))["status"] == "applied"
    box.stop()
    assert content(folder) == before


def test_health_answers_for_a_tenant_with_no_readable_state(boxes: Boxes) -> None:
    """Where not one good generation is left, signed health says so; reads and writes are 503."""
    box = boxes()
    good(box.push("branding", BRANDING))
    bearer = box.bearer("customers:read")
    box.stop()
    for path in (box.folder / "tenants/northwind").glob("*-*"):
        path.write_bytes(b"")
    box.start()
    assert problem(box.push("branding", BRANDING), 503, "storage_unavailable")["detail"] == UNREADABLE
    answer = box.client.get(f"{box.base()}/customers", headers=bearer)
    assert problem(answer, 503, "storage_unavailable")["detail"] == UNREADABLE
    signed = good(box.client.get(f"{box.base()}/sync/health", headers=box.sign("health", b"")))
    assert signed["status"] == "degraded"
    assert "is empty" in " ".join(signed["reasons"])


def test_nothing_is_answered_as_written_to_a_file_that_someone_removed(boxes: Boxes) -> None:
    """A journal removed under the running server takes no more writes: 503, reads go on, and what it is shows."""
    box = boxes()
    good(box.push("branding", BRANDING))
    box.bearer()
    for path in (box.folder / "tenants" / "northwind").glob("journal-*.log"):
        path.unlink()
    body = box.body("branding", {"title": "Never"})
    problem(box.push("branding", raw=body), 503, "storage_unavailable")
    problem(box.push("branding", raw=body), 503, "storage_unavailable")
    problem(box.push("branding", raw=body, headers={"Sync-Signature": None}), 401, "signature_missing")
    assert box.health()["status"] == "degraded"
    [troubled] = box.client.get("/readyz").json()["tenants"]
    assert (troubled["tenant"], troubled["state"]) == ("northwind", "read_only")
