"""Sections outlive the plugins that stored them: upgraded, or unreadable without harm to anything else."""

from __future__ import annotations

from typing import Any

import pytest

from crm_core.errors import InvalidPayload, ModuleUnavailable, NotFound
from crm_core.model.caller import Caller
from crm_core.model.keys import Key
from crm_core.workspace import require
from sync_world import World
from unit.sync.conftest import Worlds

PLUGIN = """
from typing import Annotated, Literal
import msgspec
from msgspec import UNSET, UnsetType
from crm_core.plugin import hookimpl
from crm_core.plugin.payload import Entitlements, MailSettings, PayloadType, secret

class Talk(msgspec.Struct, forbid_unknown_fields=True):
    {members}

class TalkType(PayloadType):
    NAME = "talk"
    SHOWN = "members"
    SECTION = Talk
{body}

@hookimpl
def crm_register_payload_types():
    return [TalkType()]
"""
FIRST = PLUGIN.format(
    members="provider: str | UnsetType = UNSET\n    key: Annotated[str, secret()] | UnsetType = UNSET", body=""
)
SECOND = PLUGIN.format(
    members="vendor: Literal['acme', 'other'] | UnsetType = UNSET\n"
    "    login: dict[str, int] | UnsetType = UNSET\n"
    "    token: Annotated[str, secret()] | UnsetType = UNSET",
    body="""
    SCHEMA_VERSION = 2

    def upgrade(self, data, from_version):
        assert from_version == 1
        return {"vendor": data["provider"], "token": data["key"]}
""",
)
UNPREPARED = SECOND.replace("    SCHEMA_VERSION = 2\n", "")
FAILING = SECOND.replace("assert from_version == 1", "raise SystemExit('the secret is ' + repr(data))")
GRANTS = """
    def entitlements(self, part):
        return Entitlements(limits={"customers": 5})
"""
SENDS = """
    def mail_server(self, part):
        return MailSettings(host="mail.example", from_email="crm@mail.example")
"""
DATA = {"provider": "acme", "key": "top-secret"}


async def pushed(world: World, data: Any = DATA, **how: Any) -> Any:
    return await world.services.receiver.receive(world.push(data, kind="talk", **how))


async def health(world: World) -> dict[str, Any]:
    return await world.services.health.report("northwind")


async def stored_then(worlds: Worlds, plugin: str, first: str = FIRST) -> World:
    """A world with ``plugin`` over what ``first`` has stored."""
    await pushed(await worlds(plugin=first))
    return await worlds(plugin=plugin)


async def test_a_section_is_upgraded_when_it_is_read_and_stored_so_by_the_next_push(worlds: Worlds) -> None:
    """The secret moves with its member; an unchanged push stores nothing; the plugin of before reads it until then."""
    world = await stored_then(worlds, SECOND)
    workspace = await world.services.views.of("northwind")
    assert workspace.readable["talk"].data == {"vendor": "acme", "token": {"set": True}}
    assert (await health(world))["status"] == "ok"
    assert (await pushed(world, {"vendor": "acme"}, strategy="merge")).status == "unchanged"
    world = await worlds(plugin=FIRST)
    assert (await world.services.views.of("northwind")).readable["talk"].data["provider"] == "acme"
    world = await worlds(plugin=SECOND)
    receipt = await pushed(world, {"vendor": "other"}, strategy="merge")
    assert [(one.pointer, one.before, one.after) for one in receipt.changes] == [("/talk/vendor", "acme", "other")]
    section = (await world.services.views.of("northwind")).readings["talk"].stored
    assert (section.schema, set(section.sealed)) == (2, {"/token"})
    assert world.services.sealer.open("section secret", section.sealed["/token"]) == "top-secret"


async def test_an_earlier_revision_is_upgraded_when_it_is_restored(worlds: Worlds) -> None:
    """It is stored as the type is today."""
    world = await stored_then(worlds, SECOND)
    await pushed(world, {"vendor": "other"})
    await world.services.history.restore("northwind", "talk", 1, actor="console", request_id="r")
    section = (await world.services.views.of("northwind")).readable["talk"]
    assert (section.data, section.schema) == ({"vendor": "acme"}, 2)


async def test_a_section_of_a_newer_schema_is_unreadable_until_it_is_replaced(worlds: Worlds) -> None:
    """After a downgrade the data stays; a merge is refused, replace and restore make the section readable again."""
    world = await stored_then(worlds, SECOND)
    await pushed(world, {"vendor": "other"}, strategy="merge")
    world = await worlds(plugin=FIRST)
    workspace = await world.services.views.of("northwind")
    assert "talk" not in workspace.readable
    with pytest.raises(InvalidPayload) as refused:
        await pushed(world, {"provider": "acme"}, strategy="merge")
    (finding,) = refused.value.errors
    assert (finding.pointer, finding.code) == ("/data", "section_unreadable")
    assert "strategy replace" in finding.message
    first = workspace.sections["talk"].history[0]
    how: Any = {"actor": "console", "request_id": "r"}
    assert (await world.services.history.restore("northwind", "talk", first, **how)).status == "applied"
    assert (await world.services.views.of("northwind")).readable["talk"].data["provider"] == "acme"
    newer = (await world.services.views.of("northwind")).sections["talk"].history[1]
    with pytest.raises(InvalidPayload, match="can no longer read this revision"):
        await world.services.history.restore("northwind", "talk", newer, **how)
    assert (await pushed(world, {"provider": "third"})).status == "applied"
    assert (await health(world))["status"] == "ok"


@pytest.mark.parametrize(
    ("plugin", "member"), [(UNPREPARED, "/provider"), (FAILING, "")], ids=["other members", "failing upgrade"]
)
async def test_an_unreadable_section_counts_as_absent_and_is_named(
    worlds: Worlds, plugin: str, member: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Health is degraded and names section, plugin and member; no secret appears; versions and history remain."""
    world = await stored_then(worlds, plugin)
    workspace = await world.services.views.of("northwind")
    (fault,) = workspace.faults
    assert (fault.section, fault.plugin, fault.member) == ("talk", "lone", member)
    report = await health(world)
    assert (report["status"], report["reasons"]) == ("degraded", [fault.sentence])
    assert "top-secret" not in str(report) + caplog.text
    (logged,) = (one.members["reason"] for one in caplog.records if one.msg == "section_unreadable")  # type: ignore[attr-defined]
    assert ("upgrade: " in logged and " at " in logged) == (plugin == FAILING)
    key = world.services.configured.roster.of("northwind").keys[2]
    for types, reasons in (("talk", [fault.sentence]), ("branding", [])):
        limited = Key(version=2, material=key.material, types=frozenset({types}))
        assert (await world.services.health.report("northwind", limited))["reasons"] == reasons
    assert report["sections"]["talk"]["version"] == workspace.sections["talk"].version
    assert world.services.views.unreadable() == {"northwind": (fault,)}
    assert len((await world.services.history.page("northwind", "talk", limit=9, cursor=None))[0]) == 1
    assert await world.services.history.reset_version("northwind", "talk") == 1
    assert (await pushed(world, {"vendor": "acme"})).status == "applied"
    assert (await health(world))["status"] == "ok"


async def test_an_unreadable_section_of_rights_grants_nothing(worlds: Worlds) -> None:
    """Rather nothing than too much: every module is unavailable with that reason; the core's own keys stay."""
    world = await stored_then(worlds, UNPREPARED + "\n", FIRST)
    assert (await world.services.views.of("northwind")).modules.wire_states["customers"] == "available"
    world = await worlds(plugin=UNPREPARED.replace('NAME = "talk"', 'NAME = "talk"\n' + GRANTS))
    workspace = await world.services.views.of("northwind")
    assert {state.reason for state in workspace.modules.states.values()} == {"section_unreadable"}
    admin = Caller(kind="user", id="u", name="", revision=1, role="super_admin", session="s")
    with pytest.raises(ModuleUnavailable, match="section_unreadable"):
        require(workspace, admin, "customers.create", writes=True)
    receipt = await pushed(world, {"vendor": "acme"})
    assert receipt.modules["customers"] == "available"


async def test_no_email_leaves_while_a_section_with_a_mail_server_is_unreadable(worlds: Worlds) -> None:
    """The server of another section is not used in its place."""
    world = await stored_then(worlds, UNPREPARED.replace('NAME = "talk"', 'NAME = "talk"\n' + SENDS))
    smtp = {"host": "other.example", "from_email": "crm@other.example"}
    await world.services.receiver.receive(world.push(smtp, kind="smtp"))
    workspace = await world.services.views.of("northwind")
    assert workspace.mail_server is None
    assert workspace.withholds("mail_server")
    await pushed(world, {"vendor": "acme"})
    found = (await world.services.views.of("northwind")).mail_server
    assert found is not None
    assert found[0].host == "other.example"


async def test_the_data_of_a_removed_plugin_stays_and_is_named(worlds: Worlds) -> None:
    """The section shows in health; its history is refused by name; it is there again when the plugin is."""
    world = await stored_then(
        worlds, PLUGIN.replace('"talk"', '"walk"').format(members="a: int | UnsetType = UNSET", body="")
    )
    report = await health(world)
    assert report["status"] == "degraded"
    assert "The section talk is stored, but no plugin brings its payload type." in report["reasons"][0]
    with pytest.raises(NotFound):
        await world.services.history.page("northwind", "talk", limit=9, cursor=None)
    world = await worlds(plugin=FIRST)
    assert (await world.services.views.of("northwind")).readable["talk"].data["provider"] == "acme"
