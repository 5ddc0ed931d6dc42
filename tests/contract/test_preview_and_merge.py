"""How a push is applied: whole or merged, or only looked at."""

from __future__ import annotations

from typing import Any

import pytest

from contract.box import BRANDING, PLAN, Box, pointers, problem


@pytest.fixture(autouse=True)
def _known_branding(box: Box) -> None:
    """Each test starts from the same branding."""
    box.applied("branding", BRANDING)


def changed(response: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The changes of an answer by pointer."""
    assert all(change.keys() == {"pointer", "from", "to"} for change in response["changes"])
    return {change["pointer"]: (change["from"], change["to"]) for change in response["changes"]}


def test_a_preview_tells_what_would_change_and_changes_nothing(box: Box) -> None:
    """Neither sections nor version nor payload are taken; revision and moment are null."""
    before, bootstrap = box.health(), box.bootstrap()
    body = box.body("branding", {"title": "Preview"}, mode="preview", version=5_000)
    answer = box.applied("branding", None, raw=body)
    assert (answer["status"], answer["revision"], answer["applied_at"]) == ("previewed", None, None)
    assert changed(answer)["/branding/title"] == (BRANDING["title"], "Preview")
    after = box.health()
    assert after["sections"] == before["sections"]
    assert box.bootstrap() == bootstrap
    assert after["log_head"]["seq"] == before["log_head"]["seq"] + 1 == answer["log_head"]["seq"]
    assert after["log_head"] == answer["log_head"]
    again = box.applied("branding", None, raw=body)
    assert changed(again) == changed(answer)


def test_a_preview_uses_its_nonce(box: Box) -> None:
    """The same request again is a replay whose original was previewed."""
    body, nonce = box.body("branding", {"title": "P"}, mode="preview"), "preview-" + "n" * 20
    first = box.applied("branding", None, raw=body, nonce=nonce)
    refusal = problem(box.push("branding", raw=body, nonce=nonce), 409, "replayed_nonce")
    assert refusal["original"]["request_id"] == first["request_id"]
    assert refusal["original"]["status"] == "previewed"


def test_a_preview_runs_every_check(box: Box) -> None:
    """A version that is stale, data that does not fit and a blocked module are refused as in a push."""
    preview = {"mode": "preview"}
    problem(box.push("branding", {}, envelope={**preview, "version": 1}), 409, "stale_version")
    problem(box.push("branding", {"title": 5}, envelope=preview), 422, "invalid_payload")
    problem(box.push("features", {"overrides": {"website.view": True}}, envelope=preview), 403, "module_blocked")


def test_a_preview_tells_the_modules_as_they_would_be(box: Box) -> None:
    """What is told is not what is."""
    box.applied("features", {"plan": PLAN})
    small = {"plan": {"code": "s", "features": ["customers.*"]}}
    answer = box.applied("features", small, envelope={"mode": "preview"})
    assert answer["modules"]["deals"] == "unavailable"
    states = {module["module"]: module["state"] for module in box.bootstrap()["modules"]}
    assert states["deals"] == "available"


def test_replace_is_the_whole_section(box: Box) -> None:
    """What the push leaves out is gone, and each place that changed is told."""
    answer = box.applied("branding", {"title": "Only"})
    assert box.public() == {"branding": {"title": "Only"}}
    assert changed(answer) == {
        "/branding/title": (BRANDING["title"], "Only"),
        "/branding/colors/primary": ("#0b5fff", None),
        "/branding/colors/sidebar": ("#10243e", None),
        "/branding/footer/text": ("Nordwind GmbH", None),
        "/branding/footer/links": (BRANDING["footer"]["links"], None),
    }


def test_null_counts_as_absent_in_replace(box: Box) -> None:
    """At any depth of objects."""
    data = {"title": "N", "login_message": None, "colors": {"primary": "#000000", "accent": None}, "footer": None}
    box.applied("branding", data)
    assert box.public() == {"branding": {"title": "N", "colors": {"primary": "#000000"}}}


def test_a_merge_patches_the_section(box: Box) -> None:
    """RFC 7396: objects merge, null removes, arrays are replaced; only what differs is told."""
    links = [{"label": "A", "url": "https://example.com/a"}]
    patch = {"title": None, "colors": {"primary": None, "accent": "#112233"}, "footer": {"links": links}}
    answer = box.applied("branding", patch, envelope={"strategy": "merge"})
    assert box.public()["branding"] == {
        "colors": {"sidebar": "#10243e", "accent": "#112233"},
        "footer": {"text": "Nordwind GmbH", "links": links},
    }
    assert changed(answer).keys() == {
        "/branding/title",
        "/branding/colors/primary",
        "/branding/colors/accent",
        "/branding/footer/links",
    }


def test_a_merge_starts_from_nothing_where_there_is_no_section(box: Box) -> None:
    """The first push of a section may be a merge."""
    box.applied("workspace", {"locale": "de-DE", "timezone": None}, envelope={"strategy": "merge"})
    assert box.bootstrap()["workspace"] == {"locale": "de-DE"}


def test_a_merge_is_judged_by_its_outcome(box: Box) -> None:
    """A patch that leaves something that does not fit is refused, whatever it says itself."""
    box.applied("features", {"plan": PLAN})
    refusal = problem(
        box.push("features", {"plan": {"code": None}}, envelope={"strategy": "merge"}), 422, "invalid_payload"
    )
    assert pointers(refusal) == {"/data/plan/code"}


def test_a_push_that_changes_nothing_is_applied_with_no_changes(box: Box) -> None:
    """It is another revision all the same."""
    before = box.health()["sections"]["branding"]["revision"]
    answer = box.applied("branding", BRANDING)
    assert answer["changes"] == []
    assert answer["revision"] == before + 1


def test_pointers_of_changes_are_escaped(box: Box) -> None:
    """RFC 6901: feature keys hold no slash, but the pointer is one all the same."""
    box.applied("features", {})
    answer = box.applied("features", {"overrides": {"deals.export": True}})
    assert changed(answer) == {"/features/overrides/deals.export": (None, True)}
