from __future__ import annotations

import pytest

from crm_core.errors import InvalidRecord
from crm_core.model.caller import Caller
from crm_core.model.list_views import LIST_VIEWS, MOST_VIEWS
from crm_core.records.preconditions import UNCONDITIONAL
from records_world import SCOPES, World

ADA = Caller(kind="user", id="u1", name="Ada", revision=1)
BOB = Caller(kind="user", id="u2", name="Bob", revision=1)
ERASER = Caller(kind="token", id="t9", name="e", revision=1, scopes=SCOPES | {"customers:erase"})


async def names(world: World, caller: Caller = ADA) -> list[str]:
    return [view.name for view in (await world.records.list_views.of("north", caller, "customers")).views]


async def test_views_belong_to_one_user_of_one_tenant(world: World) -> None:
    """A view of the same name is replaced, a removed one is gone, and no one else sees them."""
    views = world.records.list_views
    await views.save("north", ADA, "customers", " My   leads ", "status=lead")
    await views.save("north", ADA, "customers", "Rest", "status=inactive")
    await views.save("north", ADA, "customers", "my LEADS", "status=lead&tags=vip")
    assert await names(world) == ["my LEADS", "Rest"]
    assert await names(world, BOB) == []
    assert (await views.of("south", ADA, "customers")).views == ()
    await views.remove("north", ADA, "customers", "rest")
    await views.remove("north", ADA, "customers", "never saved")
    assert await names(world) == ["my LEADS"]
    await views.set_columns("north", ADA, "customers", ("email",))
    assert await names(world) == ["my LEADS"]
    assert (await views.of("north", ADA, "customers")).columns == ("email",)


async def test_views_have_limits(world: World) -> None:
    """Their number, names and sizes are limited, and the refusal says what to do."""
    views = world.records.list_views
    for number in range(MOST_VIEWS):
        await views.save("north", ADA, "customers", f"View {number}", "status=lead")
    for name, query in (("One more", ""), ("", ""), ("x" * 61, ""), ("Long", "q=" + "x" * 2000), ("a\x00b", "")):
        with pytest.raises(InvalidRecord):
            await views.save("north", ADA, "customers", name, query)
    await views.save("north", ADA, "customers", "view 0", "status=active")
    assert len(await names(world)) == MOST_VIEWS


async def test_an_erase_removes_the_views_that_name_the_record(world: World) -> None:
    """Views whose name or filters have the erased customer's id, name or email go with it; others stay."""
    made = await world.create(name="Ada Lovelace", email="ada@engines.example", company="Engines")
    queries = {
        "Deals of hers": f"customer_id={made['id']}",
        "ADA LOVELACE and others": "status=lead",
        "By email": "email=Ada%40engines.example",
        "Engines": "q=engines",
    }
    for name, query in queries.items():
        await world.records.list_views.save("north", ADA, "customers", name, query)
    await world.records.list_views.save("north", BOB, "customers", "Leads", "status=lead")
    await world.records.erasure.erase(world.access(caller=ERASER), made["id"], UNCONDITIONAL, cascade=False)
    assert await names(world) == ["Engines"]
    assert await names(world, BOB) == ["Leads"]
    stored = [document.body async for document in world.backend.documents("north", LIST_VIEWS)]
    assert not [body for body in stored if b"ovelace" in body or b"OVELACE" in body]
