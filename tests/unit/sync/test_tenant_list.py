"""The pages of the list of tenants."""

from __future__ import annotations

from typing import Any

import pytest

from crm_core.errors import InvalidCursor
from sync_world import World

NAMES = ["northwind", *(f"t{number:02d}" for number in range(20))]


async def filled(world: World) -> None:
    """Add twenty tenants, of which none is in the roster."""
    for name in NAMES[1:]:
        await world.backend.create(name)


async def pages(world: World, limit: int, status: str | None = None) -> list[list[str]]:
    """The names on each page, up to the last."""
    found, cursor = [], None
    while True:
        rows, cursor = await world.services.tenant_list.page(status=status, limit=limit, cursor=cursor)
        found.append([row["tenant"] for row in rows])
        if cursor is None:
            return found


@pytest.mark.parametrize("limit", [1, 7, 8, 20, 21, 500])
async def test_the_pages_have_each_tenant_once(world: World, limit: int) -> None:
    """Each page has as many as were asked for, and the last has no cursor."""
    await filled(world)
    assert await pages(world, limit) == [NAMES[first : first + limit] for first in range(0, len(NAMES), limit)]


async def test_the_pages_of_a_status(world: World) -> None:
    """Tenants of another status are passed over, however many they are."""
    await filled(world)
    assert await pages(world, 6, "disabled") == [NAMES[1:7], NAMES[7:13], NAMES[13:19], NAMES[19:]]
    assert await pages(world, 1, "ok") == [["northwind"]]
    assert await pages(world, 5, "stale") == [[]]


async def test_a_name_that_begins_with_a_digit_comes_first(world: World) -> None:
    """The list begins before every name."""
    await world.backend.create("0-day")
    assert await pages(world, 1) == [["0-day"], ["northwind"]]


async def test_a_row_is_that_of_health(world: World) -> None:
    """The list says the same as health does."""
    rows, cursor = await world.services.tenant_list.page(status=None, limit=5, cursor=None)
    assert (rows, cursor) == ([await world.services.health.row("northwind")], None)


async def test_a_cursor_belongs_to_its_list(world: World) -> None:
    """That of another status, or a text that is none, is refused."""
    await filled(world)
    _, cursor = await world.services.tenant_list.page(status="disabled", limit=2, cursor=None)
    assert cursor is not None
    for status, text in ((None, cursor), ("ok", cursor), ("disabled", "nonsense")):
        with pytest.raises(InvalidCursor):
            await world.services.tenant_list.page(status=status, limit=2, cursor=text)


async def test_no_more_tenants_are_looked_at_than_a_page_needs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One beyond the page, to know whether more follow."""
    await filled(world)
    seen: list[str] = []
    row = world.services.health.row

    async def noted(tenant: str) -> dict[str, Any] | None:
        seen.append(tenant)
        return await row(tenant)

    monkeypatch.setattr(world.services.health, "row", noted)
    await world.services.tenant_list.page(status=None, limit=10, cursor=None)
    assert seen == NAMES[:11]


async def test_a_tenant_that_is_removed_meanwhile_is_left_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names were read before."""
    names = [*NAMES[:1], "gone"]

    async def listed() -> list[str]:
        return sorted(names)

    monkeypatch.setattr(world.backend, "tenants", listed)
    assert await pages(world, 5) == [["northwind"]]
