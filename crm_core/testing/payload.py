"""The conformance suite of payload types, which a type's own tests inherit.

::

    class TestTelephony(PayloadTypeSuite):
        payload_type_class = Telephony
        valid = {"provider": "acme", "api_key": "not-a-real-key"}
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import msgspec

from crm_core.errors import Finding
from crm_core.model.diff import steps_of
from crm_core.model.fields import any_value, convert
from crm_core.model.secret_members import secret_members, value_at, without_secrets
from crm_core.plugin.faults import faults_of
from crm_core.plugin.payload import PayloadContext, PayloadType
from crm_core.plugin.payload_calls import PayloadCalls
from crm_core.testing.facts import SectionSuite, check_form, payload_context


class PayloadTypeSuite(SectionSuite):
    """Inherit it in a test class; name the type's class and a valid part that uses most of its members.

    For types with a section.
    """

    payload_type_class: ClassVar[type[PayloadType]]

    def context(self) -> PayloadContext:
        """The built-in catalog and roles, and the type's default options."""
        options = self.payload_type_class.OPTIONS
        return payload_context(options() if options else None)

    def typed(self, part: Mapping[str, Any]) -> Any:
        """The part as an instance of the section's type; it must convert."""
        found, findings = convert(copy.deepcopy(dict(part)), self.payload_type_class.SECTION)
        assert found is not None, f"the part {dict(part)} must have the section's types, but: {findings}"
        return found

    def findings(self, part: Mapping[str, Any]) -> list[Finding]:
        """The findings of the type in a part."""
        return list(self.payload_type_class().validate(self.typed(part), self.context()))

    def test_the_valid_part_is_accepted(self) -> None:
        """The type accepts the part that its author declares valid."""
        refusals = [finding for finding in self.findings(self.valid) if not finding.warning]
        assert refusals == [], "`valid` must be a part that the type accepts"

    def test_every_member_may_be_left_out(self) -> None:
        """A merge can set any member alone: the type may return findings, but never raises."""
        for part in self.parts():
            for finding in self.findings(part):
                check_form(finding)

    def test_the_core_accepts_it(self) -> None:
        """Nothing of the type stops the start: its name, members that may be left out, closed objects, its secrets."""
        faults = faults_of(self.payload_type_class(), "payload type", PayloadType)
        assert faults == [], "; ".join(faults)

    def test_its_schema_can_be_documented(self) -> None:
        """The section has a JSON Schema, which OpenAPI needs."""
        assert msgspec.json.schema(self.payload_type_class.SECTION, schema_hook=any_value)

    def test_validating_changes_nothing(self) -> None:
        """Validating a part twice gives the same findings and leaves it unchanged."""
        part, context = self.typed(self.valid), self.context()
        before, payload_type = msgspec.to_builtins(part), self.payload_type_class()
        assert list(payload_type.validate(part, context)) == list(payload_type.validate(part, context))
        assert msgspec.to_builtins(part) == before

    def test_no_finding_reveals_a_secret(self) -> None:
        """No finding contains the value of a secret member."""
        members = secret_members(self.payload_type_class.SECTION)
        secrets = [value for member in members if (value := value_at(self.valid, member.path)) is not None]
        assert len(secrets) == len(members), "`valid` must have a value for every secret, so that it can be looked for"
        for part in self.parts():
            text = " ".join(finding.message + finding.pointer for finding in self.findings(part))
            assert not any(secret in text for secret in secrets), "a finding must not contain a secret"

    def test_modules_have_pointers_to_their_names(self) -> None:
        """Each module or feature key has a pointer to it, or to the member that has its name."""
        for part in self.parts():
            for pointer, name in self.payload_type_class().modules(self.typed(part)):
                last = steps_of(pointer)[-1:]
                assert name in (*last, _at(part, pointer)), f"{pointer} does not lead to {name}"

    def test_its_meaning_has_the_form_that_the_core_reads(self) -> None:
        """Entitlements, appearance, regional and mail server are values that the core accepts, or None, of any part."""
        payload_type = self.payload_type_class()
        calls = PayloadCalls({payload_type.NAME: payload_type})
        for part in self.parts():
            calls.meaning(payload_type, partial(self._without_secrets, part))

    def test_the_example_is_accepted(self) -> None:
        """The sync console offers EXAMPLE as a first push."""
        if self.payload_type_class.EXAMPLE:
            refusals = [finding for finding in self.findings(self.payload_type_class.EXAMPLE) if not finding.warning]
            assert refusals == [], "EXAMPLE must be a part that the type accepts"

    def test_a_section_of_any_earlier_version_may_lack_every_member(self) -> None:
        """An empty section that an earlier SCHEMA_VERSION stored is one of the present version after ``upgrade``."""
        payload_type = self.payload_type_class()
        calls = PayloadCalls({payload_type.NAME: payload_type})
        for version in range(1, payload_type.SCHEMA_VERSION):
            self.typed(calls.upgrade(payload_type, {}, version))

    def _without_secrets(self, part: Mapping[str, Any]) -> Any:
        return self.typed(without_secrets(part, secret_members(self.payload_type_class.SECTION)))


def _at(data: Any, pointer: str) -> Any:
    """The value at an RFC 6901 pointer; None if there is none."""
    for name in steps_of(pointer):
        if isinstance(data, list):
            data = data[int(name)] if name.isdecimal() and int(name) < len(data) else None
        else:
            data = data.get(name) if isinstance(data, Mapping) else None
    return data
