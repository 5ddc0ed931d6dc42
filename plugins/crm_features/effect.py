"""Warnings for overrides that change nothing, which the platform may not expect."""

from __future__ import annotations

from collections.abc import Iterator

from crm_core.errors import Finding
from crm_core.language import gettext_noop
from crm_core.model.catalog import Catalog
from crm_core.model.entitlements import Entitlements
from crm_core.model.fields import step


def without_effect(entitlements: Entitlements, catalog: Catalog) -> Iterator[Finding]:
    """A warning for each override that repeats the plan, or whose module stays unavailable."""
    plan = _expanded((entitlements.plan or catalog.default_plan).features, catalog)
    granted = (plan | {key for key, on in entitlements.overrides.items() if on}) - {
        key for key, on in entitlements.overrides.items() if not on
    }
    for key, on in entitlements.overrides.items():
        if key not in catalog.keys:
            continue
        if on == (key in plan):
            why = (
                gettext_noop("The plan grants this already.")
                if on
                else gettext_noop("The plan does not grant this anyway.")
            )
        elif on and not _available(key.partition(".")[0], granted, entitlements, catalog):
            why = gettext_noop(
                "Its module stays unavailable: it is disabled, or its .view or a module it requires is not granted."
            )
        else:
            continue
        yield Finding(
            "/overrides" + step(key),
            "no_effect",
            gettext_noop("The override has no effect. {why}").format(why=why),
            warning=True,
        )


def _expanded(patterns: tuple[str, ...], catalog: Catalog) -> frozenset[str]:
    keys = {key for key in patterns if key in catalog.keys}
    for pattern in patterns:
        module = catalog.modules.get(pattern.removesuffix(".*")) if pattern.endswith(".*") else None
        keys.update(module.features if module else ())
    return frozenset(keys)


def _available(name: str, granted: frozenset[str], entitlements: Entitlements, catalog: Catalog) -> bool:
    """Whether a module and all that it requires, directly or not, are enabled and granted."""
    seen, names = {name}, [name]
    for each in names:
        module, choice = catalog.modules.get(each), entitlements.modules.get(each)
        if module is None or (choice is not None and choice.enabled is False) or f"{each}.view" not in granted:
            return False
        names += [other for other in module.requires if other not in seen]
        seen.update(module.requires)
    return True
