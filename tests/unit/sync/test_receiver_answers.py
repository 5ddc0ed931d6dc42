"""The receiver's answers, and the log entries of attempts that do not get as far as a decision."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from crm_core.errors import (
    CrmError,
    DuplicatePayload,
    ReplayedNonce,
    SchemeNotAccepted,
    SignatureInvalid,
    SourceNotAllowed,
    TypeNotAllowed,
)
from crm_core.model.times import to_wire
from crm_core.plugin.storage import Put, Unit
from crm_core.records.shape import collection_of
from sync_world import World

Worlds = Callable[..., Awaitable[World]]


@pytest.mark.parametrize(("kind", "shown"), [("branding", True), ("smtp", False), ("combined", False)])
async def test_an_unverified_attempt_shows_a_hash_only_without_secrets(world: World, kind: str, shown: bool) -> None:
    """Before the body is read, its hash is shown if no section that the type may carry has secrets."""
    push = world.push({"title": "T"}, kind=kind, key=(2, b"another key, not of the roster"))
    push = msgspec.structs.replace(push, received_at=push.received_at - timedelta(seconds=7))
    with pytest.raises(SignatureInvalid):
        await world.services.receiver.receive(push)
    (entry,) = await world.entries()
    assert (entry.payload_sha256 is not None, entry.received_at) == (shown, to_wire(push.received_at))


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ({"host": "h", "port": "no number"}, True),
        ({"host": "h", "port": "no number", "password": "p"}, False),
        ({"host": "h", "pasword": "p"}, False),
    ],
)
async def test_a_verified_attempt_shows_a_hash_unless_it_has_a_secret(world: World, data: Any, shown: bool) -> None:
    """Once the body is read, its hash is shown if it contains no secret, nor a member that may be a misspelt one."""
    with pytest.raises(CrmError):
        await world.services.receiver.receive(world.push(data, kind="smtp"))
    (entry,) = await world.entries()
    assert (entry.payload_sha256 is not None) is shown


async def test_a_push_comes_from_the_keys_networks(worlds: Worlds) -> None:
    """A key that is bound to networks pushes from these alone."""
    world = await worlds(key=", sources: [198.51.100.0/24]")
    with pytest.raises(SourceNotAllowed):
        await world.services.receiver.receive(world.push({"title": "T"}))
    inside = msgspec.structs.replace(world.push({"title": "T"}), source="198.51.100.7")
    assert (await world.services.receiver.receive(inside)).status == "applied"


async def test_a_tenant_accepts_the_schemes_of_its_entry(worlds: Worlds) -> None:
    """A scheme that the tenant's entry leaves out is refused by name, before its signature is looked at."""
    world = await worlds(tenant=", schemes: [rfc9421, standard-webhooks]")
    with pytest.raises(SchemeNotAccepted, match=r"crm-sync-v1 is not accepted .* Use rfc9421, standard-webhooks"):
        await world.services.receiver.receive(world.push({"title": "T"}))
    (entry,) = await world.entries()
    assert (entry.scheme, entry.signature_result, entry.key_version) == ("crm-sync-v1", "unchecked", None)
    world = await worlds(tenant=", schemes: [crm-sync-v1]")
    assert (await world.services.receiver.receive(world.push({"title": "T"}))).status == "applied"


async def test_a_key_pushes_its_types_alone(worlds: Worlds) -> None:
    """A key that is bound to types is refused for others, before its nonce is used."""
    world = await worlds(key=", types: [branding]")
    with pytest.raises(TypeNotAllowed, match="features"):
        await world.services.receiver.receive(world.push({"limits": {}}, kind="features"))
    (entry,) = await world.entries()
    assert (entry.error_code, entry.seq) == ("type_not_allowed", None)
    assert (await world.services.receiver.receive(world.push({"title": "T"}))).status == "applied"
    with pytest.raises(TypeNotAllowed, match="features"):
        await world.services.receiver.receive(world.push({"branding": {}, "features": {}}, kind="combined"))
    (entry, *_) = await world.entries()
    assert (entry.error_code, entry.seq) == ("type_not_allowed", 2)  # its sections are known once it is verified


async def test_a_fault_of_the_checks_is_logged(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault before a push is verified is logged as an internal error, and raised."""

    async def broken(*_: object) -> bytes:
        raise ZeroDivisionError

    push = world.push({"title": "T"})
    with monkeypatch.context() as patched:
        patched.setattr(world.backend, "view_and_claims", broken)
        with pytest.raises(ZeroDivisionError):
            await world.services.receiver.receive(push)
    (entry,) = await world.entries()
    assert (entry.error_code, entry.request_id, entry.seq) == ("internal_error", push.request_id, None)
    assert (await world.services.receiver.receive(push)).status == "applied"


async def test_a_repeat_is_answered_where_the_roster_accepts_it(worlds: Worlds) -> None:
    """The same request again is answered with its original, and changes nothing; by default it is a replay."""
    world = await worlds(tenant=", repeats: accept")
    push = world.push({"title": "T"})
    first: Any = await world.services.receiver.receive(push)
    again: Any = await world.services.receiver.receive(msgspec.structs.replace(push, request_id="again"))
    assert (again.request_id, again.tenant, again.type) == ("again", "northwind", "branding")
    assert again.original["request_id"] == push.request_id
    assert again.log_head == first.log_head
    newest, _ = await world.entries()
    assert (newest.request_id, newest.status, newest.seq) == ("again", "applied", None)
    strict = await worlds()
    with pytest.raises(ReplayedNonce) as refused:
        await strict.services.receiver.receive(push)
    assert refused.value.evidence["original"]["request_id"] == push.request_id
    with pytest.raises(DuplicatePayload):
        await strict.services.receiver.receive(strict.push(raw=await push.read_body()))


async def test_the_warnings_of_all_checks_are_answered(worlds: Worlds) -> None:
    """Warnings of the type and of validators are in one answer, with pointers into the body."""
    plugin = (
        "from crm_core.errors import Finding\nfrom crm_core.plugin import hookimpl\n"
        "@hookimpl\ndef crm_validate_payload(section, part, context):\n"
        "    return [Finding('/roles', 'house_rule', 'Think again.', warning=True)]\n"
    )
    world = await worlds(plugin=plugin)
    data = {"roles": {"agent": {"grant": ["*.fly"]}}}
    receipt: Any = await world.services.receiver.receive(world.push(data, kind="features"))
    assert [(each["pointer"], each["code"]) for each in receipt.warnings] == [
        ("/data/roles/agent/grant/0", "no_effect"),
        ("/data/roles", "house_rule"),
    ]


async def test_a_removed_module_with_records_is_a_warning(world: World) -> None:
    """A push that removes modules warns for each with the number of its records, and for none without."""
    modules = {"customers", "tasks"}
    puts = tuple(Put(collection_of("customers"), f"c{number}", b"{}") for number in range(3))
    await world.backend.commit("northwind", Unit(now=int(world.clock().timestamp()), puts=puts))
    plan = {"code": "pro", "features": [f"{each}.*" for each in sorted(modules)]}
    await world.services.receiver.receive(world.push({"plan": plan}, kind="features"))
    less = {"plan": {"code": "none", "features": []}}
    receipt: Any = await world.services.receiver.receive(world.push(less, kind="features"))
    message = "The module customers is removed; its 3 records stay and return with it."
    assert receipt.modules["customers"] == "unavailable"
    assert receipt.warnings == [{"pointer": "/data", "code": "module_in_use", "message": message}]
