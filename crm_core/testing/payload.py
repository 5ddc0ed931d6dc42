"""What every payload type must do: one suite, written once, that a type's own tests inherit.

::

    class TestTelephony(PayloadTypeSuite):
        payload_type_class = Telephony
        valid = {"provider": "acme", "api_key": "not-a-real-key"}
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, get_args

import msgspec
import pytest

from crm_core.errors import Finding
from crm_core.model.entitlements import Entitlements
from crm_core.model.fields import bare, convert, is_struct
from crm_core.model.secret_members import secret_members, value_at
from crm_core.plugin.payload import PayloadContext, PayloadType
from crm_core.settings import load_catalog, load_roles

_CODE = re.compile(r"[a-z][a-z0-9_]*")


class PayloadTypeSuite:
    """Inherit it in a test class; name the type's class, and a part that it takes and that uses most of its members.

    For types with a section of their own.
    """

    payload_type_class: ClassVar[type[PayloadType]]
    valid: ClassVar[Mapping[str, Any]]

    def context(self) -> PayloadContext:
        """The built-in catalog and roles, the type's default options, and nothing in force."""
        nowhere = Path("modules.yaml") / "absent"
        catalog = load_catalog(nowhere, record_types=())
        roles = load_roles(nowhere, catalog=catalog)
        options = self.payload_type_class.OPTIONS
        limits = frozenset({"customers", "deals", "tasks", "users"})
        return PayloadContext(
            catalog=catalog, roles=frozenset(roles), options=options() if options else None, limits=limits
        )

    def typed(self, part: Mapping[str, Any]) -> Any:
        """The part as an instance of the section's type."""
        found, findings = convert(copy.deepcopy(dict(part)), self.payload_type_class.SECTION)
        assert found is not None, findings
        return found

    def findings(self, part: Mapping[str, Any]) -> list[Finding]:
        """What the type finds in a part."""
        return list(self.payload_type_class().validate(self.typed(part), self.context()))

    def parts(self) -> Iterator[dict[str, Any]]:
        """Nothing, all of it, each member alone, and all but each."""
        yield {}
        yield dict(self.valid)
        for name, value in self.valid.items():
            yield {name: value}
            yield {other: held for other, held in self.valid.items() if other != name}

    def test_the_valid_part_is_taken(self) -> None:
        """The part that the author calls valid is refused by nothing."""
        assert [finding for finding in self.findings(self.valid) if not finding.warning] == []

    def test_every_member_may_be_left_out(self) -> None:
        """A merge can begin from nothing and set any member alone; the type may object, but never raise."""
        for part in self.parts():
            for finding in self.findings(part):
                assert isinstance(finding, Finding)
                assert finding.pointer == "" or finding.pointer.startswith("/")
                assert _CODE.fullmatch(finding.code)
                assert finding.message.endswith((".", "?", "!"))

    def test_unknown_members_are_refused_at_any_depth(self) -> None:
        """No object of the section takes members that it does not know."""
        open_ = [kind.__name__ for kind in _structs(self.payload_type_class.SECTION) if not _closed(kind)]
        assert open_ == [], "give them forbid_unknown_fields=True"

    def test_its_schema_can_be_documented(self) -> None:
        """OpenAPI gets a JSON Schema of the section."""
        assert msgspec.json.schema(self.payload_type_class.SECTION)

    def test_validating_changes_nothing(self) -> None:
        """The same part gives the same findings, and is as it was."""
        part, context = self.typed(self.valid), self.context()
        before, payload_type = msgspec.to_builtins(part), self.payload_type_class()
        assert list(payload_type.validate(part, context)) == list(payload_type.validate(part, context))
        assert msgspec.to_builtins(part) == before

    def test_no_finding_tells_a_secret(self) -> None:
        """Whatever is wrong with a part, its secrets stand in no message, whatever their members are called."""
        members = secret_members(self.payload_type_class.SECTION)
        held = [value for member in members if (value := value_at(self.valid, member.path)) is not None]
        assert len(held) == len(members), "let the valid part hold every secret, so that this can be looked at"
        for part in self.parts():
            told = " ".join(finding.message + finding.pointer for finding in self.findings(part))
            assert not any(value in told for value in held)

    def test_what_secrets_are_bound_to_is_there(self) -> None:
        """A secret is bound to members that stand beside it."""
        for member in secret_members(self.payload_type_class.SECTION):
            beside: Any = self.payload_type_class.SECTION
            for name in member.path[:-1]:
                beside = next(bare(f.type) for f in msgspec.structs.fields(beside) if f.encode_name == name)
            assert set(member.bound_to) <= {field.encode_name for field in msgspec.structs.fields(beside)}

    def test_modules_are_named_where_they_stand(self) -> None:
        """Each module or feature key is told with a pointer that leads to it, or to the member that it names."""
        for part in self.parts():
            for pointer, name in self.payload_type_class().modules(self.typed(part)):
                last = pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~")
                assert name in (last, _at(part, pointer)), pointer

    def test_entitlements_are_values(self) -> None:
        """What the section says about modules and rights is said in the model's own type, or not at all."""
        for part in self.parts():
            assert isinstance(self.payload_type_class().entitlements(self.typed(part)), Entitlements | None)

    def test_no_secret_can_hide_in_a_list_or_map(self) -> None:
        """Secrets are members of objects, where the core can seal each by its place."""
        try:
            secret_members(self.payload_type_class.SECTION)
        except TypeError as error:
            pytest.fail(str(error))


def _at(data: Any, pointer: str) -> Any:
    """What stands at an RFC 6901 pointer; None where it leads nowhere."""
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(data, list):
            data = data[int(name)] if name.isdecimal() and int(name) < len(data) else None
        else:
            data = data.get(name) if isinstance(data, Mapping) else None
    return data


def _structs(kind: Any) -> Iterator[type[msgspec.Struct]]:
    """Every Struct within a type, itself first."""
    inner = bare(kind)
    if is_struct(inner):
        yield inner
        for field in msgspec.structs.fields(inner):
            yield from _structs(field.type)
    else:
        for argument in get_args(inner):
            yield from _structs(argument)


def _closed(kind: type[msgspec.Struct]) -> bool:
    return kind.__struct_config__.forbid_unknown_fields
