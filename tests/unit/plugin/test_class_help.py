from __future__ import annotations

import pydoc
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from crm_core.model.record_members import Line
from crm_core.plugin.payload import PayloadType, secret
from crm_core.plugin.record_type import RecordType


class Stop(Struct, forbid_unknown_fields=True):
    town: Line


class Trip(Struct, forbid_unknown_fields=True, kw_only=True):
    name: Line
    kind: Literal["sea", "land"] = "sea"
    seats: int | None = None
    stops: list[Stop] = []


class Trips(RecordType):
    """Trips by boat."""

    NAME, TITLE, SINGULAR, RECORD = "trips", "Trips", "Trip", Trip


class Harbor(Struct, forbid_unknown_fields=True):
    berth: Annotated[str, Meta(description="a berth such as A7")] | UnsetType = UNSET
    code: Annotated[str, secret()] | UnsetType = UNSET


class HarborType(PayloadType):
    NAME = "harbor"
    SECTION = Harbor
    SHOWN = "public"


def test_help_shows_declarations_and_members() -> None:
    """The own docstring, the declarations, and each member with its type, those of rows below their list."""
    shown = pydoc.render_doc(Trips, renderer=pydoc.plaintext)
    for line in ("Trips by boat.", "NAME = 'trips'", "kind: sea | land", "seats: int or null", "stops: list of object"):
        assert f" |  {line}\n" in shown or f" |    {line}\n" in shown
    assert " |      town: text of 1 to 200 characters on one line, required\n" in shown


def test_help_marks_secrets() -> None:
    """A type without a docstring is named; a secret member says that it is one."""
    shown = pydoc.render_doc(HarborType, renderer=pydoc.plaintext)
    for line in ("HarborType.", "SHOWN = 'public'", "  berth: a berth such as A7", "  code: str (secret)"):
        assert f" |  {line}\n" in shown
