from __future__ import annotations

import json
from typing import Any

import pytest

from crm_core.client import ApplyOptions, DesiredTenant, Retries, TenantResult, apply_tenants, native_signer
from crm_core.model.canonical import sha256_of

QUICK = Retries(attempts=2, first_pause=0.001, longest_pause=1.0)
BRANDING, MAIL = {"title": "Nordwind", "logo_url": None}, {"host": "a", "password": "secret"}
SET = {"set": True}


def health(**sections: Any) -> dict[str, Any]:
    """A health answer; for each section its data as it is stored."""
    shown = {
        name: {"version": 4, "min_version": 5 + number, "sha256": sha256_of(data)}
        for number, (name, data) in enumerate(sections.items())
    }
    return {"status": "ok", "sections": shown}


def answer(status: str, *changes: Any) -> dict[str, Any]:
    """The answer to a push or a preview."""
    rows = [{"pointer": at, "from": before, "to": after} for at, before, after in changes]
    return {"status": status, "version": 6, "revision": 9 if status == "applied" else None, "changes": rows}


@pytest.fixture
def apply(receiver: Any) -> Any:
    """Applies sections to the receiver's tenant."""

    def call(sections: Any, **options: bool) -> TenantResult:
        desired = DesiredTenant(
            target=receiver.target,
            signer=native_signer(bytes(range(1, 33)), 2),
            sections=sections,
            secrets={"smtp": ["/password"]},
        )
        (result,) = apply_tenants([desired], ApplyOptions(**options), retries=QUICK)
        return result

    return call


def sent(receiver: Any) -> list[dict[str, Any]]:
    """The bodies that were sent, of health requests none."""
    return [json.loads(got.body) for got in receiver.got if got.body]


def test_sections_with_the_same_hash_are_left_out(receiver: Any, planned: Any, apply: Any) -> None:
    """A null member is absent and a secret counts as set; nothing to send is unchanged after health alone."""
    receiver.answers = [planned(health(branding={"title": "Nordwind"}, smtp={"host": "a", "password": SET}))]
    result = apply({"branding": BRANDING, "smtp": MAIL})
    assert (result.status, result.changes, result.problem) == ("unchanged", (), None)
    assert sent(receiver) == []


def test_no_section_is_sent_while_the_receiver_cannot_read_its_own(receiver: Any, planned: Any, apply: Any) -> None:
    """Its health without sections is waited out, and is no tenant without sections."""
    receiver.answers = [planned({"status": "degraded", "sections": {}, "log_head": None})] * QUICK.attempts
    assert apply({"branding": BRANDING}).status == "unanswered"
    assert sent(receiver) == []


def test_the_rest_is_one_combined_push(receiver: Any, planned: Any, apply: Any) -> None:
    """At the lowest version that all of its sections allow; new sections are sent too."""
    now = health(workspace={"locale": "de"}, branding={"title": "Other"})
    receiver.answers = [planned(now), planned(answer("applied", ("/branding/title", "Other", "Nordwind")))]
    result = apply({"branding": BRANDING, "workspace": {"locale": "de"}, "features": {}})
    assert (result.status, result.revision, result.changes[0].after) == ("applied", 9, "Nordwind")
    (body,) = sent(receiver)
    assert (body["type"], body["version"], body["data"]) == ("combined", 6, {"branding": BRANDING, "features": {}})


def test_a_section_that_would_lose_a_secret_is_withheld(receiver: Any, planned: Any, apply: Any) -> None:
    """A preview finds it, and the other sections are applied; with drop_secrets it is sent without a preview."""
    wanted = {"smtp": {"host": "b"}, "branding": BRANDING}
    now = planned(health(smtp={"host": "a", "password": SET}))
    dropped = ("/smtp/password", SET, None)
    preview = answer("previewed", ("/branding/title", None, "Nordwind"), ("/smtp/host", "a", "b"), dropped)
    receiver.answers = [now, planned(preview), planned(answer("applied", ("/branding/title", None, "Nordwind")))]
    result = apply(wanted)
    assert (result.status, result.revision, [one.pointer for one in result.changes]) == (
        "refused", 9, ["/branding/title"],
    )  # fmt: skip
    assert result.problem is not None
    assert (result.problem["code"], result.problem["errors"][0]["pointer"]) == ("stored_secret", "/smtp/password")
    first, second = sent(receiver)
    assert (first["mode"], list(first["data"]), list(second["data"])) == ("preview", ["smtp", "branding"], ["branding"])

    receiver.answers = [now, planned(answer("applied", dropped))]
    assert apply(wanted, drop_secrets=True).status == "applied"

    receiver.answers = [now, planned(preview)]
    plan = apply(wanted, plan=True)
    assert (plan.status, [one.pointer for one in plan.changes]) == ("refused", ["/branding/title"])
    assert receiver.answers == []


def test_a_section_that_keeps_its_secrets_is_sent_after_the_preview(receiver: Any, planned: Any, apply: Any) -> None:
    """Hashes do not say whether a secret is stored; the preview does, and then everything is sent."""
    preview, applied = answer("previewed", ("/smtp/host", "a", "b")), answer("applied", ("/smtp/host", "a", "b"))
    receiver.answers = [planned(health(smtp={"host": "a"})), planned(preview), planned(applied)]
    assert apply({"smtp": {"host": "b"}}).status == "applied"


def test_secrets_are_sent_again_on_request(receiver: Any, planned: Any, apply: Any) -> None:
    """with_secrets sends a section that contains one though its hash is the current one, and no other."""
    now = health(branding={"title": "Nordwind"}, smtp={"host": "a", "password": SET})
    receiver.answers = [planned(now), planned(answer("applied", ("/smtp/password", SET, SET)))]
    assert apply({"branding": BRANDING, "smtp": MAIL}, with_secrets=True).status == "applied"
    assert sent(receiver)[0]["data"] == {"smtp": MAIL}


def test_failures_are_results(receiver: Any, planned: Any, problem: Any, apply: Any) -> None:
    """Refused, not answered, and not a receiver: each has its status and reason."""
    receiver.answers = [problem(401, "key_unknown")]
    refused = apply({"branding": BRANDING})
    assert (refused.status, refused.problem["code"]) == ("refused", "key_unknown")
    receiver.answers = [problem(503, "storage_unavailable")] * 2
    unanswered = apply({"branding": BRANDING})
    assert (unanswered.status, unanswered.problem["code"]) == ("unanswered", "unanswered")
    assert "storage_unavailable" in unanswered.problem["detail"]
    receiver.answers = [planned(b"<html>", kind="text/html")]
    assert apply({"branding": BRANDING}).status == "failed"
    receiver.answers = [planned(health())]
    assert apply({"branding": {"title": float("nan")}}).status == "failed"


def test_an_error_in_a_callback_ends_the_run(receiver: Any, planned: Any) -> None:
    """Tenants that were not begun are left, and the error arrives."""
    receiver.answers = [planned(health())] * 40
    tenants = [
        DesiredTenant(target=receiver.target, signer=native_signer(bytes(range(1, 33)), 2), sections={})
        for _ in range(40)
    ]

    def stop(_result: TenantResult) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        apply_tenants(tenants, parallel=1, done=stop)
    assert len(receiver.got) < 40


@pytest.mark.parametrize(
    ("body", "headers"),
    [(b"no gzip", {"content-encoding": "gzip"}), (b"[" * 100_000, {}), (b'{"status": "ok", "sections": 5}', {})],
)
def test_an_answer_that_no_receiver_gives_fails_the_tenant(
    receiver: Any, planned: Any, apply: Any, body: bytes, headers: dict[str, str]
) -> None:
    """It is a result like any other, so that the other tenants are brought to their state."""
    receiver.answers = [planned(body, headers=headers)]
    result = apply({"branding": BRANDING})
    assert result.status == "failed"
    assert result.problem["detail"]
