"""The workspace of a tenant at one revision: nothing in it changes, and nothing in it is stored that can be derived."""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from crm_core.errors import PluginFailed
from crm_core.model.canonical import sha256_of
from crm_core.model.catalog import Catalog, Roles
from crm_core.model.entitlements import Entitlements
from crm_core.model.frozen import frozen
from crm_core.model.modules import TenantModules, derive_modules
from crm_core.model.secret_members import secret_members, without_secrets
from crm_core.plugin.payload import PayloadType
from crm_core.plugin.unit import Document, Put

SECTIONS = "sections"  # the collection of section documents; storage backends hand it over with the view


class Acceptance(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted push or restore: when, which request, and the workspace's revision after it."""

    at: str
    payload_type: str
    version: int
    request_id: str
    revision: int
    key_version: int | None = None


class PushConfirmation(Acceptance, frozen=True, kw_only=True):
    """A push that left a section as it is. ``fingerprint``: of its payload, empty if a history entry has it."""

    fingerprint: str = ""


class Section(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A section as stored. ``data`` shows secrets as ``{"set": true}``; ``sealed`` has them by RFC 6901 pointer.

    ``version``: of the last accepted push or restore. ``versions``: the highest version accepted by key version, for
    the floor. ``revision``, ``applied_at``, ``request_id``, ``payload_type``, ``key_version`` and ``actor`` are of the
    push or restore that made it what it is; ``confirmed`` is the last push that left it as it is, if no push changed
    it since. ``history`` lists the retained revisions, oldest first.
    """

    name: str
    data: dict[str, Any]
    sealed: dict[str, str] = {}
    version: int
    versions: dict[int, int] = {}
    revision: int
    applied_at: str
    request_id: str
    payload_type: str
    key_version: int | None = None
    actor: str = ""
    history: tuple[int, ...] = ()
    confirmed: PushConfirmation | None = None

    def __post_init__(self) -> None:
        """Freeze the data: plugins receive it as it is."""
        msgspec.structs.force_setattr(self, "data", frozen(self.data))

    def floor(self, revoked: Container[int]) -> int:
        """The highest version accepted under any key that is not revoked; 0 if there is none."""
        return max((version for key, version in self.versions.items() if key not in revoked), default=0)

    @property
    def accepted(self) -> Acceptance:
        """The last push or restore of this section, whether it changed the section or not."""
        if self.confirmed is not None and self.confirmed.revision > self.revision:
            return self.confirmed
        return Acceptance(
            at=self.applied_at,
            payload_type=self.payload_type,
            version=self.version,
            request_id=self.request_id,
            revision=self.revision,
            key_version=self.key_version,
        )

    @property
    def restored(self) -> bool:
        """Whether a restore changed the section since the last push."""
        return self.key_version is None and (self.confirmed is None or self.confirmed.revision < self.revision)

    @cached_property
    def sha256(self) -> str:
        """The hash of the section as it is shown, so that a platform sees drift without pushing."""
        return sha256_of(self.data)

    def put(self) -> Put:
        """The section as the store takes it."""
        return Put(SECTIONS, self.name, msgspec.json.encode(self))


@dataclass(frozen=True)
class Workspace:
    """A tenant's workspace. ``generation`` is that of the configuration it was derived with."""

    tenant: str
    revision: int
    generation: int
    catalog: Catalog
    roles: Roles
    sections: Mapping[str, Section]
    entitlements: Entitlements
    modules: TenantModules

    @cached_property
    def last_accepted(self) -> Acceptance | None:
        """The newest push or restore, whether it changed a section or not; None before the first."""
        return newest_acceptance(self.sections.values())

    @cached_property
    def rights(self) -> dict[Hashable, frozenset[str]]:
        """What ``rights`` has worked out for callers under this very workspace; it goes when the workspace does."""
        return {}

    @property
    def plan_name(self) -> str:
        """The name of the pushed plan, or of the default plan of the catalog."""
        return (self.entitlements.plan or self.catalog.default_plan).name

    @property
    def suspended(self) -> bool:
        """Whether the subscription's state stops record writes."""
        said = self.entitlements.subscription
        return said is not None and said.state == "suspended"

    def module_states(self) -> dict[str, str]:
        """Every module of the catalog with ``available`` or ``unavailable``."""
        return dict(self.modules.words)


def newest_acceptance(sections: Iterable[Section]) -> Acceptance | None:
    """The newest push or restore of any of the sections; None if there is none."""
    return max((section.accepted for section in sections), key=lambda accepted: accepted.revision, default=None)


def read_sections(documents: Iterable[Document]) -> dict[str, Section]:
    """Sections by name from their documents."""
    return {document.id: msgspec.json.decode(document.body, type=Section) for document in documents}


def derive_workspace(
    tenant: str,
    revision: int,
    sections: Mapping[str, Section],
    types: Mapping[str, PayloadType],
    *,
    generation: int,
    catalog: Catalog,
    roles: Roles,
    before: Workspace | None = None,
) -> Workspace:
    """The workspace that sections, catalog and roles make. Raises PluginFailed if a type cannot read its section.

    ``before``: one of the same tenant, whose modules stay where nothing that they follow from has changed.
    """
    said = [_entitlements(types[name], section) for name, section in sorted(sections.items()) if name in types]
    entitlements = combined(one for one in said if one is not None)
    if before is not None and before.catalog is catalog and before.entitlements == entitlements:
        modules = before.modules
    else:
        modules = derive_modules(catalog, entitlements)
    return Workspace(tenant, revision, generation, catalog, roles, sections, entitlements, modules)


def combined(said: Iterable[Entitlements]) -> Entitlements:
    """What several sections say, as one: the first plan and subscription, all maps together."""
    whole = Entitlements()
    for one in said:
        whole = Entitlements(
            plan=whole.plan or one.plan,
            overrides={**one.overrides, **whole.overrides},
            modules={**one.modules, **whole.modules},
            roles={**one.roles, **whole.roles},
            limits={**one.limits, **whole.limits},
            subscription=whole.subscription or one.subscription,
        )
    return whole


def _entitlements(payload_type: PayloadType, section: Section) -> Entitlements | None:
    if type(payload_type).entitlements is PayloadType.entitlements:
        return None  # the section says nothing about modules and rights
    try:
        bare = without_secrets(section.data, secret_members(payload_type.SECTION))
        return payload_type.entitlements(msgspec.convert(bare, payload_type.SECTION))
    except Exception as error:  # foreign code may raise anything; it is named
        # A section that its own type cannot read must not silently give other rights than it says.
        raise PluginFailed(
            f"The payload type {payload_type.NAME} cannot read its stored section; the server's log has the cause.",
            plugin=payload_type.NAME,
        ) from error
