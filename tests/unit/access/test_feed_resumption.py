from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from crm_core.access.feeds import Feeds
from crm_core.errors import StorageUnavailable
from crm_core.model.change_cursor import ChangeCursor
from crm_core.plugin.storage import Unit
from event_streams import after, record, seen


async def test_a_client_continues_where_it_left_off(listening: Any, changes: Any, by_token: Any) -> None:
    """With the last id it gets each event that it missed once, in order, and then the new ones."""
    caller = await by_token("customers:read")
    async with listening(caller) as reader:
        await changes("customers", 1)
        last = (await reader.next())[0]
    for number in range(2, 700):
        await changes("customers" if number % 7 else "deals", number)
    async with listening(caller, last) as reader:
        changing = asyncio.create_task(changes("customers", 700))
        numbers = [(await reader.next())[2]["revision"] for _ in range(len([n for n in range(2, 700) if n % 7]) + 1)]
        await changing
    assert numbers == [n for n in range(2, 701) if n % 7 or n == 700]


async def test_a_batch_that_is_cut_anywhere_arrives_once(access: Any, listening: Any, by_token: Any) -> None:
    """Of 200 events of one commit, cut after any of them, the rest and the next commit arrive, each once, in order."""
    caller = await by_token("customers:read")
    page = await access.backend.changes("north", None)
    batch = tuple(record("customers", number) for number in range(200))
    await access.backend.commit("north", Unit(now=0, changes=batch))
    await access.backend.commit("north", Unit(now=0, changes=(record("customers", 200),)))
    async with listening(caller, ChangeCursor(page.epoch, page.newest)) as reader:
        whole = [await reader.next() for _ in range(201)]
    assert [data["revision"] for _, _, data in whole] == list(range(201))
    assert len({place for place, _, _ in whole}) == 201
    for number, (place, _, _) in enumerate(whole[:-1]):
        async with listening(caller, place) as reader:
            assert [await reader.next() for _ in range(200 - number)] == whole[number + 1 :]


async def test_events_of_a_commit_that_others_see_keep_their_ids(access: Any, listening: Any, by_token: Any) -> None:
    """An id counts every event of its commit: a caller who sees some of them resumes after the last that it saw."""
    entries = tuple(
        record(subject, number)
        for number, subject in enumerate(("customers", "deals", "customers", "deals", "customers"))
    )
    caller = await by_token("customers:read")
    async with listening(caller) as reader:
        await access.backend.commit("north", Unit(now=0, changes=entries))
        found = [await reader.next() for _ in range(3)]
    last = found[2][0]
    assert [(place, data["revision"]) for place, _, data in found] == [(after(last, at - 4), at) for at in (0, 2, 4)]
    async with listening(caller, after(last, -2)) as reader:
        assert await reader.next() == found[2]


@pytest.mark.parametrize("text", ["", "x", "1.2", "57", "a-", "-1", "A-1", "a-1 ", "a-" + chr(0x661), "a-" + "1" * 16])
def test_other_texts_are_no_ids(text: str) -> None:
    """Only a cursor as it is written names a place; an id of an earlier version names none."""
    assert ChangeCursor.parse(text) is None
    assert str(ChangeCursor.parse("9f0c-57")) == "9f0c-57"


@pytest.mark.parametrize("how", ["other epoch", "ahead", "too old"])
async def test_an_unknown_id_gets_a_reset(access: Any, listening: Any, changes: Any, by_token: Any, how: str) -> None:
    """The stream of an id that cannot be resumed gets a reset at the newest place and continues from there."""
    last = await changes("customers", 1)
    caller = await by_token("customers:read")
    sent = {"other epoch": ChangeCursor("0", 1), "ahead": after(last, 1), "too old": after(last, -1)}[how]
    if how == "too old":
        known = access.backend.changes

        async def forgotten(tenant: str, place: int | None, limit: int = 500) -> Any:
            page = await known(tenant, place, limit)
            return msgspec.structs.replace(page, texts=None) if place == sent.place else page

        access.backend.changes = forgotten
    async with listening(caller, sent) as reader:
        assert (await reader.next())[:2] == (last, "reset")
        following = await changes("customers", 2)
        assert (await reader.next()) == (following, "record.changed", seen("customers", 2))


async def test_an_id_is_good_after_a_restart(access: Any, listening: Any, changes: Any, by_token: Any) -> None:
    """A client resumes exactly after its last event when the store was closed and opened in between."""
    caller = await by_token("customers:read")
    first, second = await changes("customers", 1), await changes("customers", 2)
    open_tenants = access.backend.open_tenants
    open_tenants._evict("north")
    async with listening(caller, first) as reader:
        assert (await reader.next()) == (second, "record.changed", seen("customers", 2))


async def test_a_tenant_that_was_restored_resets_its_streams(
    access: Any, listening: Any, changes: Any, by_token: Any, tmp_path: Any
) -> None:
    """A client from before a restore of a backup is sent a reset: the places of its events mean nothing any more."""
    caller = await by_token("customers:read")
    first = await changes("customers", 1)
    await access.backend.backup("north", tmp_path / "north.backup")
    await access.backend.remove("north")
    await access.backend.restore("north", tmp_path / "north.backup")
    async with listening(caller, first) as reader:
        reached, event, _ = await reader.next()
        assert (event, reached.epoch == first.epoch) == ("reset", False)


async def test_a_stream_ends_if_another_process_restored_its_tenant(
    access: Any, feeds: Feeds, listening: Any, changes: Any, by_token: Any
) -> None:
    """The places of an older backup are lower than those already sent: the client resumes by its id and is reset.

    A stream that has ended counts no longer, also if its client does not read.
    """
    caller, known = await by_token("customers:read"), access.backend.changes
    last, counted = await changes("customers", 1), asyncio.Queue[int]()
    async with listening(caller) as reader:
        feeds.observers.append(counted.put_nowait)

        async def restored(tenant: str, place: int | None, limit: int = 500) -> Any:
            page = await known(tenant, place, limit)
            return msgspec.structs.replace(page, epoch="other", newest=1, texts=None if place else ())

        access.backend.changes = restored
        await changes("customers", 2)
        assert await asyncio.wait_for(counted.get(), 5) == 0
        assert await reader.ended()
    async with listening(caller, last) as reader:
        assert (await reader.next())[:2] == (ChangeCursor("other", 1), "reset")


async def test_a_stream_whose_missed_events_cannot_be_read_ends(
    access: Any, feeds: Feeds, listening: Any, changes: Any, by_token: Any
) -> None:
    """A damaged file of the change log is no failure of the application."""
    caller, known = await by_token("customers:read"), access.backend.changes
    last = await changes("customers", 1)

    async def damaged(tenant: str, place: int | None, limit: int = 500) -> Any:
        if place is not None:
            raise StorageUnavailable
        return await known(tenant, None, limit)

    access.backend.changes = damaged
    async with listening(caller, last) as reader:
        assert await reader.ended()
    assert feeds.open_streams == 0
