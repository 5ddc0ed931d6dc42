from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from crm_core.errors import SetupError
from crm_core.model.record_members import Line
from crm_core.plugin import hookimpl
from crm_core.plugin.host import PluginHost
from crm_core.plugin.payload import PayloadType
from crm_core.plugin.record_type import RecordType
from crm_core.plugin.registry import Registry, build_registry
from crm_core.plugin.signature import SignatureScheme


class Visit(msgspec.Struct, forbid_unknown_fields=True):
    name: Line


class Section(msgspec.Struct):
    provider: str | msgspec.UnsetType = msgspec.UNSET


def payload_type(name: Any, section: type[msgspec.Struct] | None = Section) -> PayloadType:
    """A payload type of that name."""
    return type("Made", (PayloadType,), {"NAME": name, "SECTION": section})()


def record_type(name: str) -> RecordType:
    """A record type of that name."""
    return type("Made", (RecordType,), {"NAME": name, "TITLE": name, "SINGULAR": name, "RECORD": Visit})()


def registry(**plugins: tuple[str, Any]) -> Registry:
    """What a host with these plugins, each of one hook and its answer, builds."""
    host = PluginHost()
    for name, (hook, answer) in plugins.items():

        def returns(answer: Any = answer) -> Any:
            return answer

        host.register(SimpleNamespace(**{hook: hookimpl(returns)}), name)
    return build_registry(host)


def refused(**plugins: tuple[str, Any]) -> str:
    """Why these plugins cannot start together."""
    with pytest.raises(SetupError) as caught:
        registry(**plugins)
    return str(caught.value)


TYPES = "crm_register_payload_types"


def test_what_plugins_bring_is_found_by_name() -> None:
    """Items are keyed and sorted by NAME, owners are known, carriers have no section."""
    built = registry(phone=(TYPES, [payload_type("telephony")]), all=(TYPES, [payload_type("both", None)]))
    assert list(built.payload_types) == ["both", "telephony"]
    assert list(built.sections) == ["telephony"]
    assert built.owners["payload type", "telephony"] == "phone"


def test_two_plugins_of_one_payload_type_are_both_named() -> None:
    """A clash names the newcomer and the one that has the name."""
    said = refused(one=(TYPES, [payload_type("telephony")]), two=(TYPES, [payload_type("telephony")]))
    assert "one" in said
    assert "two" in said
    assert "telephony is registered by" in said


@pytest.mark.parametrize("name", ["health", "log", "history"])
def test_names_of_routes_are_reserved_for_payload_types(name: str) -> None:
    """A payload type cannot shadow a route of sync."""
    assert f"{name} is a reserved name" in refused(x=(TYPES, [payload_type(name)]))


@pytest.mark.parametrize("name", ["sync", "bootstrap", "auth", "settings", "events", "user", "users"])
def test_names_of_routes_are_reserved_for_record_types(name: str) -> None:
    """A record type cannot shadow a route of the API."""
    assert f"{name} is a reserved name" in refused(x=("crm_register_record_types", [record_type(name)]))


@pytest.mark.parametrize("name", ["", "Telephony", "../x", "a/b", "1st", "x" * 65, None])
def test_a_name_that_does_not_fit_an_address_is_refused(name: Any) -> None:
    """Names become parts of addresses and have their form."""
    assert "the NAME of a payload type" in refused(x=(TYPES, [payload_type(name)]))


@pytest.mark.parametrize("answer", [["telephony"], [PayloadType], [record_type("visits")]], ids=repr)
def test_something_else_than_a_payload_type_is_refused(answer: Any) -> None:
    """A hook that returns the wrong kind of thing is reported with what it should return."""
    assert "PayloadType" in refused(x=(TYPES, answer))


def test_every_problem_is_reported_together() -> None:
    """Three wrong plugins are three lines."""
    said = refused(
        x=(TYPES, [payload_type("health")]), y=(TYPES, [payload_type("Y")]), z=("crm_register_record_types", [1])
    )
    assert len(said.splitlines()) == 3


def test_a_registration_that_raises_is_reported_with_its_cause() -> None:
    """An admin sees which plugin failed at start and what it raised."""
    said = refused(broken=(TYPES, 7))
    assert "broken failed in crm_register_payload_types" in said
    assert "TypeError" in said


@pytest.mark.parametrize("kinds", ["public", (), ("public", "privat"), ["secret"], None])
def test_a_scheme_that_names_its_kinds_of_keys_wrongly_is_refused(kinds: Any) -> None:
    """It could be handed any key, or none, so it does not start; a text is no tuple of kinds."""
    members = {"NAME": "made", "HEADERS": ("x-made",), "SIGNS_INSTANCE": True, "KEY_KINDS": kinds}
    made = type("Made", (SignatureScheme,), {**members, **dict.fromkeys(("read", "matches", "sign"))})()
    said = refused(x=("crm_register_signature_schemes", [made]))
    assert "plugin x: KEY_KINDS of made is a tuple of secret or public" in said
