from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
import pytest

from crm_core.model.catalog import Catalog, Module
from crm_core.model.entitlements import Entitlements, PlanGrant
from crm_core.model.log import Head
from crm_core.plugin.payload import PayloadType
from crm_core.plugin.payload_calls import PayloadCalls
from crm_core.plugin.query import View
from crm_core.plugin.unit import Document, WorkspaceAt
from crm_core.workspace import Section, Views

EMPTY = Catalog(modules={}, default_plan=PlanGrant("s", "S", ()))


class Word(msgspec.Struct, forbid_unknown_fields=True):
    word: str


class Talk(PayloadType):
    NAME = "talk"
    SECTION = Word

    def entitlements(self, part: Word) -> Entitlements:
        return Entitlements(limits={part.word: 1})


class Configured:
    """Configuration that changes only when a test changes it."""

    generation = 1
    catalog = EMPTY
    roles: ClassVar[Any] = {}


class Store:
    """A store of one section per tenant that counts how often it hands documents over."""

    def __init__(self) -> None:
        self.revision, self.word, self.handed_over, self.epoch = 1, "one", 0, "first"

    async def view(self, tenant: str, seen: int | None) -> View:
        if seen == self.revision:
            return View(self.revision, 1, Head(), None, self.epoch)
        self.handed_over += 1
        section = Section(
            name="talk",
            data={"word": self.word},
            version=1,
            revision=self.revision,
            applied_at="",
            request_id="",
            payload_type="talk",
        )
        documents = (Document("sections", "talk", 1, msgspec.json.encode(section)),)
        return View(self.revision, 1, Head(), documents, self.epoch)

    async def view_and_claims(
        self, tenant: str, seen: int | None, claims: Sequence[tuple[str, str]]
    ) -> tuple[View, list[bytes | None]]:
        return await self.view(tenant, seen), [b"{}" for _ in claims]


def views(store: Store, configured: Configured | None = None, maxsize: int = 8) -> Views:
    backend: Any = store
    return Views(backend, configured or Configured(), PayloadCalls({"talk": Talk()}), maxsize)


async def test_a_workspace_is_cached_until_its_revision_changes() -> None:
    """Readers get the same object until then, and a new one after."""
    store = Store()
    cache = views(store)
    first = await cache.of("a")
    assert await cache.of("a") is first
    store.revision, store.word = 2, "two"
    second = await cache.of("a")
    assert (second.revision, second.entitlements.limits) == (2, {"two": 1})
    assert store.handed_over == 2


@pytest.mark.parametrize("claims", [None, [("nonce", "a")]], ids=["alone", "with claims"])
async def test_a_revision_of_another_epoch_is_another_one(claims: list[tuple[str, str]] | None) -> None:
    """A tenant that was removed and made again may have the revision that is cached, and other sections."""
    store = Store()
    cache = views(store)
    first = await cache.of("a")
    store.epoch, store.word = "second", "two"
    second = await cache.of("a") if claims is None else (await cache.with_claims("a", claims))[0]
    assert (second.revision, second.entitlements.limits) == (first.revision, {"two": 1})
    assert (first.unchanged, second.unchanged) == (WorkspaceAt(1, "first"), WorkspaceAt(1, "second"))
    cache.learn(first)
    assert cache.assumed("a") is first
    assert await cache.of("a") is not first


async def test_a_workspace_that_a_request_has_seen_is_not_asked_for() -> None:
    """It is the cached one if that has the same revision and epoch, under the same configuration."""
    store, configured = Store(), Configured()
    cache = views(store, configured)
    first = await cache.of("a", (1, "first"))
    store.revision = 2
    assert await cache.of("a", (1, "first")) is first
    for seen in ((2, "first"), (1, "second")):
        assert (await cache.of("a", seen)).revision == 2
        cache.forget("a")
        cache.learn(first)
    configured.generation = 2
    assert (await cache.of("a", (1, "first"))).revision == 2


async def test_what_was_seen_last_can_be_assumed() -> None:
    """Without asking the store, until another configuration is in effect."""
    store, configured = Store(), Configured()
    cache = views(store, configured)
    assert cache.assumed("a") is None
    first = await cache.of("a")
    store.revision = 2
    assert cache.assumed("a") is first
    configured.generation = 2
    assert cache.assumed("a") is None


async def test_it_is_derived_again_when_the_configuration_changes() -> None:
    """Without asking the store for the sections again."""
    store, configured = Store(), Configured()
    cache = views(store, configured)
    first = await cache.of("a")
    configured.generation = 2
    second = await cache.of("a")
    assert second is not first
    assert second.generation == 2
    assert store.handed_over == 1


async def test_the_cache_is_bounded() -> None:
    """The cache has a limit and evicts the least recently used tenant."""
    store = Store()
    cache = views(store, maxsize=2)
    for tenant in ("a", "b", "a", "c", "a"):
        await cache.of(tenant)
    assert store.handed_over == 3
    await cache.of("b")
    assert store.handed_over == 4


class SlowStore(Store):
    """A store that answers a look at the tenant ``a`` only when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.released = asyncio.Event()
        self.released.set()

    async def view(self, tenant: str, seen: int | None) -> View:
        if tenant == "a":
            await self.released.wait()
        return await super().view(tenant, seen)


async def test_a_tenant_evicted_during_a_read_is_still_returned() -> None:
    """A read that waits for the store does not fail when other tenants fill the cache meanwhile."""
    store = SlowStore()
    cache = views(store, maxsize=1)
    first = await cache.of("a")
    store.released.clear()
    reading = asyncio.create_task(cache.of("a"))
    await asyncio.sleep(0)
    await cache.of("b")
    store.released.set()
    assert await reading is first


async def test_a_section_that_its_type_cannot_read_gives_no_rights() -> None:
    """Rather none than others than it says: every module is unavailable, and section, plugin and member are named."""
    store, configured = Store(), Configured()
    store.word = 5  # type: ignore[assignment]  # what an older version of the plugin may have stored
    configured.catalog = Catalog(
        {"deals": Module("deals", "Deals", ("deals.view",))}, PlanGrant("s", "S", ("deals.*",))
    )
    workspace = await views(store, configured).of("a")
    assert workspace.modules.states["deals"].reason == "section_unreadable"
    assert workspace.modules.allowed == frozenset()
    (fault,) = workspace.faults
    assert (fault.section, fault.plugin, fault.member) == ("talk", "talk", "/word")
    assert workspace.readable == {}
    assert workspace.sections["talk"].version == 1


async def test_the_plan_name_is_the_pushed_one_or_the_default() -> None:
    """Without a pushed plan a workspace has the name of the catalog's default plan."""
    workspace = await views(Store()).of("a")
    assert workspace.plan_name == "S"
    pushed = Entitlements(plan=PlanGrant("team", "Team", ()))
    assert msgspec.structs.replace(workspace, entitlements=pushed).plan_name == "Team"
