"""The checks of a verified push's content, on an instance in this process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from crm_core.errors import (
    CrmError,
    DuplicatePayload,
    InvalidEnvelope,
    InvalidPayload,
    ModuleBlocked,
    ModuleUnsupported,
    SecretRequired,
    StaleVersion,
    TenantMismatch,
    TypeMismatch,
)
from crm_core.sync.content_checks import has_secrets, readable_push
from crm_core.sync.outcome import PartShape
from crm_core.sync.push_request import Attempt
from crm_core.sync.signature_checks import PAYLOAD_CLAIM
from crm_standard_webhooks.scheme import StandardWebhooks
from sync_world import SECRET, World

Worlds = Callable[..., Awaitable[World]]
SMTP = {"host": "mail.example.com", "username": "u", "password": "hunter2-hunter2", "from_email": "crm@example.com"}
INFORMED = """
from crm_core.errors import Finding
from crm_core.plugin import hookimpl


@hookimpl
def crm_validate_payload(section, part, context):
    if section == "smtp":
        words = [context.roles, context.limits, context.current, context.proposed, context.secrets]
        yield Finding("/host", "seen", f"{[sorted(each) for each in words]} {context.options.ports}", warning=True)
    if part.get("title") == "wrong":
        yield Finding("/title", "wrong_title", "No.")
        yield Finding("", "odd", "Think again.", warning=True)
"""
SEE_ERRORS = "The data is not valid. See errors for every place and its fix."
POLICY = """
from crm_core.plugin import hookimpl
from crm_core.plugin.policy import ModuleRefusal


@hookimpl
def crm_module_policy(named, context):
    return [ModuleRefusal("unsupported", one.pointer, f"Not for {context.tenant}.") for one in named]
"""


async def refused(world: World, error: type[CrmError], data: Any, **how: Any) -> tuple[Any, list[tuple[str, str]]]:
    """The refusal of a push, and the pointers and codes of its findings."""
    with pytest.raises(error) as caught:
        await world.services.receiver.receive(world.push(data, **how))
    return caught.value, [(finding.pointer, finding.code) for finding in caught.value.errors]


async def received(world: World, data: Any, **how: Any) -> Any:
    return await world.services.receiver.receive(world.push(data, **how))


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"instance": "eu1"}, None),
        ({"instance": "us2"}, TenantMismatch),
        ({"tenant": "contoso"}, TenantMismatch),
        ({"type": "features"}, TypeMismatch),
        ({"type": "features", "tenant": "contoso"}, TenantMismatch),
    ],
)
async def test_the_body_names_the_address(world: World, members: dict[str, str], error: Any) -> None:
    """Tenant and type are those of the address, and the instance where it is named."""
    if error is None:
        assert (await received(world, {"title": "T"}, **members)).status == "applied"
    else:
        await refused(world, error, {"title": "T"}, **members)


@pytest.mark.parametrize(("instance", "code"), [("", "missing_member"), (', "instance": "eu1"', None)])
def test_an_instance_that_is_not_signed_is_in_the_body(world: World, instance: str, code: str | None) -> None:
    """A scheme that does not sign the instance requires it in the envelope."""
    push, branding = world.push(), world.services.registry.payload_types["branding"]
    body = f'{{"tenant": "northwind", "type": "branding", "version": 1, "data": {{}}{instance}}}'.encode()
    attempt = Attempt(push, "eu1", push.received_at, body=body, scheme=StandardWebhooks())
    if code is None:
        assert readable_push(attempt, branding) is attempt.envelope
        return
    with pytest.raises(InvalidEnvelope, match="Add instance to the body") as caught:
        readable_push(attempt, branding)
    assert [(one.pointer, one.code, one.message) for one in caught.value.errors] == [
        ("/instance", code, caught.value.detail)
    ]


async def test_a_null_part_is_absent(world: World) -> None:
    """Of a combined push only the parts with data are sections."""
    receipt = await received(world, {"branding": {"title": "T"}, "workspace": None}, kind="combined")
    assert [change.pointer for change in receipt.changes] == ["/branding/title"]
    assert set((await world.services.views.of("northwind")).sections) == {"branding"}


@pytest.mark.parametrize(
    ("section", "data", "secret"),
    [
        ("smtp", {"host": "h"}, False),
        ("smtp", {"password": None}, False),
        ("smtp", {"password": "p"}, True),
        ("branding", {"password": "p"}, False),
        ("unknown", {}, True),
    ],
)
def test_a_part_with_a_secret_is_recognized(world: World, section: str, data: Any, secret: bool) -> None:
    """One part with a value for a secret is enough, and a section that no plugin brings may have any."""
    sections = world.services.registry.sections
    parts = [PartShape("workspace", "/data/workspace", {}), PartShape(section, f"/data/{section}", data)]
    assert has_secrets(parts, sections) is secret


async def test_a_version_exceeds_the_floor_of_every_section(world: World) -> None:
    """The refusal names each section's floor; one that was never pushed has 0."""
    await received(world, {"title": "T"}, version=5)
    both = {"branding": {"title": "U"}, "workspace": {"locale": "de"}}
    error, _ = await refused(world, StaleVersion, both, kind="combined", version=5)
    assert error.evidence["current"] == {"branding": 5, "workspace": 0}
    assert error.detail == "The version must exceed 5, the highest accepted; it is 5. Send a higher one."
    assert (await received(world, both, kind="combined", version=6)).version == 6


async def test_versions_of_a_revoked_key_do_not_count(worlds: Worlds) -> None:
    """A leaked key cannot lock its successor out: what it pushed drops from the floor."""
    world = await worlds()
    await received(world, {"title": "T"}, version=2**53 - 1)
    fresh = bytes(range(32, 64))
    world = await worlds(key=f", revoked: true}}, {{version: 3, secret: 'hex:{fresh.hex()}'")
    assert (await received(world, {"title": "U"}, version=1, key=(3, fresh))).status == "applied"


@pytest.mark.parametrize("secrets", [(SECRET,), ("base64:" + "bmV3ZXIx" * 8, SECRET)])
async def test_a_body_is_known_under_every_secret_key(worlds: Worlds, secrets: tuple[str, ...]) -> None:
    """The refusal has the request that brought it; a rotated key of the instance changes nothing."""
    push = (world := await worlds()).push({"title": "T"})
    await world.services.receiver.receive(push)
    world = await worlds(secrets=secrets)
    error, _ = await refused(world, DuplicatePayload, None, raw=await push.read_body())
    assert error.evidence["original"]["request_id"] == push.request_id
    assert push.request_id in error.detail
    assert await world.backend.claim("northwind", PAYLOAD_CLAIM, "another") is None


async def test_unknown_sections_are_listed_with_the_errors_of_known_ones(world: World) -> None:
    """The unknown ones first, and a push without any section says what it may contain."""
    data = {"nope/x": {}, "branding": {"title": 5}, "workspace": {"locale": "de"}}
    error, found = await refused(world, InvalidPayload, data, kind="combined")
    assert found == [("/data/nope~1x", "unknown_member"), ("/data/branding/title", "wrong_type")]
    assert error.errors[0].message.startswith("Unknown section. Known sections: branding, features")
    assert error.detail == SEE_ERRORS
    error, found = await refused(world, InvalidPayload, {}, kind="combined", version=1)
    assert found == [("/data", "missing_member")]
    assert error.detail.startswith("The push contains no section. Send at least one of branding, features")


async def test_validators_know_the_workspace(worlds: Worlds) -> None:
    """Roles, what may be limited, the sections now and after the push, secrets sent or retained, and the options."""
    world = await worlds(plugin=INFORMED)
    await received(world, {"title": "T"})
    receipt = await received(world, {"smtp": SMTP, "workspace": {"locale": "de"}}, kind="combined")
    (seen,) = [one for one in receipt.warnings if one["code"] == "seen"]
    types = sorted({*world.services.registry.record_types, "users"})
    expected = [
        ["admin", "agent", "manager", "super_admin", "viewer"], types, ["branding"],
        ["branding", "smtp", "workspace"], ["/password"],
    ]  # fmt: skip
    assert seen["pointer"] == "/data/smtp/host"
    assert seen["message"] == f"{expected} {world.services.options['smtp'].ports}"  # type: ignore[attr-defined]
    merged = await received(world, {"from_name": "N"}, kind="smtp", strategy="merge")
    assert "['/password']" in merged.warnings[0]["message"]


async def test_findings_of_validators_are_listed_for_every_section(worlds: Worlds) -> None:
    """A refusal lists the errors without the warnings, each under its section."""
    world = await worlds(plugin=INFORMED)
    error, found = await refused(world, InvalidPayload, {"title": "wrong"})
    assert found == [("/data/title", "wrong_title")]
    assert error.detail == SEE_ERRORS
    _, found = await refused(world, InvalidPayload, {"branding": {"title": "wrong"}, "smtp": SMTP}, kind="combined")
    assert found == [("/data/branding/title", "wrong_title")]


async def test_valid_members_are_judged_next_to_others_that_do_not_fit(world: World) -> None:
    """One answer lists members of a wrong type, and what the payload type finds in the rest."""
    error, found = await refused(world, InvalidPayload, {**SMTP, "host": "127.0.0.1", "port": "x"}, kind="smtp")
    assert sorted(found) == [("/data/host", "host_not_allowed"), ("/data/port", "wrong_type")]
    assert error.detail == SEE_ERRORS


async def test_the_policy_knows_the_tenant(worlds: Worlds) -> None:
    """A module policy learns for which tenant it decides."""
    world = await worlds(plugin=POLICY)
    error, _ = await refused(world, ModuleUnsupported, {"overrides": {"customers.view": True}}, kind="features")
    assert error.detail == "Not for northwind."


async def test_a_secret_that_must_be_sent_again_has_its_own_code(world: World) -> None:
    """If only secrets are required, the refusal says so; next to other errors it is one of them."""
    await received(world, SMTP, kind="smtp")
    moved = {"host": "other.example.com"}
    error, found = await refused(world, SecretRequired, moved, kind="smtp", strategy="merge")
    assert (error.code, found) == ("password_required", [("/data/password", "password_required")])
    assert error.detail == error.errors[0].message
    both = {"smtp": moved, "branding": {"title": 5}}
    error, found = await refused(world, InvalidPayload, both, kind="combined", strategy="merge")
    assert error.code == "invalid_payload"
    assert found == [("/data/smtp/password", "password_required"), ("/data/branding/title", "wrong_type")]


@pytest.mark.parametrize(
    ("overrides", "error", "found"),
    [
        ({"website.view": True}, ModuleBlocked, ["/data/overrides/website.view"]),
        ({"fleet.view": True, "fleet.edit": True}, ModuleUnsupported, ["fleet.edit", "fleet.view"]),
        (
            {"fleet.view": True, "website.view": True, "website.edit": False},
            ModuleBlocked,
            ["website.edit", "website.view"],
        ),
    ],
)
async def test_every_name_that_the_policy_refuses_is_listed(
    world: World, overrides: dict[str, bool], error: Any, found: list[str]
) -> None:
    """Blocked modules come before unknown ones; the first message is the refusal's."""
    refusal, listed = await refused(world, error, {"overrides": overrides}, kind="features")
    assert sorted(pointer.rpartition("/")[2] for pointer, _ in listed) == [name.rpartition("/")[2] for name in found]
    assert {code for _, code in listed} == {error.code}
    assert refusal.detail == refusal.errors[0].message


async def test_modules_and_roles_that_left_the_files_only_warn(worlds: Worlds, tmp_path: Path) -> None:
    """A merge is judged by the names that it sends; one warning for each that it leaves."""
    config = tmp_path / "config"
    (config / "modules.yaml").write_text("modules: {fleet: {title: Fleet, features: [fleet.view, fleet.edit]}}\n")
    (config / "roles.yaml").write_text("roles: {ranger: {title: Ranger, grant: ['customers.*']}}\n")
    world = await worlds()
    whole = {
        "plan": {"code": "p", "features": ["customers.*", "fleet.*"]},
        "overrides": {"fleet.view": True},
        "roles": {"ranger": {"grant": ["deals.view"]}},
    }
    await received(world, whole, kind="features")
    for name in ("modules", "roles"):
        (config / f"{name}.yaml").write_text("{}\n")
    world = await worlds()
    gone = [("/data/plan/features/1", "module_unsupported"), ("/data/roles/ranger", "unknown_role")]
    receipt = await received(world, {"limits": {"users": 5}}, kind="features", strategy="merge")
    assert sorted((one["pointer"], one["code"]) for one in receipt.warnings) == gone
    assert any("no longer has the module `fleet`" in one["message"] for one in receipt.warnings)
    _, found = await refused(world, InvalidPayload, whole, kind="features", version=99)
    assert found == [("/data/roles/ranger", "unknown_role")]
    names_it = {"roles": {"ranger": {"grant": ["deals.view"]}}}
    _, found = await refused(world, InvalidPayload, names_it, kind="features", strategy="merge", version=100)
    assert found == [("/data/roles/ranger", "unknown_role")]
    left = {"roles": {"ranger": None}, "overrides": {"fleet.view": False}}
    _, found = await refused(world, ModuleUnsupported, left, kind="features", strategy="merge", version=101)
    assert found == [("/data/overrides/fleet.view", "module_unsupported")]
