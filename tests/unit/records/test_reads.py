from __future__ import annotations

import asyncio
import random
from typing import Any

import msgspec
import pytest

from crm_core.errors import (
    InsufficientScope,
    InvalidCursor,
    InvalidParameter,
    ModuleUnavailable,
    NotFound,
    Unauthenticated,
)
from crm_core.model.caller import Caller
from crm_core.records.preconditions import UNCONDITIONAL
from records_world import EVERYTHING, TOKEN, World, unchanged

NAMES = ["Zoe", "ada", "Ada Lovelace", "Grace Hopper", "Åsa"]


async def five(world: World) -> list[dict[str, Any]]:
    made = []
    for number, name in enumerate(NAMES):
        world.clock.forward(seconds=1)
        status = ("lead", "active")[number % 2]
        tags = ["vip", f"t{number}"] if number < 3 else []
        made.append(await world.create(name=name, status=status, tags=tags, email=f"c{number}@example.com"))
    return made


async def names(world: World, **parameters: Any) -> list[str]:
    return [item["name"] for item in (await world.list(**parameters))["items"]]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, NAMES),
        ({"sort": "-created_at"}, NAMES[::-1]),
        ({"sort": "name"}, ["ada", "Ada Lovelace", "Åsa", "Grace Hopper", "Zoe"]),
        ({"sort": "-name"}, ["Zoe", "Grace Hopper", "Åsa", "Ada Lovelace", "ada"]),
        ({"status": "active"}, ["ada", "Grace Hopper"]),
        ({"tags": "vip"}, NAMES[:3]),
        ({"tags": "vip", "status": "active"}, ["ada"]),
        ({"owner": ""}, NAMES),
        ({"owner": "no one"}, []),
        ({"email": "c3@example.com"}, ["Grace Hopper"]),
        ({"q": "ADA"}, ["ada", "Ada Lovelace"]),
        ({"q": "love ada"}, ["Ada Lovelace"]),
        ({"q": "asa"}, ["Åsa"]),
        ({"q": "c4@example.com"}, ["Åsa"]),
        ({"q": "opper"}, []),
        ({"q": " ?! "}, []),
        ({"q": "  "}, NAMES),
        ({"name": "ZOE"}, ["Zoe"]),
        ({"name": "A\u030asa"}, ["Åsa"]),
        ({"name": "asa"}, []),
        ({"tags": ("t0", "T2", "t0")}, ["Zoe", "Ada Lovelace"]),
        ({"tags": ("t0", "")}, ["Zoe", *NAMES[3:]]),
        ({"tags": ""}, NAMES[3:]),
        ({"tags": "", "status": "active"}, ["Grace Hopper"]),
        ({"status": ("active", "lead")}, NAMES),
        ({"name.gte": "ADA LOVELACE", "name.lt": "zoe"}, ["Ada Lovelace", "Grace Hopper", "Åsa"]),
        ({"name.gt": "asa"}, ["Zoe", "Grace Hopper"]),
        ({"name.lte": "asa"}, ["ada", "Ada Lovelace", "Åsa"]),
        ({"created_at.gt": "2026-11-24T02:00:04Z"}, NAMES[4:]),
        ({"created_at.lt": "2026-11-24T03:00:03+01:00"}, NAMES[:2]),
        ({"status.lte": "active"}, ["ada", "Grace Hopper"]),
        ({"company.lt": "z"}, []),
        ({"updated_since": "2026-11-24T02:00:04Z"}, NAMES[3:]),
        ({"updated_since": "2026-11-24T03:00:05+01:00"}, NAMES[4:]),
        ({"limit": "2"}, NAMES[:2]),
    ],
)
async def test_a_list_is_filtered_searched_and_sorted(
    world: World, parameters: dict[str, Any], expected: list[str]
) -> None:
    """Equality and comparisons on members, beginnings of words, moments; case and normal form never count."""
    await five(world)
    assert await names(world, **parameters) == expected


async def test_amounts_sort_as_numbers(world: World) -> None:
    """Decimal texts have the order of their values, null last in both directions, and are found by value."""
    customer = (await world.create())["id"]
    for amount in ("9.5", "10", None, "0.0001", "123456789012.9999"):
        await world.create("deals", customer_id=customer, amount=amount)
    items = (await world.list("deals", sort="amount"))["items"]
    assert [item["amount"] for item in items] == ["0.0001", "9.5", "10", "123456789012.9999", None]
    seen, cursor = [], {}
    while cursor is not None:
        page = await world.list("deals", sort="-amount", limit="2", **cursor)
        seen += [item["amount"] for item in page["items"]]
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else None
    assert seen == ["123456789012.9999", "10", "9.5", "0.0001", None]
    assert len((await world.list("deals", **{"amount.gte": "9.50", "amount.lt": "10.0001"}))["items"]) == 2
    assert [item["amount"] for item in (await world.list("deals", amount="9.50"))["items"]] == ["9.5"]


async def test_flags_and_dates_are_filters(world: World) -> None:
    """True and false, and days, as the wire writes them."""
    await world.create("tasks", name="a", done=True, due_on="2026-11-24")
    await world.create("tasks", name="b")
    for parameters, expected in (({"done": "true"}, ["a"]), ({"due_on": ""}, ["b"]), ({"due_on": "2026-11-24"}, ["a"])):
        assert [item["name"] for item in (await world.list("tasks", **parameters))["items"]] == expected
    for parameters in ({"done": "1"}, {"due_on": "24.11.2026"}, {"done": "True"}):
        with pytest.raises(InvalidParameter):
            await world.list("tasks", **parameters)


async def test_total_counts_the_selection(world: World) -> None:
    """Only where it is asked for, over all pages."""
    await five(world)
    assert (await world.list(limit="1", status="lead"))["total"] is None
    assert (await world.list(limit="1", status="lead", total="true"))["total"] == 3


async def test_a_page_with_the_rest_is_the_last(world: World) -> None:
    """No cursor leads to an empty page."""
    await five(world)
    assert (await world.list(limit="5"))["next_cursor"] is None
    assert (await world.list(limit="4"))["next_cursor"] is not None


@pytest.mark.parametrize("sort", ["name", "-name", "status", "-status", "created_at", "-updated_at"])
async def test_paging_while_others_write_neither_skips_nor_repeats(world: World, sort: str) -> None:
    """A record that stays with an unchanged sort value is seen exactly once, whichever others come and move."""
    chance = random.Random(sort)
    steady = [(await world.create(name=f"s{n:02}", status=chance.choice(["lead", "active"])))["id"] for n in range(20)]
    moving = [(await world.create(name=f"m{n:02}"))["id"] for n in range(15)]

    async def disturb() -> None:
        for number in range(90):
            world.clock.forward(milliseconds=3)
            if number % 2:
                await world.create(name=chance.choice("amsz") + str(number))
            else:
                patch = {"name": chance.choice("amsz") + str(number), "status": chance.choice(["inactive", "lead"])}
                await world.records.writes.update(world.access(), chance.choice(moving), patch, UNCONDITIONAL)

    disturbing = asyncio.create_task(disturb())
    rounds = 0
    while not disturbing.done() or not rounds:
        seen = await world.ids(sort=sort, limit="4")
        assert sorted(id_ for id_ in seen if id_ in set(steady)) == sorted(steady)
        rounds += 1
    await disturbing


async def test_a_cursor_outlives_a_new_secret_key(world: World) -> None:
    """Keys rotate: the newest signs, older ones still read, a retired one no longer does."""
    await five(world)
    cursor = (await world.list(limit="2"))["next_cursor"]
    old = b"a secret key of the instance"
    world.records = world.opened(b"another secret key, newer than the first", old)
    assert await names(world, cursor=cursor) == NAMES[2:]
    world.records = world.opened(b"another secret key, newer than the first")
    with pytest.raises(InvalidCursor):
        await names(world, cursor=cursor)


async def test_a_read_that_a_push_overtook_is_decided_again(world: World) -> None:
    """Rows that are newer than the view of the guard are not handed out on its word."""
    made = await world.create()
    get = world.backend.get

    async def overtaken(*place: str) -> Any:
        world.backend.get = get  # type: ignore[method-assign]  # once
        await world.features({**EVERYTHING, "overrides": {"customers.view": False}})
        return await get(*place)

    world.backend.get = overtaken  # type: ignore[method-assign]  # the push comes between decision and read
    with pytest.raises(ModuleUnavailable):
        await world.records.reads.detail(world.access(), made["id"])


async def test_an_export_ends_when_the_right_to_it_ends(world: World) -> None:
    """A push that takes the module away stops a stream that is in progress."""
    for number in range(250):
        await world.create(name=f"n{number}")
    pages = await world.records.reads.export(world.access(), {}, unchanged)
    assert len(await anext(pages)) == 200
    await world.features({**EVERYTHING, "overrides": {"customers.export": False}})
    with pytest.raises(Exception, match=r"does not include customers\.export"):
        await anext(pages)


async def test_an_export_looks_its_caller_up_again(world: World) -> None:
    """One whose credential ended gets no further page, nor one who lost a right."""
    for number in range(250):
        await world.create(name=f"n{number}")

    async def ended(_tenant: str, _caller: Caller) -> Caller:
        raise Unauthenticated("Sign in.")

    async def narrowed(_tenant: str, caller: Caller) -> Caller:
        return msgspec.structs.replace(caller, scopes=frozenset({"deals:read"}))

    for current, refusal in ((ended, Unauthenticated), (narrowed, InsufficientScope)):
        pages = await world.records.reads.export(world.access(), {}, current)
        assert len(await anext(pages)) == 200
        with pytest.raises(refusal):
            await anext(pages)


async def test_tenants_do_not_see_each_other(world: World) -> None:
    """An id of another tenant is not there, and neither is a list's row."""
    made = await world.create()
    await world.features(EVERYTHING, "south")
    with pytest.raises(NotFound):
        await world.records.reads.detail(world.access(tenant="south"), made["id"])
    page = await world.records.reads.list(world.access("customers", TOKEN, "south"), {})
    assert page.documents == ()


async def test_a_page_that_is_read_again_is_the_same_until_a_record_is_written(world: World) -> None:
    """Its bytes are joined once; after a write they are those of the records as they are then."""
    made = await world.create(name="Ada")
    first = await world.records.reads.list(world.access(), {"limit": "1", "total": "true"})
    assert await world.records.reads.list(world.access(), {"limit": "1", "total": "true"}) is first
    await world.create(name="Grace")
    grown = await world.records.reads.list(world.access(), {"limit": "1", "total": "true"})
    assert (first.total, grown.total, grown.next_cursor is None) == (1, 2, False)
    await world.records.writes.update(world.access(), made["id"], {"name": "Zoe"}, UNCONDITIONAL)
    assert b"Zoe" in (await world.records.reads.list(world.access(), {"limit": "1", "total": "true"})).body


async def test_records_are_counted_by_tenant_and_type(world: World) -> None:
    """The count is of one type in one tenant; a type that no plugin brings counts 0."""
    await world.create()
    await world.create()
    assert await world.records.count("north", "customers") == 2
    assert await world.records.count("north", "deals") == 0
    assert await world.records.count("south", "customers") == 0
    assert await world.records.count("north", "website") == 0


async def test_a_record_is_named_by_tenant_type_and_id(world: World) -> None:
    """The name is of one record in one tenant; None if there is no such record."""
    made = await world.create(name="Ada")
    assert await world.records.name_of("north", "customers", made["id"]) == "Ada"
    assert await world.records.name_of("north", "deals", made["id"]) is None
    assert await world.records.name_of("south", "customers", made["id"]) is None
