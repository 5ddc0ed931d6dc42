"""The rule: a push names only modules that are here, and none that the local policy blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from crm_core.model.catalog import Catalog
from crm_core.plugin.policy import ModuleRefusal, NamedModule


def refusals(named: Iterable[NamedModule], catalog: Catalog) -> Iterator[ModuleRefusal]:
    """A refusal per name that may not stand in a push; ``*`` and ``*.action`` name no module."""
    for each in named:
        module = each.name.partition(".")[0]
        if module == "*":
            continue
        if module in catalog.blocked:
            told = f"The module `{module}` is blocked by this instance's sync policy; leave it out."
            yield ModuleRefusal("blocked", each.pointer, told)
        elif module not in catalog.modules:
            told = f"There is no module `{module}` here; leave it out or have it added to modules.yaml."
            yield ModuleRefusal("unsupported", each.pointer, told)
