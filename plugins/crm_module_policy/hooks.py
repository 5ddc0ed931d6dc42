"""Register the module policy."""

from __future__ import annotations

from crm_core.plugin import hookimpl
from crm_core.plugin.policy import ModuleRefusal, NamedModule, PolicyContext
from crm_module_policy.policy import refusals


@hookimpl
def crm_module_policy(named: tuple[NamedModule, ...], context: PolicyContext) -> list[ModuleRefusal]:
    """Refuse what the catalog does not have and what the sync policy blocks."""
    return list(refusals(named, context.catalog))
