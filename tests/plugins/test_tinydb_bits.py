from __future__ import annotations

import asyncio
import re
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from crm_core.errors import StorageUnavailable
from crm_core.plugin.storage import Claim, EntryQuery, Unit
from crm_core.testing.disk import FakeDisk
from crm_core.testing.storage import entry, put
from crm_tinydb.summaries import NAME as SUMMARY
from tinydb_world import HOME, open_store, with_folders

FOLDER = HOME / "north"
UNITS = 9
Picture = tuple[int, int, dict[str, bytes], tuple[str, ...]]


async def filled() -> FakeDisk:
    """A tenant with two folds, further units in the journal, and some unverified attempts."""
    disk = with_folders(FakeDisk())
    store = await open_store(disk)
    await store.create("north")
    for number in range(1, UNITS + 1):
        unit = Unit(
            now=1,
            claims=(Claim("nonce", f"n{number}", b"{}"),),
            puts=(put(f"d{number}", {"n": number}, {"k": f"v{number}"}),),
            entries=(entry(number),),
            revises=True,
        )
        await store.commit("north", unit)
        if number in {3, 6}:
            store.note("north", entry(50 + number, signature_result="invalid"))
            await store.fold("north")
    await store.close()
    return disk


async def picture(disk: FakeDisk) -> tuple[str, Picture | None]:
    """The tenant's mode, and its content if it can be read."""
    store = await open_store(disk)
    try:
        view = await store.view("north", None)
        shown = {document.id: document.body async for document in store.documents("north", "notes")}
        log = tuple(each.id for each in await store.entries("north", EntryQuery(verified=True)))
        await store.check("north")
        return (await store.state("north")).mode, (view.seq, view.head.seq, shown, log)
    except StorageUnavailable:
        return (await store.state("north")).mode, None
    finally:
        await store.close()


@cache
def prepared() -> tuple[dict[str, bytes], Picture]:
    """The files of an undamaged tenant, and its content."""
    disk = asyncio.run(filled())
    mode, whole = asyncio.run(picture(disk.power_cut("all")))
    assert mode == "ok"
    assert whole is not None
    assert whole[0] == UNITS
    return {name: disk.read(FOLDER / name) for name in disk.names(FOLDER) if name != "previous"}, whole


def damaged(name: str, data: bytes) -> tuple[str, Picture | None]:
    disk = asyncio.run(filled())
    disk.edit(FOLDER / name, lambda _: data)
    return asyncio.run(picture(disk))


@settings(max_examples=100)
@given(st.data())
def test_any_flipped_bit_is_detected(data: st.DataObject) -> None:
    """A flipped bit in any file quarantines the tenant, which then shows an earlier state, or nothing.

    A summary that does not fit its checksum is as if there were none. If the bit makes the format in identity or a
    folded file a higher one, the tenant is refused untouched.
    """
    files, whole = prepared()
    name = data.draw(st.sampled_from(sorted(files)))
    at = data.draw(st.integers(0, len(files[name]) - 1))
    flipped = bytearray(files[name])
    flipped[at] ^= 1 << data.draw(st.integers(0, 7))
    mode, shown = damaged(name, bytes(flipped))
    if re.match(rb'crm tenant store, format [2-9]\b|\{\n"_store":\{\n"1":\{"format":[2-9]\b', flipped):
        assert (mode, shown) == ("read_only", None)
    elif name == SUMMARY:
        assert (mode, shown) == ("ok", whole)
    else:
        assert mode == "quarantined"
    assert shown is None or once_was(shown, whole)


@settings(max_examples=100)
@given(st.data())
def test_any_cut_shows_a_state_that_was(data: st.DataObject) -> None:
    """A tenant with a truncated file shows an earlier state; only the end of a .log can be cut without quarantine.

    A summary that is cut off is as if there were none.
    """
    files, whole = prepared()
    name = data.draw(st.sampled_from(sorted(files)))
    length = data.draw(st.integers(0, len(files[name]) - 1))
    mode, shown = damaged(name, files[name][:length])
    if name == SUMMARY:
        assert (mode, shown) == ("ok", whole)
    elif not name.endswith(".log"):
        assert mode == "quarantined"
    assert shown is None or once_was(shown, whole)


def once_was(shown: Picture, whole: Picture) -> bool:
    """Whether this was the tenant's content after some unit; the log may lack a lost segment."""
    seq, head, documents, log = shown
    expected = {name: body for name, body in whole[2].items() if int(name[1:]) <= seq}
    return head == seq and documents == expected and set(log) <= set(whole[3][-seq:] if seq else ())
