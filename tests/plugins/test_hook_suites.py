"""The examples of the docs pass the suites of hook functions, and hooks that break a promise fail them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest

from crm_core.errors import Finding
from crm_core.plugin import hookimpl
from crm_core.plugin.policy import ModuleRefusal, NamedModule
from crm_core.testing.hooks import PolicySuite, ValidatorSuite
from doc_plugins import files

SUPPORT = {"support": {"email": "help@example.com"}}


def module(name: str) -> Any:
    """A lone file of docs/plugins.md."""
    made = ModuleType(name)
    exec(files()[f"{name}.py"], made.__dict__)
    return made


class TestHouseRules(ValidatorSuite):
    plugin = module("house_rules")
    section = "branding"
    valid: ClassVar[Mapping[str, Any]] = {"title": "Nordwind", **SUPPORT}
    refused = ((SUPPORT, "/title"),)


class TestTrials(PolicySuite):
    plugin = module("trials")
    tenant = "trial-1"
    allowed = ("customers", "customers.view")
    refused: ClassVar[Mapping[str, str]] = {"deals": "blocked", "deals.view": "blocked"}


class TestTrialsElsewhere(PolicySuite):
    """A tenant that is not on trial."""

    plugin = module("trials")
    allowed = ("customers", "deals", "deals.view")


def _validator(function: Callable[..., Any]) -> type[ValidatorSuite]:
    function.__name__ = "crm_validate_payload"
    members = {"plugin": SimpleNamespace(crm_validate_payload=hookimpl(function))}
    return type("Broken", (ValidatorSuite,), {**members, "section": "branding", "valid": {"title": "A"}})


def _needs_title(section: str, part: Mapping[str, Any]) -> Iterable[Finding]:
    if section == "branding" and len(part["title"]) < 1:
        yield Finding("/title", "too_short", "Give it a title.")


def _reads_every_section(section: str, part: Mapping[str, Any]) -> Iterable[Finding]:
    if part.get("title", "").startswith("!"):
        yield Finding("/title", "shouting", "Do not shout.")


def _counts(section: str, part: Mapping[str, Any], seen: list[str] = []) -> Iterable[Finding]:  # noqa: B006 -- the point
    seen.append(section)
    yield Finding("", "seen", f"Push {len(seen)} of today.", warning=True)


def _no_sentence(section: str, part: Mapping[str, Any]) -> Iterable[Finding]:
    yield Finding("/title", "Too Short", "title too short", warning=True)


@pytest.mark.parametrize(
    ("function", "case"),
    [
        (_needs_title, "test_every_member_may_be_left_out"),
        (_reads_every_section, "test_other_sections_do_no_harm"),
        (_counts, "test_a_part_gets_the_same_findings_each_time"),
        (_no_sentence, "test_every_member_may_be_left_out"),
    ],
)
def test_a_rule_that_breaks_a_promise_fails_its_case(function: Callable[..., Any], case: str) -> None:
    """Each broken rule is noticed by the case that names the promise."""
    suite = _validator(function)()
    suite.test_the_valid_part_passes()
    with pytest.raises(Exception, match=r"failed in crm_validate_payload|assert"):
        getattr(suite, case)()


def test_a_policy_that_refuses_with_another_kind_fails() -> None:
    """The author says how each name is refused."""

    @hookimpl
    def crm_module_policy(named: tuple[NamedModule, ...]) -> list[ModuleRefusal]:
        return [ModuleRefusal("unsupported", one.pointer, "Not here.") for one in named if one.name == "deals"]

    plugin = SimpleNamespace(crm_module_policy=crm_module_policy)
    members = {"plugin": plugin, "allowed": (), "refused": {"deals": "blocked"}}
    suite = type("Other", (PolicySuite,), members)()
    with pytest.raises(AssertionError, match="deals must be blocked"):
        suite.test_refused_names_are_refused_at_their_place()
