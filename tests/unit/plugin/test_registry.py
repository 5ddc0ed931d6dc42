from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import msgspec
import pytest

from crm_core.errors import SetupError
from crm_core.model.record_members import Line, RecordId
from crm_core.plugin import hookimpl
from crm_core.plugin.host import PluginHost
from crm_core.plugin.payload import PayloadType, secret
from crm_core.plugin.record_type import RecordType, Reference
from crm_core.plugin.registry import Registry, build_registry
from crm_core.plugin.signature import SignatureScheme
from crm_core.plugin.storage import StorageBackend


class Visit(msgspec.Struct, forbid_unknown_fields=True):
    name: Line


class Section(msgspec.Struct, forbid_unknown_fields=True):
    provider: str | msgspec.UnsetType = msgspec.UNSET


def payload_type(name: Any, section: type[msgspec.Struct] | None = Section) -> PayloadType:
    """A payload type of that name."""
    return type("Made", (PayloadType,), {"NAME": name, "SECTION": section})()


def record_type(name: str) -> RecordType:
    """A record type of that name."""
    return type("Made", (RecordType,), {"NAME": name, "TITLE": name, "SINGULAR": name, "RECORD": Visit})()


def registry(**plugins: tuple[str, Any]) -> Registry:
    """The registry that a host builds of these plugins, each of one hook and its answer."""
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


@pytest.mark.parametrize(
    "answer", [["telephony"], [PayloadType], [record_type("visits")]], ids=["a name", "a class", "a record type"]
)
def test_something_else_than_a_payload_type_is_refused(answer: Any) -> None:
    """A hook that returns the wrong kind of thing is reported with what it should return."""
    assert "PayloadType" in refused(x=(TYPES, answer))


def test_a_name_that_is_no_text_names_its_plugin() -> None:
    """A list as NAME, which cannot be looked up among the others, is one fault like any."""
    assert "plugin x: the NAME of a payload type" in refused(x=(TYPES, [payload_type(["a", "list"])]))


@pytest.mark.parametrize("words", [5, "", None])
def test_a_record_type_has_titles(words: Any) -> None:
    """Operations and pages are named by them when the server starts."""
    visits = record_type("visits")
    type(visits).SINGULAR = words
    assert "SINGULAR of visits is a text" in refused(x=("crm_register_record_types", [visits]))


def _unreadable(_self: object) -> None:
    raise OSError("no members")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"RECROD": Visit}, "RECORD of visits is missing; name the msgspec.Struct"),
        ({"RECORD": Visit, "MODULE": 5}, "MODULE of visits is the name of a module; 5 is not"),
        ({"RECORD": Visit, "MODULE": "Field trips"}, "MODULE of visits is the name of a module; 'Field trips' is not"),
        ({"RECORD": Visit, "members": property(_unreadable)}, "cannot be read: it raised OSError: no members"),
    ],
)
def test_a_record_type_that_cannot_be_used_names_its_plugin(members: dict[str, Any], words: str) -> None:
    """A misspelled declaration ends no command with a traceback."""
    named = {"NAME": "visits", "TITLE": "Visits", "SINGULAR": "Visit"}
    visits = type("Made", (RecordType,), {**named, **members})()
    said = refused(x=("crm_register_record_types", [visits]))
    assert said.startswith("plugin x: ")
    assert words in said


def test_a_plugin_that_brings_a_name_twice_is_not_said_to_be_two() -> None:
    """There is no other plugin to disable."""
    said = refused(x=(TYPES, [payload_type("talk"), payload_type("talk")]))
    assert "the payload type talk is registered by x already; give one another NAME" in said


def test_every_problem_is_reported_together() -> None:
    """Three wrong plugins are three lines."""
    said = refused(
        x=(TYPES, [payload_type("health")]), y=(TYPES, [payload_type("Y")]), z=("crm_register_record_types", [1])
    )
    assert len(said.splitlines()) == 3


def test_a_registration_that_raises_is_reported_with_its_cause() -> None:
    """An admin sees which plugin failed at start and what it raised."""
    said = refused(broken=(TYPES, 7))
    assert "plugin broken: crm_register_payload_types failed: it raised TypeError" in said


class Inner(msgspec.Struct):
    pin: Annotated[str, secret(bound_to=("nowhere",))]


class Wrong(msgspec.Struct, forbid_unknown_fields=True):
    word: str
    inner: Inner | msgspec.UnsetType = msgspec.UNSET


class Listed(msgspec.Struct, forbid_unknown_fields=True):
    pins: list[Annotated[str, secret()]] | msgspec.UnsetType = msgspec.UNSET


def test_faults_that_can_be_known_at_start_are_reported_together() -> None:
    """Each of them would otherwise show as a failure in a request, or as data that is lost in silence."""
    made = type("Made", (PayloadType,), {"NAME": "made", "SECTION": Wrong, "SHOWN": "everyone", "SCHEMA_VERSION": "2"})
    listed = type("Listed", (PayloadType,), {"NAME": "listed", "SECTION": Listed, "OPTIONS": dict})
    assert refused(x=(TYPES, [made(), listed()])).splitlines() == [
        "plugin x: SCHEMA_VERSION of made is a whole number from 1; '2' is not.",
        "plugin x: SHOWN of made is public, members or never; 'everyone' is not.",
        (
            "plugin x: SECTION.inner of made must have forbid_unknown_fields=True, or misspelled members are lost in "
            "silence."
        ),
        (
            "plugin x: the member word of made must be optional (`| UnsetType = UNSET`), since a merge starts from "
            "nothing; require it in validate."
        ),
        "plugin x: the secret inner.pin of made must be optional: it is stored apart from the section.",
        "plugin x: the secret inner.pin of made is bound to nowhere, which is no member next to it.",
        "plugin x: OPTIONS of listed is a msgspec.Struct or None.",
        "plugin x: SECTION of listed: pins: a secret must be a member of an object, not an item of a list or map.",
    ]


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        (("X-Made",), "names in lower case"),
        (("x made",), "names in lower case"),
        (("content-type",), "names content-type, which requests have without a signature"),
        ((), "a tuple with at least one header"),
        ("x-made", "a tuple with at least one header"),
    ],
)
def test_headers_that_no_request_could_have_are_refused(headers: Any, said: str) -> None:
    """Names arrive in lower case, and a header of HTTP itself would make each request one of this scheme."""
    members = {"NAME": "made", "HEADERS": headers, "SIGNS_INSTANCE": True}
    made = type("Made", (SignatureScheme,), {**members, **dict.fromkeys(("read", "matches", "sign"))})()
    assert said in refused(x=("crm_register_signature_schemes", [made]))


def test_a_reference_to_a_type_that_no_plugin_brings_is_refused() -> None:
    """Every record with it would be refused."""
    referring = msgspec.defstruct("Made", [("name", Line), ("boat_id", RecordId)], forbid_unknown_fields=True)
    members = {"NAME": "trips", "TITLE": "t", "SINGULAR": "t", "RECORD": referring}
    trips = type("Trips", (RecordType,), {**members, "REFERENCES": (Reference("boat_id", "boats"),)})()
    said = refused(x=("crm_register_record_types", [trips]))
    assert "plugin x: the member boat_id of trips refers to boats, which no plugin brings" in said


def test_a_backend_that_leaves_out_methods_is_refused() -> None:
    """They are named; a class that cannot be made would stop the start without a word of the plugin."""
    said = refused(x=("crm_register_storage_backends", [type("Half", (StorageBackend,), {"NAME": "half"})]))
    assert "plugin x: half leaves out backup, " in said


def test_a_plugin_whose_registration_failed_is_not_active() -> None:
    """It is listed as broken with its first fault; a plugin that can be used stays active."""
    host = PluginHost()
    for name, answer in {"bad": [payload_type("health")], "none": [None], "good": [payload_type("talk")]}.items():

        def returns(answer: Any = answer) -> Any:
            return answer

        host.register(SimpleNamespace(**{TYPES: hookimpl(returns)}), name)
    with pytest.raises(SetupError):
        build_registry(host)
    states = [(one.name, one.state) for one in host.plugins]
    assert states == [("bad", "broken"), ("good", "active"), ("none", "broken")]
    assert "health is a reserved name" in (host.plugins[0].error or "")


@pytest.mark.parametrize("kinds", ["public", (), ("public", "privat"), ["secret"], None])
def test_a_scheme_that_names_its_kinds_of_keys_wrongly_is_refused(kinds: Any) -> None:
    """It could be handed any key, or none, so it does not start; a text is no tuple of kinds."""
    members = {"NAME": "made", "HEADERS": ("x-made",), "SIGNS_INSTANCE": True, "KEY_KINDS": kinds}
    made = type("Made", (SignatureScheme,), {**members, **dict.fromkeys(("read", "matches", "sign"))})()
    said = refused(x=("crm_register_signature_schemes", [made]))
    assert "plugin x: KEY_KINDS of made is a tuple of secret or public" in said


@pytest.mark.parametrize(("kinds", "absent"), [(("public",), "matches_public"), (("secret", "public"), "sign_private")])
def test_a_scheme_without_the_methods_of_a_kind_is_refused(kinds: tuple[str, ...], absent: str) -> None:
    """A scheme that names a kind of keys has the methods for it: no method receives keys of another kind."""
    members = {"NAME": "made", "HEADERS": ("x-made",), "SIGNS_INSTANCE": True, "KEY_KINDS": kinds}
    made = type("Made", (SignatureScheme,), {**members, **dict.fromkeys(("read", "matches", "sign"))})()
    said = refused(x=("crm_register_signature_schemes", [made]))
    assert f"plugin x: made verifies public keys but has no {absent}; add it." in said


RACE = """
import sys, threading, msgspec
from unit.plugin.test_registry import TYPES, payload_type, registry
sys.setswitchinterval(1e-6)
unset = msgspec.UNSET
for _ in range(60):
    names = [(f"m{i}", dict[str, list[int]] | msgspec.UnsetType, unset) for i in range(30)]
    inner = msgspec.defstruct("Inner", names, forbid_unknown_fields=True)
    members = [("a", inner | msgspec.UnsetType, unset), ("z", int | msgspec.UnsetType, unset)]
    section = msgspec.defstruct("Outer", members, forbid_unknown_fields=True)
    registry(acme=(TYPES, [payload_type("telephony", section)]))
    start = threading.Barrier(6)
    threads = [threading.Thread(target=lambda: (start.wait(), msgspec.convert({"z": 1}, section))) for _ in range(6)]
    for each in threads: each.start()
    for each in threads: each.join()
"""


def test_the_first_use_of_a_section_is_safe_in_threads() -> None:
    """Threads that read a registered section for the first time at the same time do not crash the process."""
    done = subprocess.run([sys.executable, "-c", RACE], cwd=Path(__file__).parents[2], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
