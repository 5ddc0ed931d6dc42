"""Unchanged, restored and refused pushes in the sync console and on the page of an attempt."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from contract.box import BRANDING, TENANT, Box, good, problem, roster_key, until
from contract.conftest import Boxes

EMAIL, PASSWORD = "jana@nordwind.example", "seven sailing boats"
PAGES = f"/i/eu1/t/{TENANT}"
CHANGED = "Changed since the last push"


def with_admin(box: Box) -> Box:
    """The instance, after its admin was created."""
    words = ("user", "create", "--tenant", TENANT, "--email", EMAIL, "--role", "super_admin", "--password-stdin")
    box.crm(*words, stdin=PASSWORD + "\n")
    return box


@contextmanager
def browser_of(box: Box) -> Iterator[httpx.Client]:
    """The browser of the admin, who has signed in."""
    origin = str(box.client.base_url).rstrip("/")
    with httpx.Client(base_url=origin, follow_redirects=True, headers={"Origin": origin}) as client:
        token = re.findall(r'name="csrf" value="([^"]+)"', client.get(f"{PAGES}/login").text)[-1]
        form = {"csrf": token, "email": EMAIL, "password": PASSWORD, "next": ""}
        assert client.post(f"{PAGES}/login", data=form).status_code == 200
        yield client


@pytest.fixture(scope="module")
def box(boxes: Boxes) -> Box:
    """An instance with an admin."""
    return with_admin(boxes())


@pytest.fixture(scope="module")
def admin(box: Box) -> Iterator[httpx.Client]:
    """The admin's browser."""
    with browser_of(box) as client:
        yield client


@pytest.fixture
def apart(boxes: Boxes) -> Iterator[tuple[Box, httpx.Client]]:
    """Another instance and its admin, for a test that leaves a language, a status or versions behind."""
    box = with_admin(boxes())
    with browser_of(box) as client:
        yield box, client


def shown(client: httpx.Client, path: str) -> str:
    """The text of a page."""
    answer = client.get(PAGES + path)
    assert answer.status_code == 200, answer.text[:800]
    return answer.text


def test_the_page_of_an_attempt_lists_each_error_with_its_place(box: Box, admin: httpx.Client) -> None:
    """Pointer, words and code of every error that the answer had; the first one is the headline, in the console too."""
    wrong = {"colors": {"primary": "blue"}, "footer": {"text": 5}}
    refusal = problem(box.push("branding", wrong), 422, "invalid_payload")
    page = shown(admin, f"/sync/attempts/{box.entry(refusal['request_id'])['id']}").replace("<wbr>", "")
    assert len(refusal["errors"]) == 2
    for error in refusal["errors"]:
        assert f"<code>{error['pointer']}</code><code>{error['code']}</code>" in page
        assert error["message"].removeprefix("This ").rstrip(".") in page
    headline = "Colors primary must be a color, exactly #rrggbb, and 1 more"
    assert f"<h1>{headline}</h1>" in page
    console = shown(admin, "/sync")
    assert f"The newest push was refused: {headline}" in console
    assert f'href="{PAGES}/sync/attempts/{box.entry(refusal["request_id"])["id"]}">See every finding' in console
    assert "Sync: please check." in shown(admin, "/")
    box.applied("branding", BRANDING)
    assert "Sync: OK." in shown(admin, "/")


@pytest.mark.parametrize(
    ("edit", "title"),
    [
        ({"sync": "disabled"}, "Disabled: the receiver is off for this tenant"),
        ({"keys": [{**roster_key(), "revoked": True}]}, "Degraded: no key is active now"),
    ],
)
def test_a_refusal_is_no_headline_where_no_push_can_succeed(
    apart: tuple[Box, httpx.Client], edit: dict[str, Any], title: str
) -> None:
    """The console names what stops every push, not the last one that was refused before."""
    box, admin = apart
    problem(box.push("branding", {"title": 5}), 422, "invalid_payload")
    assert "The newest push was refused" in shown(admin, "/sync")
    roster = {"tenants": {"northwind": {"keys": [roster_key()], **edit}}}
    (box.config / "keys.yaml").write_text(json.dumps(roster))
    until(lambda: title in shown(admin, "/sync"), lambda: shown(admin, "/sync"))


def test_a_module_that_the_policy_blocks_is_not_blamed_on_the_plan(admin: httpx.Client) -> None:
    """The subscription gives the reason that the grid of rights gives."""
    assert "This instance&#39;s policy blocks it. No push can enable it." in shown(admin, "/subscription")


def test_an_unchanged_push_is_a_separate_kind(box: Box, admin: httpx.Client) -> None:
    """The console marks and filters it, and its page says that nothing changed."""
    box.applied("branding", BRANDING)
    same = box.applied("branding", BRANDING)
    listed = shown(admin, "/sync?status=unchanged")
    assert f"Revision {same['revision']}, no section changed" in listed
    assert 'value="unchanged" selected' in listed
    assert "Branding version" in shown(admin, f"/sync/attempts/{box.entry(same['request_id'])['id']}")
    assert "No section changed" in shown(admin, f"/sync/attempts/{box.entry(same['request_id'])['id']}")


def test_a_restored_section_is_marked_until_the_next_push(box: Box, admin: httpx.Client) -> None:
    """The mark comes with the restore and goes with a push, even one that changes nothing."""
    box.applied("workspace", {"locale": "en"})
    box.applied("workspace", {"locale": "fr"})
    assert CHANGED not in shown(admin, "/sync")
    oldest = good(box.get("sync/history/workspace"))["items"][-1]["revision"]
    good(box.client.post(f"{box.base()}/sync/history/workspace/{oldest}/restore", headers=box.bearer()))
    assert shown(admin, "/sync").count(CHANGED) == 1
    assert box.applied("workspace", {"locale": "en"})["status"] == "unchanged"
    assert CHANGED not in shown(admin, "/sync")


def test_the_console_health_and_a_plan_agree_on_drift(apart: tuple[Box, httpx.Client], tmp_path: Path) -> None:
    """After a restore the section is marked and a plan has its diff; once it is applied, neither is there."""
    box, admin = apart
    for title in ("Before", "Desired"):
        (tmp_path / f"{TENANT}.yaml").write_text(f"branding: {{title: {title}}}\n")
        apply = ("apply", str(tmp_path), "--url", f"http://127.0.0.1:{box.port}/i/eu1")
        box.crm(*apply)
    assert CHANGED not in shown(admin, "/sync")
    box.crm(*apply, "--plan")
    earlier = good(box.get("sync/history/branding"))["items"][1]["revision"]
    good(box.client.post(f"{box.base()}/sync/history/branding/{earlier}/restore", headers=box.bearer()))
    assert CHANGED in shown(admin, "/sync")
    assert '"Before" -> "Desired"' in box.crm(*apply, "--plan", code=3)
    box.crm(*apply)
    assert CHANGED not in shown(admin, "/sync")


def test_an_applied_attempt_links_to_the_diff_of_each_section(box: Box, admin: httpx.Client) -> None:
    """In the list and on its page; the diff is of that push, also after later ones."""
    both = box.applied("combined", {"branding": {"title": "Diffed"}, "features": {"limits": {"users": 77}}})
    box.applied("branding", {"title": "Later"})
    attempt = f"/sync/attempts/{box.entry(both['request_id'])['id']}"
    for section, value in (("branding", "Diffed"), ("features", "77")):
        path = f"/sync/sections/{section}?changes={both['revision']}"
        assert path in shown(admin, "/sync")
        assert path in shown(admin, attempt)
        diff = shown(admin, path)
        assert f"{section.capitalize()}: changes of revision {both['revision']}" in diff
        assert value in diff
        assert "Later" not in diff[diff.index("Differences") : diff.index("all-h")]


def test_signatures_that_do_not_match_are_a_warning_in_the_user_s_language(apart: tuple[Box, httpx.Client]) -> None:
    """The console says it in place of OK, so does the dashboard, and the page of an attempt has the cause."""
    box, admin = apart
    box.applied("branding", {"title": "Before"})
    for _ in range(5):
        refusal = problem(box.push("branding", BRANDING, key=b"x" * 32), 401, "signature_invalid")
    console = shown(admin, "/sync")
    assert 'class="card status warn"' in console
    assert "The newest 5 attempts had signatures that do not match northwind:" in console
    assert "OK:" not in console
    assert "Sync: please check." in shown(admin, "/")
    csrf = re.findall(r'name="csrf" value="([^"]+)"', shown(admin, "/account"))[-1]
    admin.post(f"{PAGES}/account/language", data={"csrf": csrf, "language": "de"})
    console = shown(admin, "/sync")
    assert "Die Signaturen der neuesten 5 Versuche passen nicht zu northwind:" in console
    assert "Falls sie von der Plattform stammen" in console
    dashboard = re.sub(r"<time[^>]*>|</time>", "", shown(admin, "/"))
    assert "bitte prüfen. Markenauftritt Version" in dashboard
    assert "wurde gerade eben übernommen." in dashboard
    attempt = shown(admin, f"/sync/attempts/{box.entry(refusal['request_id'])['id']}")
    assert "<dd>Ungültig</dd>" in attempt
    assert "Die Signatur wurde nicht mit diesem Schlüssel" in attempt


def test_attempts_with_one_nonce_have_pages(apart: tuple[Box, httpx.Client]) -> None:
    """Each page that "Older" leads to shows others of them, until all were shown."""
    box, client = apart
    nonce = "n" * 20
    for version in range(1, 22):
        box.push("branding", BRANDING, nonce=nonce, envelope={"version": version})
    page, found = shown(client, f"/sync?id={nonce}"), list[str]()
    while True:
        rows = re.findall(r'/sync/attempts/([0-9a-f-]{36})"', page.partition('id="attempts"')[2])
        assert rows
        assert not set(rows) & set(found)
        found += dict.fromkeys(rows)
        older = re.search(r'href="([^"]+)" rel="next"', page)
        if older is None:
            break
        page = shown(client, f"/sync{older[1].replace('&amp;', '&')}")
    assert len(found) == 21
