"""Stored sections that name modules or roles which the admin's files no longer have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from crm_core.model.keys import Key
from crm_core.model.patterns import module_of
from crm_core.model.secret_members import secret_members, without_secrets
from crm_core.plugin.payload import PayloadType
from crm_core.workspace import Section, Workspace


def catalog_gaps(workspace: Workspace, types: Mapping[str, PayloadType], key: Key | None = None) -> Iterator[str]:
    """A sentence for each section that names something of which the catalog or the roles know nothing.

    Such names have no effect. They are usually a slip in modules.yaml or roles.yaml, after which users miss a module.
    ``key``: of a signed request; only the sections that it may push are looked at.
    """
    for name, section in sorted(workspace.sections.items()):
        if name not in types or (key is not None and not key.admits(name)):
            continue
        modules, roles = _unknown(workspace, section, types[name])
        for what, names, file in (("module", modules, "modules.yaml"), ("role", roles, "roles.yaml")):
            if names:
                shown = ", ".join(f"`{each}`" for each in sorted(names))
                things = f"the {what} {shown}" if len(names) == 1 else f"the {what}s {shown}"
                yield f"The section {name} names {things}, unknown to {file}. Add it there, or push {name} without it."


def _unknown(workspace: Workspace, section: Section, payload_type: PayloadType) -> tuple[set[str], set[str]]:
    try:
        bare = without_secrets(section.data, secret_members(payload_type.SECTION))
        part = msgspec.convert(bare, payload_type.SECTION)
        named = {module_of(name) for _, name in payload_type.modules(part)}
        said = payload_type.entitlements(part)
    except Exception:  # noqa: BLE001 -- foreign code may raise anything; health must not fail because of it
        return set(), set()
    modules = {name for name in named if name and name not in workspace.catalog.modules}
    return modules, set(said.roles if said is not None else ()) - set(workspace.roles)
