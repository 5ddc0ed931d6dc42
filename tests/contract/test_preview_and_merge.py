"""How a push is applied: replace, merge and preview."""

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


def test_a_preview_shows_the_changes_and_makes_none(box: Box) -> None:
    """A preview changes no section, takes no version and no payload; its revision and time are null."""
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
    """A stale version, invalid data and a blocked module are refused as in a push."""
    preview = {"mode": "preview"}
    problem(box.push("branding", {}, envelope={**preview, "version": 1}), 409, "stale_version")
    problem(box.push("branding", {"title": 5}, envelope=preview), 422, "invalid_payload")
    problem(box.push("features", {"overrides": {"website.view": True}}, envelope=preview), 403, "module_blocked")


def test_a_preview_shows_the_modules_as_they_would_be(box: Box) -> None:
    """The answer has the modules after the push, while those of the tenant stay."""
    box.applied("features", {"plan": PLAN})
    small = {"plan": {"code": "s", "features": ["customers.*"]}}
    answer = box.applied("features", small, envelope={"mode": "preview"})
    assert answer["modules"]["deals"] == "unavailable"
    states = {module["module"]: module["state"] for module in box.bootstrap()["modules"]}
    assert states["deals"] == "available"


def test_replace_is_the_whole_section(box: Box) -> None:
    """Members that the push leaves out are removed, and each change is listed."""
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
    """A null removes a member at any depth of objects."""
    data = {"title": "N", "login_message": None, "colors": {"primary": "#000000", "accent": None}, "footer": None}
    box.applied("branding", data)
    assert box.public() == {"branding": {"title": "N", "colors": {"primary": "#000000"}}}


def test_a_merge_patches_the_section(box: Box) -> None:
    """RFC 7396: objects merge, null removes, arrays are replaced; only differences are listed."""
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


def test_a_merge_starts_from_nothing_if_there_is_no_section(box: Box) -> None:
    """The first push of a section may be a merge."""
    box.applied("workspace", {"locale": "de-DE", "timezone": None}, envelope={"strategy": "merge"})
    assert box.bootstrap()["workspace"] == {"locale": "de-DE"}


def test_a_merge_is_validated_by_its_outcome(box: Box) -> None:
    """A valid patch is refused if the section would be invalid after it."""
    box.applied("features", {"plan": PLAN})
    refusal = problem(
        box.push("features", {"plan": {"code": None}}, envelope={"strategy": "merge"}), 422, "invalid_payload"
    )
    assert pointers(refusal) == {"/data/plan/code"}


def test_pointers_of_changes_are_escaped(box: Box) -> None:
    """Pointers of changes escape names as RFC 6901 says."""
    box.applied("features", {})
    answer = box.applied("features", {"overrides": {"deals.export": True}})
    assert changed(answer) == {"/features/overrides/deals.export": (None, True)}
