"""A section after a push or a restore, and the facts of it that health reads."""

from __future__ import annotations

from typing import Any

import pytest

from crm_core.model.keys import Key
from crm_core.plugin.storage import Document
from crm_core.sync.catalog_gaps import catalog_gaps
from crm_core.sync.outcome import SectionOutcome
from crm_core.sync.section_facts import Named, SectionFacts, digest_of, facts_of_documents, read_facts
from crm_core.sync.sections import SEALED_FOR, Intent, changed_section, confirmed_section
from crm_core.workspace import Section
from crm_core.workspace.sealing import Sealer
from crm_core.workspace.section import PushConfirmation
from sync_world import World

SEALER = Sealer([b"k" * 32])
CONFIRMED = PushConfirmation(at="t2", payload_type="combined", version=6, request_id="r2", revision=9, key_version=2)
BEFORE = Section(
    name="branding", data={"title": "Old"}, sealed={"/old": "o", "/gone": "g"}, version=6, versions={1: 9, 2: 6},
    revision=5, applied_at="t1", request_id="r1", payload_type="branding", key_version=2, actor="key:2",
    history=(3, 4, 5), confirmed=CONFIRMED,
)  # fmt: skip
PUSH = Intent(
    payload_type="combined", version=8, request_id="r3", applied_at="t3", actor="key:2", key_version=2, fingerprint="f"
)
RESTORE = Intent(payload_type="branding", version=3, request_id="r3", applied_at="t3", actor="user:1", key_version=None)


def changed(before: Section | None, intent: Intent, **known: Any) -> Section:
    outcome = SectionOutcome(
        name="branding", prefix="", before=before, data={"title": "New"}, typed=None, new_secrets={"/new": "text"},
        old_secrets={"/old": "o"}, findings=(), required=(), schema=3,
    )  # fmt: skip
    return changed_section(outcome, 10, intent, SEALER, **{"keep": 3, "revoked": set(), **known})


def made(section: Section) -> dict[str, Any]:
    """The members, the new secret opened."""
    members = {name: getattr(section, name) for name in Section.__struct_fields__}
    members["sealed"] = {**section.sealed, "/new": SEALER.open(SEALED_FOR, section.sealed["/new"])}
    return members


NEW = {
    "name": "branding", "data": {"title": "New"}, "sealed": {"/old": "o", "/new": "text"}, "revision": 10,
    "applied_at": "t3", "request_id": "r3", "schema": 3,
}  # fmt: skip


def test_a_push_changes_a_section() -> None:
    """It has the push's version, also under its key, and no confirmation; the oldest revision goes."""
    assert made(changed(BEFORE, PUSH)) == {
        **NEW, "version": 8, "versions": {1: 9, 2: 8}, "payload_type": "combined", "key_version": 2, "actor": "key:2",
        "history": (4, 5, 10), "confirmed": None,
    }  # fmt: skip


def test_a_push_makes_a_section() -> None:
    """The first one has one version and one revision."""
    assert made(changed(None, PUSH)) == {
        **NEW, "version": 8, "versions": {2: 8}, "payload_type": "combined", "key_version": 2, "actor": "key:2",
        "history": (10,), "confirmed": None,
    }  # fmt: skip


def test_a_restore_takes_no_version() -> None:
    """The section stays at the version that was accepted last, with its confirmation."""
    assert made(changed(BEFORE, RESTORE)) == {
        **NEW, "version": 6, "versions": {1: 9, 2: 6}, "payload_type": "branding", "key_version": None,
        "actor": "user:1", "history": (4, 5, 10), "confirmed": CONFIRMED,
    }  # fmt: skip
    assert made(changed(None, RESTORE))["version"] == 3


@pytest.mark.parametrize(("version", "highest"), [(5, 6), (6, 6), (7, 7)])
def test_the_highest_version_of_a_key_counts(version: int, highest: int) -> None:
    """A lower one, which a revoked key's may allow, lowers no key's."""
    push = Intent(payload_type="b", version=version, request_id="r", applied_at="t", actor="key:2", key_version=2)
    assert changed(BEFORE, push).versions == {1: 9, 2: highest}


def test_versions_of_a_revoked_key_go() -> None:
    """They no longer count, however high they are."""
    assert changed(BEFORE, PUSH, revoked={1}).versions == {2: 8}
    assert confirmed_section(BEFORE, 11, PUSH, fingerprint="f", revoked={1}).versions == {2: 8}


def test_a_push_confirms_a_section() -> None:
    """It takes the version and the confirmation; all that it is stays."""
    found = confirmed_section(BEFORE, 11, PUSH, fingerprint="of it", revoked=set())
    members = {name: getattr(found, name) for name in Section.__struct_fields__}
    confirmed = PushConfirmation(
        at="t3", payload_type="combined", version=8, request_id="r3", revision=11, key_version=2, fingerprint="of it"
    )
    before = {name: getattr(BEFORE, name) for name in Section.__struct_fields__}
    assert members == {**before, "version": 8, "versions": {1: 9, 2: 8}, "confirmed": confirmed}


async def test_the_facts_of_stored_sections(world: World) -> None:
    """The newest push, and the modules and roles that each section names, also by way of a digest."""
    data = {
        "plan": {"code": "c", "name": "C", "features": ["customers.*", "deals.view"]},
        "roles": {"viewer": {"deny": ["tasks.view"]}, "agent": {"grant": ["customers.view"]}},
    }
    await world.services.receiver.receive(world.push(data, kind="features"))
    world.clock.forward(1)
    await world.services.receiver.receive(world.push({"title": "N"}))
    documents = (await world.backend.view("northwind", None)).documents or ()
    calls = world.services.registry.calls
    facts = facts_of_documents(documents, calls)
    assert facts.named == {
        "branding": Named(), "features": Named(("customers", "deals", "tasks"), ("agent", "viewer"))
    }  # fmt: skip
    assert facts.last_accepted is not None
    assert (facts.last_accepted.payload_type, facts.last_accepted.revision) == ("branding", 2)
    assert read_facts(digest_of(calls)(documents)) == facts
    assert facts_of_documents((), calls) == SectionFacts()
    assert digest_of(calls)((Document("sections", "branding", 1, b"[]"),)) == b""


def test_names_that_the_catalog_lacks() -> None:
    """A sentence for each section and kind of name; of those alone that a key may push, if there is one."""
    facts = SectionFacts(named={"x": Named((), ("r",)), "features": Named(("a", "b", "c"), ("r", "s"))})
    last = "The section x names `r`, unknown to roles.yaml. Add it there, or push x without it."
    assert list(catalog_gaps(facts, {"b"}, {"s"})) == [
        "The section features names `a`, `c`, unknown to modules.yaml. Add it there, or push features without it.",
        "The section features names `r`, unknown to roles.yaml. Add it there, or push features without it.",
        last,
    ]
    assert list(catalog_gaps(facts, {"b"}, {"s"}, Key(1, b"k" * 32, types=frozenset({"x"})))) == [last]


FAILS = """
import msgspec
from msgspec import UNSET, UnsetType
from crm_core.plugin import hookimpl
from crm_core.plugin.payload import PayloadType

class Section(msgspec.Struct, forbid_unknown_fields=True):
    name: str | UnsetType = UNSET

class Type(PayloadType):
    NAME = "talk"
    SECTION = Section

    def modules(self, part):
        if part.name == "later":
            raise RuntimeError("secret")
        return []

@hookimpl
def crm_register_payload_types():
    return [Type()]
"""


async def test_a_plugin_that_fails_names_nothing(worlds: Any) -> None:
    """Health does not fail because of it."""
    world = await worlds(plugin=FAILS)
    await world.services.receiver.receive(world.push({"name": "now"}, kind="talk"))
    documents = (await world.backend.view("northwind", None)).documents
    calls = world.services.registry.calls
    assert facts_of_documents(documents, calls).named == {"talk": Named()}
    (document,) = documents
    later = Document("sections", "talk", 1, document.body.replace(b'"now"', b'"later"'))
    assert facts_of_documents((later,), calls).named == {"talk": Named()}
