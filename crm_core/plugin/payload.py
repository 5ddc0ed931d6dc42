"""Payload types: what a push may carry. A payload type is pure; the core stores, merges, seals and shows.

A complete payload type, with a secret::

    class Telephony(PayloadType):
        NAME = "telephony"
        SHOWN = "members"

        class Section(msgspec.Struct, forbid_unknown_fields=True):
            provider: Annotated[str, msgspec.Meta(max_length=200)] | msgspec.UnsetType = msgspec.UNSET
            api_key: Annotated[str, secret(bound_to=("provider",))] | msgspec.UnsetType = msgspec.UNSET

        SECTION = Section

A push of ``telephony`` then sets the section of that name, and ``combined`` carries it too.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any, ClassVar, Literal

import msgspec

from crm_core.errors import Finding
from crm_core.model.catalog import Catalog
from crm_core.model.entitlements import Entitlements
from crm_core.model.presentation import Appearance, MailSettings, Regional
from crm_core.plugin.class_help import class_help

__all__ = [
    "Appearance",
    "Entitlements",
    "Finding",
    "MailSettings",
    "PayloadContext",
    "PayloadType",
    "Regional",
    "secret",
]


def secret(*, bound_to: tuple[str, ...] = (), **meta: Any) -> msgspec.Meta:
    """Mark a text member as secret: sealed at rest, shown as ``{"set": true}``, in no log.

    ``bound_to``: sibling members that say where the secret goes. A merge that leaves the secret out while one of them
    changes is refused with ``{member}_required``, or the secret would follow to a new place. Other keywords are
    msgspec.Meta's.
    """
    return msgspec.Meta(**meta, extra={"secret": True, "bound_to": bound_to})


class PayloadContext(msgspec.Struct, frozen=True, kw_only=True):
    """The facts that a payload type gets: the catalog, the names of roles, its options, and the current sections.

    All of it is read-only or a copy. ``current``: the data of each section, secrets as ``{"set": true}``. ``secrets``:
    pointers of the secrets that the section has after this push, whether sent or retained. ``proposed``: the data of
    each section as this push would leave it, those of a combined push too; an invalid one as it is now.
    """

    catalog: Catalog
    roles: frozenset[str]
    options: Any
    limits: frozenset[str]  # names that a limit may carry: the record types, and users
    current: Mapping[str, Mapping[str, Any]] = {}
    secrets: frozenset[str] = frozenset()
    proposed: Mapping[str, Mapping[str, Any]] = {}
    available_modules: Callable[[], Container[str]] = frozenset  # derived when it is first needed

    def available(self, module: str) -> bool:
        """Whether a module would be available after this push, judged by ``proposed``."""
        return module in self.available_modules()


class PayloadType(ABC):
    """A payload type. ``SECTION`` is the type of its section's data; None if it only carries other types' parts.

    ``SHOWN``: who sees the section in bootstrap: ``public`` (anyone), ``members`` (callers of the tenant), ``never``.
    ``OPTIONS``: the type of the member of instance.yaml named as the payload type, if it has one.
    Members of SECTION are optional (UNSET); a null in a payload counts as absent before the type sees it.
    ``SCHEMA_VERSION``: raise it when SECTION no longer reads what earlier versions stored, and write ``upgrade``.
    ``EXAMPLE``: data that the sync console offers as a first push.

    The core knows no section by its name. What one means beyond its data, its type says in ``entitlements``,
    ``appearance``, ``regional`` and ``mail_server``; each receives an instance of SECTION without its secrets.
    """

    NAME: ClassVar[str]
    SECTION: ClassVar[type[msgspec.Struct] | None] = None
    SHOWN: ClassVar[Literal["public", "members", "never"]] = "never"
    OPTIONS: ClassVar[type[msgspec.Struct] | None] = None
    SCHEMA_VERSION: ClassVar[int] = 1
    EXAMPLE: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        """Let help() show the declarations and the members."""
        super().__init_subclass__()
        cls.__doc__ = class_help(cls, ("NAME", "SHOWN"), "SECTION")

    def upgrade(self, data: dict[str, Any], from_version: int) -> Mapping[str, Any]:
        """The data of a section that an earlier ``SCHEMA_VERSION`` stored, as this one reads it; plain JSON.

        A secret is an object ``{"set": true, "at": "/its/pointer"}``: move it as it is, or leave it out to drop it. It
        runs each time the section is read; the next push that changes the section stores the outcome.
        """
        return data

    def split(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """The parts of a push by section. Default: all of it is this type's own section."""
        return {self.NAME: data}

    def validate(self, part: Any, context: PayloadContext) -> Iterable[Finding]:
        """Findings on a part (an instance of SECTION) that its type cannot say; pointers are into the part."""
        return ()

    def modules(self, part: Any) -> Iterable[tuple[str, str]]:
        """Every module or feature key the part names, as (pointer, name), for the module policy."""
        return ()

    def entitlements(self, part: Any) -> Entitlements | None:
        """The section's effect on modules and rights; None if it has none."""
        return None

    def appearance(self, part: Any) -> Appearance | None:
        """The look of pages and emails. Of several types the first by NAME decides, member by member."""
        return None

    def regional(self, part: Any) -> Regional | None:
        """How times, numbers and money are written. Of several types the first by NAME decides, member by member."""
        return None

    def mail_server(self, part: Any) -> MailSettings | None:
        """The server that sends emails. Of several types the first by NAME that returns one decides."""
        return None
