"""Plugins may read everything that they receive in a push and change none of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from crm_core.errors import PluginFailed
from sync_world import World

Worlds = Callable[..., Awaitable[World]]

WRITER = '''
"""Writes into everything that it receives, and continues if it is refused."""
import msgspec
from crm_core.plugin import hookimpl
from crm_core.plugin.payload import Entitlements, PayloadType

SEEN = []


def attempt(change):
    try:
        change()
    except (TypeError, KeyError):
        pass


class Options(msgspec.Struct):
    words: list[str] = []


class Talk(msgspec.Struct, forbid_unknown_fields=True):
    word: str | msgspec.UnsetType = msgspec.UNSET
    free: dict[str, object] | msgspec.UnsetType = msgspec.UNSET
    names: list[str] | msgspec.UnsetType = msgspec.UNSET


class TalkType(PayloadType):
    NAME = "talk"
    SECTION = Talk
    SHOWN = "members"
    OPTIONS = Options

    def split(self, data):
        attempt(lambda: data.update(word="split"))
        self.parts = {"talk": data}
        return self.parts

    def validate(self, part, context):
        part.word = "validate"
        attempt(lambda: part.free["inner"].append("validate"))
        attempt(lambda: part.names.clear())
        attempt(lambda: self.parts["talk"].update(word="stored"))
        attempt(lambda: context.options.words.append("w"))
        SEEN.append(list(context.options.words))
        return ()

    def modules(self, part):
        SEEN.append(part.names)
        return ()

    def entitlements(self, part):
        attempt(lambda: part.free["inner"].append("entitlements"))
        return Entitlements()


@hookimpl
def crm_register_payload_types():
    return [TalkType()]


@hookimpl
def crm_validate_payload(section, part, context):
    SEEN.extend([list(context.options.words)] if section == "talk" else ())
    attempt(lambda: part.update(extra="x"))
    attempt(lambda: context.current.update(branding={"title": "x"}))
    for data in context.current.values():
        attempt(lambda: data.update(title="x"))
        attempt(lambda: data["free"]["inner"].append("x"))
    attempt(lambda: context.catalog.modules.clear())


@hookimpl
def crm_module_policy(named, context):
    attempt(lambda: context.catalog.modules.pop("deals"))
'''
LOUD = '''
"""Changes what is current."""
from crm_core.plugin import hookimpl


@hookimpl
def crm_validate_payload(section, part, context):
    for data in context.current.values():
        data["title"] = "changed"
'''
TALK = {"word": "sent", "free": {"inner": ["sent"]}, "names": ["n"]}


async def test_no_plugin_changes_what_it_receives(worlds: Worlds) -> None:
    """A plugin changes neither current data nor the push: stored and shown is exactly what the platform sent."""
    world = await worlds(plugin=WRITER)
    receive = world.services.receiver.receive
    await receive(world.push({"title": "T"}))
    catalog = world.services.configured.catalog
    modules = dict(catalog.modules)
    for number in ("1", "2"):
        data = {**TALK, "word": number}
        receipt: Any = await receive(world.push(data, kind="talk"))
        assert {change.pointer for change in receipt.changes} <= {"/talk/word", "/talk/free/inner", "/talk/names"}
        workspace = await world.services.views.of("northwind")
        assert {name: one.data for name, one in workspace.sections.items()} == {
            "branding": {"title": "T"},
            "talk": data,
        }
    assert dict(catalog.modules) == modules
    assert world.services.options["talk"].words == []
    seen = world.services.registry.payload_types["talk"].validate.__globals__["SEEN"]
    assert seen == [["w"], ["n"], [], ["w"], ["n"], []], "options, and what modules sees, are each call's own"


async def test_a_plugin_that_writes_is_named(worlds: Worlds) -> None:
    """A plugin that writes into current data makes the push fail, by name and with the fix; nothing changes."""
    world = await worlds(plugin=LOUD)
    await world.services.receiver.receive(world.push({"title": "T"}))
    with pytest.raises(PluginFailed) as failed:
        await world.services.receiver.receive(world.push({"title": "U"}))
    assert "lone" in str(failed.value.detail)
    assert "change a copy" in str(failed.value.__cause__)
    workspace = await world.services.views.of("northwind")
    assert workspace.sections["branding"].data == {"title": "T"}
