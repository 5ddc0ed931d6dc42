from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from crm_core.errors import (
    ExternalIdTaken,
    InsufficientScope,
    InvalidRecord,
    LimitReached,
    ModuleUnavailable,
    NotFound,
    RecordExists,
    RevisionMismatch,
    SubscriptionSuspended,
)
from crm_core.plugin.storage import Put, Unit
from crm_core.records.preconditions import Preconditions
from crm_core.records.shape import etag
from records_world import EVERYTHING, READER, World, read


def pointers(error: pytest.ExceptionInfo[InvalidRecord]) -> dict[str, str]:
    return {finding.pointer: finding.code for finding in error.value.errors}


async def update(world: World, id_: str, patch: Any, if_match: str | None = None) -> dict[str, Any]:
    return read((await world.records.writes.update(world.access(), id_, patch, Preconditions(if_match))).body)


async def put(world: World, external_id: str, data: Any, if_match: str | None = None) -> tuple[int, dict[str, Any]]:
    written = await world.records.writes.put(world.access(), external_id, data, Preconditions(if_match))
    return written.status, read(written.body)


async def test_a_new_record_has_all_its_members(world: World) -> None:
    """Unset is null, a list is empty, an object is empty; the core's members are filled in."""
    made = await world.create(name="Ada", address={"city": "London"})
    assert list(made) == [
        "id", "external_id", "name", "email", "phone", "company", "status", "tags", "address", "owner", "notes",
        "custom", "created_at", "updated_at", "archived_at", "created_by", "updated_by", "revision",
    ]  # fmt: skip
    assert (made["status"], made["tags"], made["custom"], made["email"]) == ("lead", [], {}, None)
    assert made["address"]["city"] == "London"
    assert made["address"]["country"] is None
    assert made["created_at"] == made["updated_at"] == "2026-11-24T02:00:00.000Z"
    assert made["created_by"] == made["updated_by"] == "token:t1"
    assert made["revision"] == 1


async def test_all_errors_are_reported_together(world: World) -> None:
    """Types, forms, unknown and read-only members and dangling references come in one answer."""
    with pytest.raises(InvalidRecord) as refused:
        await world.create(
            "deals",
            name="",
            customer_id="01900000-0000-7000-8000-000000000000",
            amount=12.5,
            currency="XXX",
            closes_on="2026-02-30",
            id="mine",
            revision=None,
            nonsense=None,
            external_id="..",
        )
    assert pointers(refused) == {
        "/name": "invalid_value",
        "/customer_id": "dangling_reference",
        "/amount": "wrong_type",
        "/closes_on": "invalid_value",
        "/id": "read_only_member",
        "/revision": "read_only_member",
        "/nonsense": "unknown_member",
        "/external_id": "invalid_value",
    }


async def test_findings_of_the_record_type_are_reported_too(world: World) -> None:
    """A currency of the right form that there is none of is refused by the plugin's own check."""
    customer = await world.create()
    with pytest.raises(InvalidRecord) as refused:
        await world.create("deals", customer_id=customer["id"], currency="XXX")
    assert pointers(refused) == {"/currency": "invalid_value"}


@pytest.mark.parametrize("data", [None, [], "x", 5])
async def test_a_record_is_an_object(world: World, data: Any) -> None:
    """Anything else is refused at the root."""
    with pytest.raises(InvalidRecord) as refused:
        await world.records.writes.create(world.access(), data, None)
    assert pointers(refused) == {"": "wrong_type"}


async def test_a_reference_to_another_tenants_record_dangles(world: World) -> None:
    """Ids of other tenants do not exist."""
    await world.features(EVERYTHING, "south")
    foreign = await world.records.writes.create(world.access(tenant="south"), {"name": "Foreign"}, None)
    with pytest.raises(InvalidRecord) as refused:
        await world.create("deals", customer_id=foreign.id)
    assert pointers(refused) == {"/customer_id": "dangling_reference"}


async def test_an_update_is_a_merge_patch(world: World) -> None:
    """Members left out stay, null unsets, objects are merged, lists are replaced."""
    made = await world.create(email="a@b.example", tags=["a"], address={"city": "X", "region": "Y"}, custom={"n": 1})
    world.clock.forward(seconds=5)
    patch = {"email": None, "tags": ["b"], "address": {"region": None}, "custom": {"m": True}, "status": "active"}
    changed = await update(world, made["id"], patch)
    assert (changed["email"], changed["tags"], changed["custom"]) == (None, ["b"], {"n": 1, "m": True})
    assert (changed["address"]["city"], changed["address"]["region"]) == ("X", None)
    assert changed["revision"] == 2
    assert changed["updated_at"] == "2026-11-24T02:00:05.000Z"
    assert changed["created_at"] == made["created_at"]
    assert (await update(world, made["id"], {"status": None}))["status"] == "lead"


async def test_an_object_without_content_is_null(world: World) -> None:
    """However its members were unset: else a null for it would be answered with an object, again and again."""
    for nothing in (None, {}, {"city": None}, {"city": "", "region": " "}):
        assert (await world.create(address=nothing))["address"] is None
    for nothing in (None, {"city": None}, {"city": ""}):
        made = await world.create(address={"city": "X"})
        changed = await update(world, made["id"], {"address": nothing})
        assert (changed["address"], changed["revision"]) == (None, 2)


async def test_a_required_member_cannot_be_unset(world: World) -> None:
    """A patch that takes the name away is refused."""
    made = await world.create()
    with pytest.raises(InvalidRecord) as refused:
        await update(world, made["id"], {"name": None})
    assert pointers(refused) == {"/name": "missing_member"}


async def test_an_update_that_changes_nothing_writes_nothing(world: World) -> None:
    """The revision stays, and there is no event."""
    made = await world.create(email="a@b.example")
    seq = (await world.backend.view("north", None)).seq
    assert await update(world, made["id"], {"email": "a@b.example"}) == made
    assert (await world.backend.view("north", None)).seq == seq


async def test_an_update_of_a_missing_record_is_not_found(world: World) -> None:
    """So is one of another tenant's record."""
    await world.features(EVERYTHING, "south")
    foreign = await world.records.writes.create(world.access(tenant="south"), {"name": "Foreign"}, None)
    for id_ in ("01900000-0000-7000-8000-000000000000", foreign.id, "nonsense"):
        with pytest.raises(NotFound):
            await update(world, id_, {"name": "B"})


async def test_updated_at_never_goes_back(world: World) -> None:
    """A clock that stepped back does not hide a change from those who ask what was updated since."""
    made = await world.create()
    world.clock.forward(hours=-1)
    assert (await update(world, made["id"], {"name": "B"}))["updated_at"] == made["updated_at"]


@pytest.mark.parametrize("matching", ["{}", "*", '"other", {}', '"1"', '"0", "1"'])
async def test_if_match_lets_the_current_revision_through(world: World, matching: str) -> None:
    """The current tag, the current revision in quotes, any tag, and a list with the current one match."""
    written = await world.records.writes.create(world.access(), {"name": "Ada"}, None)
    tag = etag(written.revision, written.body)
    assert (await update(world, written.id, {"name": "B"}, matching.format(tag)))["revision"] == 2


async def test_if_match_refuses_an_old_revision(world: World) -> None:
    """So it does a weak tag, and the refusal names the current one."""
    written = await world.records.writes.create(world.access(), {"name": "Ada"}, None)
    tag = etag(written.revision, written.body)
    await update(world, written.id, {"name": "B"}, tag)
    for stale in (tag, f"W/{tag}", "", '"1"', "2"):
        with pytest.raises(RevisionMismatch) as refused:
            await update(world, written.id, {"name": "C"}, stale)
        assert refused.value.evidence["current"]["revision"] == 2


async def test_if_match_without_quotes_is_refused_with_what_it_lacks(world: World) -> None:
    """The current revision without its quotes, or in a weak tag, does not look like someone else's change."""
    made = await world.create()
    with pytest.raises(RevisionMismatch, match=r'in quotes, such as "1"'):
        await update(world, made["id"], {"name": "B"}, "1")
    with pytest.raises(RevisionMismatch, match="A weak tag"):
        await update(world, made["id"], {"name": "B"}, 'W/"1"')


async def test_put_creates_then_updates_and_keeps_what_is_left_out(world: World) -> None:
    """One record, whichever request comes first."""
    status, made = await put(world, "crm-77", {"name": "Grace", "email": "g@b.example"})
    assert (status, made["external_id"]) == (201, "crm-77")
    status, changed = await put(world, "crm-77", {"name": "Grace Hopper", "external_id": "crm-77"})
    assert (status, changed["id"], changed["email"]) == (200, made["id"], "g@b.example")
    assert (await put(world, "crm-77", {"name": "Grace Hopper"}))[1]["revision"] == changed["revision"]


async def test_if_none_match_lets_a_put_only_create(world: World) -> None:
    """`*` refuses a record that exists, a patch of one too, and changes nothing; so does its tag or revision."""
    only_new = Preconditions(if_none_match="*")
    written = await world.records.writes.put(world.access(), "crm-77", {"name": "Grace"}, only_new)
    assert written.status == 201
    tag = etag(1, written.body)
    for conditions in (only_new, *(Preconditions(if_none_match=each) for each in (tag, f"W/{tag}", '"1"'))):
        with pytest.raises(RecordExists) as refused:
            await world.records.writes.put(world.access(), "crm-77", {"name": "G"}, conditions)
        assert refused.value.evidence["id"] == written.id
        with pytest.raises(RecordExists):
            await world.records.writes.update(world.access(), written.id, {"name": "G"}, conditions)
    changed = Preconditions(if_none_match='"2"')
    assert (await world.records.writes.put(world.access(), "crm-77", {"name": "Grace"}, changed)).revision == 1


async def test_put_honours_if_match(world: World) -> None:
    """No tag matches a record that is not there."""
    with pytest.raises(RevisionMismatch):
        await put(world, "crm-77", {"name": "Grace"}, "*")
    await put(world, "crm-77", {"name": "Grace"})
    assert (await put(world, "crm-77", {"name": "G"}, "*"))[0] == 200


async def test_put_refuses_another_external_id(world: World) -> None:
    """A body that names another one than the address is refused, as is one that has no right form."""
    for address, data in (("crm-77", {"name": "A", "external_id": "crm-78"}), ("a b", {"name": "A"})):
        with pytest.raises(InvalidRecord) as refused:
            await put(world, address, data)
        assert pointers(refused) == {"/external_id": "invalid_value"}


async def test_twenty_concurrent_puts_make_one_record(world: World) -> None:
    """Those who lose the race update the winner's record."""
    answers = await asyncio.gather(*(put(world, "crm-77", {"name": f"n{n}"}) for n in range(20)))
    assert sorted(status for status, _ in answers) == [200] * 19 + [201]
    assert len({made["id"] for _, made in answers}) == 1
    assert max(made["revision"] for _, made in answers) == 20


async def test_an_external_id_is_had_once(world: World) -> None:
    """Create and update are both refused one that another record has; giving it up frees it."""
    first = await world.create(external_id="x-1")
    other = await world.create()
    with pytest.raises(ExternalIdTaken):
        await world.create(external_id="x-1")
    with pytest.raises(ExternalIdTaken):
        await update(world, other["id"], {"external_id": "x-1"})
    await update(world, first["id"], {"external_id": None})
    assert (await update(world, other["id"], {"external_id": "x-1"}))["external_id"] == "x-1"


async def test_concurrent_updates_lose_nothing(world: World) -> None:
    """Without If-Match each patch lands on what the others left."""
    made = await world.create()
    await asyncio.gather(*(update(world, made["id"], {"custom": {f"k{n}": n}}) for n in range(30)))
    read_back = (await world.records.reads.detail(world.access(), made["id"])).body
    assert read(read_back)["custom"] == {f"k{n}": n for n in range(30)}
    assert read(read_back)["revision"] == 31


async def test_concurrent_creates_never_pass_a_limit(world: World) -> None:
    """40 creates against 5 places: 5 get through, and updates go on."""
    await world.features({**EVERYTHING, "limits": {"customers": 6}})
    first = await world.create()

    async def attempt(number: int) -> bool:
        try:
            await world.create(name=f"n{number}")
        except LimitReached:
            return False
        return True

    assert sum(await asyncio.gather(*map(attempt, range(40)))) == 5
    assert (await update(world, first["id"], {"name": "B"}))["name"] == "B"
    assert (await world.list(total="true"))["total"] == 6


async def test_who_may_not_write_is_refused_before_the_record_is_looked_at(world: World) -> None:
    """Scope, module and subscription come before what the record says."""
    with pytest.raises(InsufficientScope):
        await world.records.writes.create(world.access(caller=READER), {"name": ""}, None)
    await world.features({"plan": {"code": "s", "name": "S", "features": ["customers.*"]}})
    with pytest.raises(ModuleUnavailable):
        await world.create("deals", name="")
    await world.features({**EVERYTHING, "subscription": {"state": "suspended"}})
    with pytest.raises(SubscriptionSuspended):
        await world.create(name="")
    assert (await world.list())["items"] == []


async def test_a_write_that_a_push_overtook_is_decided_again(world: World) -> None:
    """A create in progress while a push takes the module away is refused, not let in by the older view."""
    commit = world.backend.commit

    async def overtaken(tenant: str, unit: Any) -> Any:
        world.backend.commit = commit  # type: ignore[method-assign]  # once
        await world.features({**EVERYTHING, "overrides": {"customers.view": False}})
        return await commit(tenant, unit)

    world.backend.commit = overtaken  # type: ignore[method-assign]  # the push comes between decision and commit
    with pytest.raises(ModuleUnavailable):
        await world.create()
    assert await world.backend.count("north", "records:customers") == 0


async def test_each_change_is_in_the_change_log(world: World) -> None:
    """An entry says who changed which record, when and for which request, and each innermost member that changed."""
    place = (await world.backend.changes("north", None)).newest
    made = await world.create(external_id="x-1", address={"city": "London"}, tags=["a"])
    patch = {"name": "B", "address": {"line1": "1 St"}, "tags": ["a", "b"], "custom": {"a": "b"}, "phone": None}
    changed = await update(world, made["id"], patch)
    entries = (await world.backend.changes("north", place)).entries
    assert entries is not None
    created, updated = (each.entry for each in entries)
    assert (created.event, created.type, created.id) == ("record.changed", "customers", made["id"])
    assert (created.change, created.revision, created.external_id, created.changes) == ("created", 1, "x-1", ())
    assert (created.at, created.actor) == (made["created_at"], made["created_by"])
    assert (updated.change, updated.revision, updated.at) == ("updated", 2, changed["updated_at"])
    assert [(each.pointer, each.before, each.after) for each in updated.changes] == [
        ("/name", made["name"], "B"),
        ("/tags", ["a"], ["a", "b"]),
        ("/address/line1", None, "1 St"),
        ("/custom/a", None, "b"),
    ]


async def test_a_record_is_one_durable_unit(world: World) -> None:
    """One commit makes a record, and it is there when the store is opened again."""
    seq = (await world.backend.view("north", None)).seq
    made = await world.create(external_id="x-1")
    assert (await world.backend.view("north", None)).seq == seq + 1
    assert made["id"] in await world.ids(external_id="x-1")


async def test_a_record_of_an_older_type_follows_when_it_is_written(world: World) -> None:
    """Members that came since are there after an empty patch, those that went are gone, and the indexes are new."""
    made = await world.create(address={"city": "London"})
    older = {name: value for name, value in made.items() if name not in ("owner", "tags")}
    older |= {"fax": "123", "address": {"city": "London", "planet": "Earth"}}
    put = Put("records:customers", made["id"], msgspec.json.encode({**older, "revision": 2}), {"created_at": "2026"})
    await world.backend.commit("north", Unit(now=1, puts=(put,)))
    assert await world.ids(email="", q="ada") == []
    assert await update(world, made["id"], {}) == {**made, "revision": 3}
    assert await world.ids(email="", q="ada") == [made["id"]]


async def test_input_is_cleaned(world: World) -> None:
    """Lines are in normal form C without blank ends, an empty optional text is null, and paragraphs keep their ends."""
    sent: dict[str, Any] = {
        "name": "\u00a0Zoe\u0308 ",
        "email": " ada@example.com\u200b",
        "phone": " +49 30 12 ext. 5 ",
        "company": "",
    }
    sent |= {"owner": " \ufeff", "notes": "e\u0301 \n", "tags": [" a\u0301 "], "custom": {"n": "e\u0301 "}}
    made = await world.create(**sent, address={"city": " Ko\u0308ln ", "line1": ""})
    assert (made["name"], made["email"], made["phone"]) == ("Zo\u00eb", "ada@example.com", "+49 30 12 ext. 5")
    assert (made["company"], made["owner"], made["notes"]) == (None, None, "\u00e9 \n")
    assert (made["tags"], made["custom"]) == (["\u00e1"], {"n": "\u00e9 "})
    assert (made["address"]["city"], made["address"]["line1"]) == ("K\u00f6ln", None)
    assert (await update(world, made["id"], {"email": " "}))["email"] is None


@pytest.mark.parametrize("name", ["", "   ", "\u200b", "\u2800", "\u3164 ", "\u0301"])
async def test_a_name_must_show_something(world: World, name: str) -> None:
    """A required text of invisible characters alone is refused at its pointer."""
    with pytest.raises(InvalidRecord) as refused:
        await world.create(name=name)
    assert [finding.pointer for finding in refused.value.errors] == ["/name"]


@pytest.mark.parametrize(
    ("phone", "fits"),
    [
        ("+49 (0) 30 / 12-34", True),
        ("030 1234 Durchwahl 5", True),
        ("1-800-FLOWERS#2", True),
        ("+1 415 555 0100,,5*6", True),
        ("\u0660\u0661 2", True),
        ("9" * 40, True),
        ("9" * 41, False),
        ("ask at the desk", False),
        ("12<b>", False),
    ],
)
async def test_a_phone_is_what_people_write(world: World, phone: str, fits: bool) -> None:
    """Up to 40 characters with a digit among them, extensions included."""
    if fits:
        assert (await world.create(phone=phone))["phone"] == phone
    else:
        with pytest.raises(InvalidRecord):
            await world.create(phone=phone)
