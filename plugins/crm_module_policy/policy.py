"""The rule: a push names only known modules that the local policy does not block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from crm_core.model.catalog import Catalog
from crm_core.plugin.policy import ModuleRefusal, NamedModule


def refusals(named: Iterable[NamedModule], catalog: Catalog) -> Iterator[ModuleRefusal]:
    """A refusal for each name that a push must not contain; ``*`` and ``*.action`` name no module."""
    for each in named:
        module = each.name.partition(".")[0]
        if module == "*":
            continue
        if module in catalog.blocked:
            text = f"This instance's sync policy blocks the module `{module}`. Leave it out."
            yield ModuleRefusal("blocked", each.pointer, text)
        elif module not in catalog.modules:
            text = f"Unknown module `{module}`. Leave it out, or have it added to modules.yaml."
            yield ModuleRefusal("unsupported", each.pointer, text)
