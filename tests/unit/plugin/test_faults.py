"""Items that plugins register are looked at before anything depends on them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from crm_core.plugin.faults import faults_of
from crm_core.plugin.payload import PayloadType


class Here(msgspec.Struct, forbid_unknown_fields=True):
    street: str = ""


class There(msgspec.Struct, forbid_unknown_fields=True):
    planet: str = ""


class Opaque:
    """A class that JSON does not know."""


def section(type_: Any) -> type[msgspec.Struct]:
    """A section with one member of this type."""
    return msgspec.defstruct("Section", [("at", type_ | msgspec.UnsetType, msgspec.UNSET)], forbid_unknown_fields=True)


def payload_type(**members: Any) -> PayloadType:
    """A payload type with these members."""
    return type("Made", (PayloadType,), {"NAME": "telephony", "SECTION": section(str), **members})()


def test_what_json_has_is_no_fault() -> None:
    """An object of one kind, any value, and an example that is plain JSON."""
    assert faults_of(payload_type(SECTION=section(dict[str, object])), "payload type", PayloadType) == []
    assert faults_of(payload_type(SECTION=section(Here), EXAMPLE={"at": {}}), "payload type", PayloadType) == []


@pytest.mark.parametrize("member", ["SECTION", "OPTIONS"])
@pytest.mark.parametrize(("type_", "words"), [(Here | There, "multiple Struct types"), (Opaque, "custom types")])
def test_types_without_a_form_in_json_are_refused(member: str, type_: Any, words: str) -> None:
    """Otherwise no push of the section could be read, and the instance would have no OpenAPI document."""
    (fault,) = faults_of(payload_type(**{member: section(type_)}), "payload type", PayloadType)
    assert fault.startswith(f"{member} of telephony cannot be read from JSON")
    assert words in fault


@pytest.mark.parametrize("example", [5, {"at": {1, 2}}, {1: "x"}])
def test_an_example_is_data_of_a_push(example: Any) -> None:
    """The sync console shows it as JSON, for every payload type on one page."""
    (fault,) = faults_of(payload_type(EXAMPLE=example), "payload type", PayloadType)
    assert fault.startswith("EXAMPLE of telephony")


class Unreadable(PayloadType):
    """Its members raise, and so does its repr."""

    SECTION = None

    @property
    def NAME(self) -> str:  # type: ignore[override]  # noqa: N802
        raise RuntimeError("no licence")

    def __repr__(self) -> str:
        raise RuntimeError("no words")


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(("item", "words"), [(Unreadable(), "no licence"), (Mute(), "no words")])
def test_an_item_that_raises_when_it_is_read_is_a_fault(item: object, words: str) -> None:
    """It ends no command with a traceback that names no plugin."""
    (fault,) = faults_of(item, "payload type", PayloadType)
    assert f"it raised RuntimeError: {words}" in fault
