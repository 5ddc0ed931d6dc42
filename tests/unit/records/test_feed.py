from __future__ import annotations

from typing import Any

import msgspec
import pytest

from crm_core.errors import CursorExpired, InsufficientScope, InvalidCursor, ModuleUnavailable, NotFound
from crm_core.model.caller import Caller
from crm_core.model.change_cursor import ChangeCursor
from crm_core.plugin.storage import ChangePage, Delete, Unit
from crm_core.records import feed as feed_module
from crm_core.records.batch import Batch
from crm_core.records.feed import FeedQuery
from crm_core.records.preconditions import UNCONDITIONAL
from records_world import EVERYTHING, READER, TOKEN, World, read


async def changes(world: World, after: str | None = None, caller: Caller = TOKEN, **members: Any) -> dict[str, Any]:
    """A page of the feed as the API shows it."""
    cursor = None if after is None else ChangeCursor.parse(after)
    page = await world.records.feed.read("north", caller, FeedQuery(after=cursor, **members))
    return dict(read(page.body))


async def update(world: World, id_: str, patch: dict[str, Any]) -> None:
    await world.records.writes.update(world.access(), id_, patch, UNCONDITIONAL)


async def history(world: World, id_: str, limit: int = 50, cursor: str | None = None) -> dict[str, Any]:
    """A page of a history as the API shows it."""
    return dict(read((await world.records.feed.history(world.access(), id_, limit, cursor)).body))


async def test_the_feed_continues_where_it_was_left(world: World) -> None:
    """From now on, every change comes once and in order, in pages of any size; each item has its own cursor."""
    await world.create(external_id="before")
    start = await changes(world)
    assert (start["items"], start["more"]) == ([], False)
    made = [await world.create(external_id=f"x-{number}") for number in range(3)]
    await update(world, made[1]["id"], {"name": "B"})
    await world.records.archive.archive(world.access(), made[1]["id"], UNCONDITIONAL)
    await world.records.archive.restore(world.access(), made[1]["id"], UNCONDITIONAL)
    whole = await changes(world, start["next"])
    assert [item["external_id"] for item in whole["items"]] == ["x-0", "x-1", "x-2", "x-1", "x-1", "x-1"]
    kinds = [item["change"] for item in whole["items"]]
    assert kinds == ["created", "created", "created", "updated", "archived", "restored"]
    assert whole["items"][3]["changes"] == [{"pointer": "/name", "from": "Ada Lovelace", "to": "B"}]
    assert whole["more"] is False
    assert whole["next"] == whole["items"][-1]["cursor"]
    for limit in (1, 2, 5):
        found, after, more = [], start["next"], True
        while more:
            page = await changes(world, after, limit=limit)
            assert len(page["items"]) <= limit
            found += page["items"]
            after, more = page["next"], page["more"]
        assert found == whole["items"]
    for item in whole["items"]:
        following = await changes(world, item["cursor"])
        assert following["items"] == whole["items"][whole["items"].index(item) + 1 :]
    assert (await changes(world, whole["next"]))["items"] == []


async def test_entries_that_are_stored_otherwise_are_the_same_items(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries in another order, without empty members or with white space make the same page."""
    start = (await changes(world))["next"]
    await update(world, (await world.create(external_id="x"))["id"], {"name": "B"})
    await world.create("tasks")
    plain, stored = await changes(world, start, types=("customers",)), world.backend.changes

    async def otherwise(tenant: str, after: int | None, limit: int = 500) -> ChangePage:
        page = await stored(tenant, after, limit)
        first, *others = [msgspec.json.decode(text) for text in page.texts or ()] or [None]
        sparse = [dict(sorted((name, value) for name, value in each.items() if value)) for each in others]
        texts = [msgspec.json.format(msgspec.json.encode(each)) for each in sparse]
        return msgspec.structs.replace(page, texts=(msgspec.json.encode(first), *texts) if first else page.texts)

    monkeypatch.setattr(world.backend, "changes", otherwise)
    assert await changes(world, start, types=("customers",)) == plain
    assert len(plain["items"]) == 2


async def test_types_are_those_that_the_caller_may_view(world: World) -> None:
    """Unnamed, the feed covers what may be viewed and says so; a named type is refused as its list is."""
    start = (await changes(world))["next"]
    customer = await world.create()
    await world.create("tasks")
    assert [item["type"] for item in (await changes(world, start))["items"]] == ["customers", "tasks"]
    seen = await changes(world, start, READER)
    assert ([item["type"] for item in seen["items"]], set(seen["types"])) == (["customers"], {"customers", "deals"})
    tasks = await changes(world, start, types=("tasks",))
    assert ([item["type"] for item in tasks["items"]], tasks["types"]) == (["tasks"], ["tasks"])
    with pytest.raises(InsufficientScope):
        await changes(world, start, READER, types=("customers", "tasks"))
    await world.features({"plan": {"code": "p", "name": "P", "features": ["tasks.*"]}})
    assert (await changes(world, start))["types"] == ["tasks"]
    with pytest.raises(ModuleUnavailable):
        await changes(world, start, types=("customers",))
    with pytest.raises(ModuleUnavailable):
        await history(world, customer["id"])


async def test_a_page_of_other_types_leads_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One answer looks at a bounded number of entries: without an item, it still leads further."""
    monkeypatch.setattr(feed_module, "MOST_SCANNED", 4)
    monkeypatch.setattr(feed_module, "_BATCH", 3)
    start = (await changes(world))["next"]
    for _ in range(8):
        await world.create("tasks")
    await world.create()
    first = await changes(world, start, types=("customers",))
    assert (first["items"], first["more"]) == ([], True)
    second = await changes(world, first["next"], types=("customers",))
    assert (len(second["items"]), second["more"]) == (1, False)


async def test_a_page_has_no_more_items_than_its_limit(world: World) -> None:
    """A page that passes over entries of other types has its limit of items, and the next one continues after them."""
    start = (await changes(world))["next"]
    await world.create("tasks")
    made = [(await world.create())["id"] for _ in range(5)]
    first = await changes(world, start, types=("customers",), limit=2)
    second = await changes(world, first["next"], types=("customers",), limit=2)
    assert [item["id"] for item in first["items"] + second["items"]] == made[:4]
    assert (first["more"], second["more"]) == (True, True)


async def test_rights_are_those_of_the_answer(world: World) -> None:
    """A push that removes a module while the feed is read is decided before it is answered."""
    start = (await changes(world))["next"]
    await world.create()
    known = world.backend.changes

    async def overtaken(*arguments: Any) -> Any:
        page = await known(*arguments)
        world.backend.changes = known  # type: ignore[method-assign]
        await world.features({"plan": {"code": "p", "name": "P", "features": ["tasks.*"]}})
        return page

    world.backend.changes = overtaken  # type: ignore[method-assign]
    page = await changes(world, start)
    assert (page["items"], page["types"]) == ([], ["tasks"])


async def test_records_come_as_they_are_now(world: World) -> None:
    """With records each item has the present one, archived or not, and null if it is gone."""
    start = (await changes(world))["next"]
    made = await world.create()
    await update(world, made["id"], {"name": "B"})
    gone = await world.create()
    await world.records.archive.archive(world.access(), made["id"], UNCONDITIONAL)
    document = await world.records.reads.detail(world.access(), made["id"])
    await world.backend.commit("north", Unit(now=1, deletes=(Delete("records:customers", gone["id"]),)))
    items = (await changes(world, start, records=True))["items"]
    assert [item["record"] for item in items] == [read(document.body), read(document.body), None, read(document.body)]
    assert all("record" not in item for item in (await changes(world, start))["items"])


async def test_an_answer_is_bounded_in_bytes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page ends before its bound, has one item at least, and the rest follows."""
    start = (await changes(world))["next"]
    for number in range(5):
        await world.create(notes=f"{number}" * 9000)
    monkeypatch.setattr(feed_module, "MOST_BYTES", 20_000)
    found, after, more = [], start, True
    while more:
        page = await changes(world, after, records=True)
        assert len(page["items"]) <= 2
        assert len(msgspec.json.encode(page["items"])) <= 20_000
        found += page["items"]
        after, more = page["next"], page["more"]
    assert [item["record"]["notes"][0] for item in found] == ["0", "1", "2", "3", "4"]
    monkeypatch.setattr(feed_module, "MOST_BYTES", 10)
    assert len((await changes(world, start, records=True))["items"]) == 1


async def test_a_cursor_that_leads_nowhere_says_how_to_start_over(world: World) -> None:
    """A cursor of another tenant, ahead of the feed, or from before a restore is expired."""
    await world.create()
    here = await changes(world)
    there = await world.backend.changes("south", None)
    place = ChangeCursor.parse(here["next"])
    assert place is not None
    for cursor in (f"{there.epoch}-{there.newest}", str(place._replace(place=place.place + 1)), "0-0"):
        with pytest.raises(CursorExpired, match="without `after`"):
            await changes(world, cursor)


async def test_a_history_is_newest_first(world: World) -> None:
    """It has the record's own entries, who made them and what they changed, in pages."""
    made, other = await world.create(), await world.create()
    for number in range(5):
        await update(world, made["id"], {"name": f"Name {number}"})
        await update(world, other["id"], {"name": f"Other {number}"})
    whole = await history(world, made["id"])
    assert whole["next_cursor"] is None
    assert [item["revision"] for item in whole["items"]] == [6, 5, 4, 3, 2, 1]
    assert whole["items"][0]["changes"] == [{"pointer": "/name", "from": "Name 3", "to": "Name 4"}]
    assert {item["actor"] for item in whole["items"]} == {"token:t1"}
    for limit in (1, 3, 5, 6):
        found, cursor, pages = [], None, 0
        while cursor is not None or not pages:
            page = await history(world, made["id"], limit, cursor)
            found += page["items"]
            cursor, pages = page["next_cursor"], pages + 1
        assert found == whole["items"]
        assert pages == -(-6 // limit)
    first = await history(world, made["id"], 1)
    with pytest.raises(InvalidCursor):
        await history(world, other["id"], 1, first["next_cursor"])
    with pytest.raises(NotFound):
        await history(world, "01890000-0000-7000-8000-000000000000")


async def test_a_batch_is_in_the_feed_as_its_items(world: World) -> None:
    """Each item that wrote has an entry, next to each other, with the request's id."""
    await world.features(EVERYTHING)
    start = (await changes(world))["next"]
    batch = Batch(
        data={"items": [{"name": "A"}, {"name": ""}, {"name": "C"}]},
        atomic=False,
        request_id="r",
        instance="eu1",
        idempotent=None,
    )
    access = msgspec.structs.replace(world.access(), request_id="r-1")
    await world.records.batches.run(access, batch)
    items = (await changes(world, start))["items"]
    assert [(item["change"], item["request_id"]) for item in items] == [("created", "r-1")] * 2
