"""The suites of hook functions: rules for payloads, and module policies.

::

    class TestHouseRules(ValidatorSuite):
        plugin = house_rules
        section = "branding"
        valid = {"title": "Nordwind", "support": {"email": "help@example.com"}}
        refused = (({"support": {"email": "help@example.com"}}, "/title"),)

    class TestTrials(PolicySuite):
        plugin = trials
        tenant = "trial-1"
        allowed = ("customers", "customers.view")
        refused = {"deals": "blocked", "deals.view": "blocked"}

``plugin`` is the module with the hook functions. They are called as in a push: with read-only data, and with only the
arguments that they name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from crm_core.errors import Finding
from crm_core.model.frozen import frozen
from crm_core.plugin import door
from crm_core.plugin.host import PluginHost
from crm_core.plugin.payload import PayloadContext
from crm_core.plugin.policy import ModuleRefusal, NamedModule, PolicyContext, refusals
from crm_core.settings.catalog import built_in_catalog
from crm_core.testing.facts import SectionSuite, check_form, payload_context
from crm_core.testing.promises import Suite

_NAME: Final = "the plugin under test"


def _host(plugin: Any) -> PluginHost:
    host = PluginHost()
    host.register(plugin, _NAME)
    assert not host.broken, f"the plugin would be refused at start: {host.broken[0].error}"
    return host


class ValidatorSuite(SectionSuite):
    """For ``crm_validate_payload``. ``valid``: a part of ``section`` that passes.

    ``refused``: parts that do not pass, each with the pointer of a finding.
    """

    plugin: ClassVar[Any]
    section: ClassVar[str]
    refused: ClassVar[tuple[tuple[Mapping[str, Any], str], ...]] = ()

    def context(self) -> PayloadContext:
        """The facts that the hook gets; override it for other sections, options or limits."""
        return payload_context()

    def findings(self, part: Mapping[str, Any], section: str | None = None) -> list[Finding]:
        """The findings of the hook in a part of the section."""
        asked = _host(self.plugin).call(
            "crm_validate_payload",
            door.findings,
            section=section or self.section,
            part=frozen(dict(part)),
            context=self.context(),
        )
        return [finding for _, finding in asked]

    def test_the_valid_part_passes(self) -> None:
        """A part that the author declares valid gets warnings at most."""
        assert [finding for finding in self.findings(self.valid) if not finding.warning] == []

    def test_refused_parts_are_refused_at_their_place(self) -> None:
        """Each part of ``refused`` has a finding that refuses it, with the pointer that the author gives."""
        for part, pointer in self.refused:
            found = [finding.pointer for finding in self.findings(part) if not finding.warning]
            assert pointer in found, f"{part} must be refused at {pointer}; findings are at {found}"

    def test_every_member_may_be_left_out(self) -> None:
        """The hook reads sections of which any member is absent, and reports with pointer, code and sentence."""
        for part in (*self.parts(), *(part for part, _ in self.refused)):
            for finding in self.findings(part):
                check_form(finding)

    def test_other_sections_do_no_harm(self) -> None:
        """The hook runs for every section: members of any kind make it report at most, not fail."""
        for section in ("features", "workspace", "smtp", "branding", "not_yet_invented"):
            if section != self.section:
                self.findings({}, section)
                self.findings({"title": 5, "nested": {"list": [None]}}, section)

    def test_a_part_gets_the_same_findings_each_time(self) -> None:
        """The hook keeps nothing from an earlier push."""
        for part in (self.valid, *(part for part, _ in self.refused)):
            assert self.findings(part) == self.findings(part)


class PolicySuite(Suite):
    """For ``crm_module_policy``. ``allowed``: names that pass; ``refused``: names with the kind of their refusal."""

    plugin: ClassVar[Any]
    tenant: ClassVar[str] = "northwind"
    allowed: ClassVar[tuple[str, ...]]
    refused: ClassVar[Mapping[str, str]] = {}

    def refusals(self, *names: str) -> list[ModuleRefusal]:
        """The refusals of a push that names these modules and feature keys."""
        asked = _host(self.plugin).call(
            "crm_module_policy",
            refusals,
            named=tuple(NamedModule(f"/features/plan/features/{at}", name) for at, name in enumerate(names)),
            context=PolicyContext(tenant=self.tenant, catalog=built_in_catalog()),
        )
        return [refusal for _, refusal in asked]

    def test_allowed_names_pass(self) -> None:
        """A push that names only allowed modules and keys is not refused."""
        assert self.refusals(*self.allowed) == []

    def test_refused_names_are_refused_at_their_place(self) -> None:
        """Among allowed names each refused one is refused, with its kind, its pointer and a sentence."""
        for name, kind in self.refused.items():
            (refusal,) = self.refusals(*self.allowed, name)
            place = f"/features/plan/features/{len(self.allowed)}"
            assert (refusal.kind, refusal.pointer) == (kind, place), f"{name} must be {kind} at {place}: {refusal}"
            assert refusal.message.endswith((".", "?", "!")), f"a message is a sentence: {refusal}"

    def test_any_names_may_be_pushed(self) -> None:
        """Nothing, every module and key of the catalog, and unknown names are judged without an error."""
        catalog = built_in_catalog()
        known = [name for module in catalog.modules.values() for name in (module.name, *module.features)]
        assert self.refusals() == []
        assert all(refusal.kind in ("blocked", "unsupported") for refusal in self.refusals(*known, "no_such.key"))
