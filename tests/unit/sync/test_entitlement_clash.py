"""Two payload types that say what a tenant may: how they are combined, and what plugins know of the outcome."""

from __future__ import annotations

from typing import Any

from unit.sync.conftest import Worlds

GATE = """
from typing import Annotated
import msgspec
from msgspec import UNSET, UnsetType
from crm_core.errors import Finding
from crm_core.plugin import hookimpl
from crm_core.plugin.payload import Entitlements, PayloadType, secret

class Gate(msgspec.Struct, forbid_unknown_fields=True):
    most: int | UnsetType = UNSET
    closed: bool | UnsetType = UNSET
    code: Annotated[str, secret()] | UnsetType = UNSET

class GateType(PayloadType):
    NAME = "gate"
    SECTION = Gate

    def entitlements(self, part):
        overrides = {"customers.view": False} if part.closed is True else {}
        return Entitlements(limits={} if part.most is UNSET else {"customers": part.most}, overrides=overrides)

@hookimpl
def crm_register_payload_types():
    return [GateType()]

@hookimpl
def crm_validate_payload(section, part, context):
    open_modules = sorted(name for name in ("customers", "deals", "tasks") if context.available(name))
    seen = f"{sorted(context.proposed)} {context.proposed[section] == part} {open_modules}"
    yield Finding("", "seen", seen, warning=True)
"""


def warnings(receipt: Any, code: str) -> list[str]:
    return [one["message"] for one in receipt.warnings if one["code"] == code]


async def test_a_clash_is_a_warning_that_names_both_types(worlds: Worlds) -> None:
    """The lower limit applies; a push of another section does not repeat the warning; agreement ends it."""
    world = await worlds(plugin=GATE)
    receive, push = world.services.receiver.receive, world.push
    assert not warnings(await receive(push({"most": 3}, kind="gate")), "entitlement_clash")
    receipt: Any = await receive(push({"limits": {"customers": 9}}, kind="features"))
    (clash,) = [one for one in receipt.warnings if one["code"] == "entitlement_clash"]
    assert clash["pointer"] == "/data"
    assert "The sections gate and features give different values for limits/customers" in clash["message"]
    assert (await world.services.views.of("northwind")).entitlements.limits == {"customers": 3}
    assert not warnings(await receive(push({"title": "T"})), "entitlement_clash")
    assert warnings(await receive(push({"most": 10}, kind="gate")), "entitlement_clash")
    assert (await world.services.views.of("northwind")).entitlements.limits == {"customers": 9}
    assert not warnings(await receive(push({"most": 9}, kind="gate")), "entitlement_clash")
    lower: Any = await receive(push({"most": 2}, kind="gate"))
    assert [(one["pointer"], one["code"]) for one in lower.warnings if one["code"] != "seen"] == [
        ("/data", "entitlement_clash")
    ]
    both = {"gate": {"most": 1}, "features": {"limits": {"customers": 5}}}
    combined: Any = await receive(push(both, kind="combined"))
    assert [one["pointer"] for one in combined.warnings if one["code"] == "entitlement_clash"] == ["/data/gate"]


async def test_plugins_see_the_sections_and_modules_as_they_would_be(worlds: Worlds) -> None:
    """Within a combined push too: a validator of one section knows what another part of it takes away."""
    world = await worlds(plugin=GATE)
    data = {"gate": {"closed": True, "code": "0000"}, "branding": {"title": "T"}}
    receipt = await world.services.receiver.receive(world.push(data, kind="combined", mode="preview"))
    assert warnings(receipt, "seen") == ["['branding', 'gate'] True ['tasks']"] * 2


async def test_no_module_is_open_while_a_section_of_rights_is_unreadable(worlds: Worlds) -> None:
    """Plugins see it so, until the push itself replaces the section; one without rights closes nothing."""
    world = await worlds(plugin=GATE)
    await world.services.receiver.receive(world.push({"most": 3}, kind="gate"))
    world = await worlds(plugin=GATE.replace("most:", "least:").replace("part.most", "part.least"))
    receive, push = world.services.receiver.receive, world.push
    assert warnings(await receive(push({"title": "T"}, mode="preview")), "seen") == ["['branding'] True []"]
    replaced = await receive(push({"least": 3}, kind="gate", mode="preview"))
    assert warnings(replaced, "seen") == ["['gate'] True ['customers', 'tasks']"]
