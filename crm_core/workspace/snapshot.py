"""The workspace of a tenant at one revision, as an immutable value."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import msgspec

from crm_core.model.catalog import Catalog, Roles
from crm_core.model.entitlements import Combined, Entitlements, combine
from crm_core.model.modules import TenantModules, derive_modules
from crm_core.model.presentation import Appearance, MailSettings, Regional, first_of
from crm_core.model.recent import cached
from crm_core.plugin.payload_calls import PayloadCalls
from crm_core.plugin.unit import Document, WorkspaceAt
from crm_core.workspace.reading import Reading, SectionFault, read_section
from crm_core.workspace.section import Acceptance, Section


class Workspace(msgspec.Struct, frozen=True, dict=True, weakref=True):
    """A tenant's workspace. ``generation`` is that of the configuration it was derived with.

    ``readings``: every stored section, readable or not. ``combined``: the entitlements of all sections as one.
    """

    tenant: str
    revision: int
    generation: int
    catalog: Catalog
    roles: Roles
    readings: Mapping[str, Reading]
    entitlements: Entitlements
    modules: TenantModules
    combined: Combined = msgspec.field(default_factory=Combined)
    epoch: str = ""

    @cached
    def sections(self) -> Mapping[str, Section]:
        """Every stored section by name, as read, or as stored if it cannot be read."""
        return {name: reading.best for name, reading in self.readings.items()}

    @cached
    def readable(self) -> Mapping[str, Section]:
        """The sections that can be read."""
        return {name: reading.section for name, reading in self.readings.items() if reading.section is not None}

    @cached
    def faults(self) -> tuple[SectionFault, ...]:
        """Why sections cannot be read."""
        return tuple(reading.fault for reading in self.readings.values() if reading.fault is not None)

    @property
    def unchanged(self) -> WorkspaceAt:
        """The expectation of a unit that was made for this workspace."""
        return WorkspaceAt(self.revision, self.epoch)

    def withholds(self, capability: str) -> bool:
        """Whether a section that cannot be read is of a type with this capability."""
        return any(capability in fault.withholds for fault in self.faults)

    @cached
    def appearance(self) -> Appearance:
        """The look of pages and emails: each member from the first section by name that gives it."""
        return first_of((reading.meaning.appearance for reading in self.readings.values()), Appearance())

    @cached
    def regional(self) -> Regional:
        """The way times and money are written: each member from the first section by name that gives it."""
        return first_of((reading.meaning.regional for reading in self.readings.values()), Regional())

    @cached
    def mail_server(self) -> tuple[MailSettings, Section] | None:
        """The mail server of the first section by name that has one; None while one that may have it cannot be read."""
        if self.withholds("mail_server"):
            return None
        for reading in self.readings.values():
            if reading.meaning.mail_server is not None:
                return reading.meaning.mail_server, reading.best
        return None

    @cached
    def last_accepted(self) -> Acceptance | None:
        """The newest push or restore, whether it changed a section or not; None before the first."""
        return newest_acceptance(self.sections.values())

    @cached
    def rights(self) -> dict[Hashable, frozenset[str]]:
        """The cache of ``keys_of``."""
        return {}

    @property
    def plan_name(self) -> str:
        """The name of the pushed plan, or of the default plan of the catalog."""
        return (self.entitlements.plan or self.catalog.default_plan).name

    @property
    def suspended(self) -> bool:
        """Whether the subscription's state stops record writes."""
        subscription = self.entitlements.subscription
        return subscription is not None and subscription.state == "suspended"

    def module_states(self) -> dict[str, str]:
        """Every module of the catalog with ``available`` or ``unavailable``."""
        return dict(self.modules.wire_states)


def newest_acceptance(sections: Iterable[Section]) -> Acceptance | None:
    """The newest push or restore of any of the sections; None if there is none."""
    return max((section.accepted for section in sections), key=lambda accepted: accepted.revision, default=None)


def read_sections(documents: Iterable[Document]) -> dict[str, Section]:
    """Sections by name from their documents."""
    return {document.id: msgspec.json.decode(document.body, type=Section) for document in documents}


def derive_workspace(
    tenant: str,
    revision: int,
    stored: Mapping[str, Section],
    calls: PayloadCalls,
    *,
    generation: int,
    catalog: Catalog,
    roles: Roles,
    before: Workspace | None = None,
    epoch: str = "",
    shared: Mapping[str, Any] = {},
) -> Workspace:
    """The workspace of stored sections, catalog and roles.

    ``before``: an earlier one of the tenant, whose readings and modules are reused if they are still right.
    ``shared``: instances of sections that were just checked, as for ``read_section``.
    """
    readings: dict[str, Reading] = {}
    known = before.readings if before is not None else {}
    grants_as_before = before is not None and before.catalog is catalog and known.keys() <= stored.keys()
    for name, section in sorted(stored.items()):
        earlier = known.get(name)
        if earlier is not None and earlier.stored is section:
            readings[name] = earlier
            continue
        readings[name] = reading = read_section(section, calls, shared.get(name))
        grants_as_before = grants_as_before and reading.grants_as(earlier)
    if before is not None and grants_as_before:
        combined, modules = before.combined, before.modules
    else:
        said = {name: reading.meaning.entitlements for name, reading in readings.items()}
        combined = combine((name, one) for name, one in said.items() if one is not None)
        faults = [reading.fault for reading in readings.values() if reading.fault is not None]
        unreadable = any("entitlements" in fault.withholds for fault in faults)
        modules = derive_modules(catalog, combined.entitlements, unreadable=unreadable)
    return Workspace(
        tenant, revision, generation, catalog, roles, readings, combined.entitlements, modules, combined, epoch
    )
