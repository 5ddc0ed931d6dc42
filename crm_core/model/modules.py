"""Which modules a tenant has and which feature keys that allows: derived from catalog and sections, never stored.

*Granted* = (plan + overrides that are true) - overrides that are false; for modules that the sync policy blocks, the
local default plan alone. A module is available when it is not switched off, its ``view`` key is granted and every
module that it requires is available. *Allowed* = the granted keys of available modules.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Final, Literal

import msgspec

from crm_core.model.catalog import Catalog, Module
from crm_core.model.entitlements import Entitlements, ModuleChoice
from crm_core.model.patterns import expand

UNREADABLE: Final = "section_unreadable"
_NO_CHOICE = ModuleChoice()


class ModuleState(msgspec.Struct, frozen=True):
    """A module as a tenant has it. ``singular``: the pushed name of one of its records, None if none was pushed.

    ``is_titled``: whether the title was pushed and so must not be translated.
    ``reason`` (None if it is available): ``disabled``, ``not_in_plan``, ``requires:{module}``, ``section_unreadable``.
    """

    module: Module
    title: str
    icon: str | None
    order: int
    reason: str | None
    singular: str | None = None
    is_titled: bool = False

    @property
    def state(self) -> Literal["available", "unavailable"]:
        """The state as the API writes it."""
        return "available" if self.reason is None else "unavailable"


class TenantModules(msgspec.Struct, frozen=True, dict=True):
    """All modules of the catalog, in menu order, the keys granted to the tenant and the keys it may use."""

    states: Mapping[str, ModuleState]
    granted: frozenset[str]
    allowed: frozenset[str]

    @cached_property
    def wire_states(self) -> Mapping[str, str]:
        """Every module with its state as the API writes it."""
        return {name: state.state for name, state in self.states.items()}


def derive_modules(catalog: Catalog, entitlements: Entitlements, *, unreadable: bool = False) -> TenantModules:
    """The tenant's modules under this catalog and these entitlements.

    ``unreadable``: a section that says what is granted cannot be read. Then nothing is, rather than too much.
    """
    granted = frozenset[str]() if unreadable else granted_keys(catalog, entitlements)
    reasons: dict[str, str | None] = dict.fromkeys(catalog.modules, UNREADABLE) if unreadable else {}
    for name in catalog.modules:
        _decide(name, catalog, entitlements, granted, reasons)
    states = [
        _state(module, _choice(module, catalog, entitlements), reasons[name])
        for name, module in catalog.modules.items()
    ]
    states.sort(key=lambda state: (state.order, state.module.name))
    allowed = frozenset(
        key for state in states if state.reason is None for key in state.module.features if key in granted
    )
    return TenantModules({state.module.name: state for state in states}, granted, allowed)


def granted_keys(catalog: Catalog, entitlements: Entitlements) -> frozenset[str]:
    """The keys that plan and overrides grant, regardless of the state of modules."""
    plan = entitlements.plan or catalog.default_plan
    keys = set(expand(plan.features, catalog.keys))
    for key, granted in entitlements.overrides.items():
        (keys.add if granted else keys.discard)(key)
    blocked = {key for name in catalog.blocked & catalog.modules.keys() for key in catalog.modules[name].features}
    local = expand(catalog.default_plan.features, blocked)
    return frozenset(((keys & catalog.keys) - blocked) | local)


def _choice(module: Module, catalog: Catalog, entitlements: Entitlements) -> ModuleChoice:
    """The pushed choice for a module; none if the policy blocks it."""
    return _NO_CHOICE if module.name in catalog.blocked else entitlements.modules.get(module.name, _NO_CHOICE)


def _decide(
    name: str, catalog: Catalog, entitlements: Entitlements, granted: frozenset[str], reasons: dict[str, str | None]
) -> str | None:
    if name in reasons:
        return reasons[name]
    module = catalog.modules[name]
    if _choice(module, catalog, entitlements).enabled is False:
        reason: str | None = "disabled"
    elif f"{name}.view" not in granted:
        reason = "not_in_plan"
    else:
        # The catalog refuses cycles at load, so this ends.
        lacking = (
            needed for needed in module.requires if _decide(needed, catalog, entitlements, granted, reasons) is not None
        )
        reason = next((f"requires:{needed}" for needed in lacking), None)
    reasons[name] = reason
    return reason


def _state(module: Module, choice: ModuleChoice, reason: str | None) -> ModuleState:
    return ModuleState(
        module=module,
        title=choice.title or module.title,
        icon=choice.icon or module.icon,
        order=module.order if choice.order is None else choice.order,
        reason=reason,
        singular=choice.singular,
        is_titled=bool(choice.title),
    )
