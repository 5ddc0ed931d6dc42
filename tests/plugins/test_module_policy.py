from __future__ import annotations

import pytest

from crm_core.model.catalog import Catalog, Module, SyncPolicy
from crm_core.model.entitlements import PlanGrant
from crm_core.plugin.policy import NamedModule, PolicyContext
from crm_module_policy.hooks import crm_module_policy


@pytest.fixture
def context() -> PolicyContext:
    modules = {
        "deals": Module("deals", "Deals", ("deals.view",)),
        "website": Module("website", "Website", ("website.view",)),
        "pages": Module("pages", "Pages", ("pages.view",), group="web"),
    }
    policy = SyncPolicy(frozenset({"website", "absent"}), frozenset({"web"}))
    return PolicyContext("northwind", Catalog(modules, PlanGrant("s", "S", ()), policy))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("deals", None),
        ("deals.view", None),
        ("deals.*", None),
        ("*.view", None),
        ("*", None),
        ("website", "blocked"),
        ("website.view", "blocked"),
        ("website.*", "blocked"),
        ("pages.*", "blocked"),
        ("absent", "blocked"),
        ("nowhere", "unsupported"),
        ("users.manage", "unsupported"),
    ],
)
def test_a_name_is_refused_for_its_module(name: str, kind: str | None, context: PolicyContext) -> None:
    """Names of blocked and unknown modules are refused; patterns for all modules are not."""
    refusals = crm_module_policy((NamedModule("/features/x", name),), context)
    assert [refusal.kind for refusal in refusals] == ([kind] if kind else [])
    assert all(refusal.pointer == "/features/x" for refusal in refusals)


def test_all_names_are_checked(context: PolicyContext) -> None:
    """Every refused name is reported, not only the first."""
    named = tuple(NamedModule(f"/{name}", name) for name in ("website", "nowhere", "deals", "pages"))
    assert [refusal.pointer for refusal in crm_module_policy(named, context)] == ["/website", "/nowhere", "/pages"]
