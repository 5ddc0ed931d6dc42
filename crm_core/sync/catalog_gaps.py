"""Stored sections that name modules or roles which the admin's files no longer have."""

from __future__ import annotations

from collections.abc import Container, Iterator

from crm_core.model.keys import Key
from crm_core.sync.section_facts import SectionFacts


def catalog_gaps(
    facts: SectionFacts, modules: Container[str], roles: Container[str], key: Key | None = None
) -> Iterator[str]:
    """A sentence for each section that names something of which the catalog or the roles know nothing.

    Such names have no effect. They are usually a slip in modules.yaml or roles.yaml, after which users miss a module.
    ``key``: of a signed request; only the sections that it may push are looked at.
    """
    for name, named in sorted(facts.named.items()):
        if key is not None and not key.admits(name):
            continue
        for what, names, known in (("module", named.modules, modules), ("role", named.roles, roles)):
            if unknown := [f"`{each}`" for each in names if each not in known]:
                things, file = ", ".join(unknown), f"{what}s.yaml"
                yield f"The section {name} names {things}, unknown to {file}. Add it there, or push {name} without it."
