"""The conformance suite of record types, which a type's own tests inherit.

::

    class TestVisits(RecordTypeSuite):
        record_type_class = Visits
        valid = {"name": "First visit", "day": "2026-11-24", "kind": "on_site", "customer_id": SOME_ID}

``valid`` is a valid record; the more members it has, the more the suite tests. If ``check`` requires more than the
required members, define ``smallest`` as the least valid record, such as ``{"name": "A", "email": "a@b.cd"}``.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
import pytest

from crm_core.plugin.member import INDEXED
from crm_core.plugin.record_type import OWNED_LAST, RecordType
from crm_core.records.shape import SEARCH, Content, Shape, Stamps
from crm_core.testing.promises import Suite

SOME_ID = "01900000-0000-7000-8000-000000000000"
_STAMPS = Stamps("2026-11-24T02:00:00.000Z", "2026-11-24T02:00:00.000Z", None, "token:t", "token:t", 1)


class RecordTypeSuite(Suite):
    """Inherit it in a test class; name the record type's class and a valid record."""

    record_type_class: ClassVar[type[RecordType]]
    valid: ClassVar[dict[str, Any]]

    @property
    def smallest(self) -> dict[str, Any]:
        """The least valid record: the required members alone, unless the test class defines more."""
        members = self.record_type_class().members
        return {member.name: self.valid[member.name] for member in members if member.required}

    def shape(self) -> Shape:
        """The record type, prepared as the core does."""
        return Shape(self.record_type_class(), "the plugin under test")

    def content(self, data: dict[str, Any], current: dict[str, Any] | None = None) -> Content:
        """The content of input that the type must accept."""
        judged = self.shape().validate(data, current)
        text = "; ".join(f"{finding.pointer}: {finding.message}" for finding in judged.findings)
        assert judged.content is not None, f"the record {data} must be accepted, but: {text}"
        assert judged.findings == (), f"the record {data} must be accepted, but: {text}"
        return judged.content

    def pointers(self, data: Any, before: dict[str, Any] | None = None) -> set[str]:
        """The pointers of the type's findings in input; ``before``: the stored record that it is a merge patch on."""
        current = None if before is None else self.writable(before)
        return {finding.pointer for finding in self.shape().validate(data, current).findings}

    def writable(self, data: dict[str, Any]) -> dict[str, Any]:
        """A record as it is stored, without the members that the core maintains."""
        shape = self.shape()
        return dict(shape.parse(shape.body(SOME_ID, self.content(data), _STAMPS)).writable)

    def stored(self, data: dict[str, Any]) -> dict[str, Any]:
        """A record as it is stored and shown."""
        record: dict[str, Any] = msgspec.json.decode(self.shape().body(SOME_ID, self.content(data), _STAMPS))
        return record

    def test_a_record_has_all_its_members(self) -> None:
        """Members appear in their order; an unset list is [], an unset object {}."""
        record, shape = self.stored(self.smallest), self.shape()
        names = [member.name for member in shape.record_type.members]
        assert list(record) == ["id", "external_id", *names, *OWNED_LAST]
        for member in shape.record_type.members:
            if member.kind in ("texts", "rows", "entries") and member.name not in self.smallest:
                assert record[member.name] == ({} if member.kind == "entries" else [])

    def test_members_are_stored_as_sent(self) -> None:
        """Every member is returned as it was sent; members of objects and rows that are left out have their default."""
        assert _sent_part(self.valid, self.stored(self.valid)) == self.valid

    def test_a_stored_record_can_be_sent_again(self) -> None:
        """Writing a stored record again, without the core's members, changes nothing."""
        shape, record = self.shape(), self.stored(self.valid)
        read_only = {*OWNED_LAST, "id", *shape.record_type.COMPUTED}
        writable = {name: value for name, value in record.items() if name not in read_only}
        again = shape.body(SOME_ID, self.content(writable), _STAMPS)
        assert msgspec.json.decode(again) == record

    def test_null_unsets_a_member(self) -> None:
        """A patch of null resets every optional member to its default, and computed members are computed again."""
        shape, least = self.shape(), self.smallest
        sent = (member.name for member in shape.record_type.members if member.name not in shape.record_type.COMPUTED)
        optional = dict.fromkeys(name for name in sent if name not in least)
        content = self.content({**optional, **least}, self.writable(self.valid))
        emptied = msgspec.json.decode(shape.body(SOME_ID, content, _STAMPS))
        default = self.stored(least)
        assert {name: emptied[name] for name in optional} == {name: default[name] for name in optional}

    def test_each_required_member_is_required(self) -> None:
        """A record without a required member is refused, with a pointer to it."""
        for member in self.shape().record_type.members:
            if member.required:
                lacking = {name: value for name, value in self.valid.items() if name != member.name}
                assert f"/{member.name}" in self.pointers(lacking)

    def test_each_member_has_a_type_and_a_length(self) -> None:
        """A value of a wrong type, and a text or list of 10,001, is refused, with a pointer to the member."""
        for member in self.shape().record_type.members:
            wrong: list[Any] = [[[]], _endless(member.kind, self.valid.get(member.name))]
            if member.kind != "flag":
                wrong.append(True)
            for value in wrong:
                found = self.pointers({**self.valid, member.name: value})
                refused = any(each.startswith(f"/{member.name}") for each in found)
                assert refused, f"{member.name} must not accept {str(value)[:40]}"

    def test_control_characters_are_refused(self) -> None:
        """Texts refuse an escape character, which terminals and logs would obey."""
        for member in self.shape().record_type.members:
            if member.kind in ("text", "paragraphs", "email", "phone", "currency", "reference", "decimal"):
                assert f"/{member.name}" in self.pointers({**self.valid, member.name: "a\x1b[2J"})

    def test_unknown_and_read_only_members_are_refused(self) -> None:
        """All unknown and read-only members are reported together, even if they are null."""
        read_only = {*OWNED_LAST, "id", *self.record_type_class.COMPUTED}
        strangers = {"nonsense": None, **dict.fromkeys(read_only)}
        assert self.pointers({**self.valid, **strangers}) == {f"/{name}" for name in strangers}

    @pytest.mark.parametrize("data", [None, [], "text", 5, True])
    def test_a_record_is_an_object(self, data: Any) -> None:
        """A record that is not an object is refused at the root."""
        assert self.pointers(data) == {""}

    def test_declared_members_are_indexed(self) -> None:
        """Every sortable and filterable member has an index, which a filter by the record's value matches."""
        shape = self.shape()
        put = shape.put(SOME_ID, self.content(self.valid), _STAMPS)
        record_type = shape.record_type
        for name in {*record_type.SORTABLE, *record_type.FILTERABLE}:
            member = record_type.member(name)
            assert member.kind in INDEXED
            indexed, value = put.indexes[name], self.valid.get(name)
            if not value:
                continue
            text = value[0] if member.kind == "texts" else str(value).lower() if member.kind == "flag" else str(value)
            sought = shape.filter_value(name, text)
            assert sought == indexed or (isinstance(indexed, tuple) and sought in indexed)

    def test_searched_members_are_searched(self) -> None:
        """A record has words in the search index if, and only if, its type has searched members."""
        shape = self.shape()
        put = shape.put(SOME_ID, self.content(self.valid), _STAMPS)
        words = put.indexes.get(SEARCH, ())
        assert isinstance(words, tuple)
        assert bool(words) == bool(shape.record_type.SEARCHED)

    def test_references_are_reported(self) -> None:
        """Each reference of a record is reported to the core, which refuses dangling ones."""
        judged = self.shape().validate(self.valid)
        names = [each.member for each in self.record_type_class.REFERENCES if each.member in self.valid]
        assert [pointer for pointer, _, _ in judged.references] == [f"/{name}" for name in names]

    def test_a_record_is_computed_and_checked_alike_each_time(self) -> None:
        """Judging a record twice, new or as a change of a stored one, gives the same findings and computed members."""
        shape = self.shape()
        for current in (None, self.writable(self.valid), self.writable(self.smallest)):
            first, second = (shape.validate(self.valid, current) for _ in range(2))
            assert first.findings == second.findings
            assert first.content == second.content

    def test_everything_has_a_title(self) -> None:
        """The type, its members and their choices have titles for pages."""
        record_type = self.record_type_class()
        assert record_type.TITLE, "pages need a TITLE"
        assert record_type.SINGULAR, "pages need a SINGULAR"
        for member in record_type.members:
            assert member.label, f"{member.name} needs a label"
            assert all(label for _, label in member.choices), f"each choice of {member.name} needs a label"
            assert all(inner.label for inner in member.members), f"each member of {member.name} needs a label"

    def test_each_label_is_of_something(self) -> None:
        """A key of LABELS names a member, a member of an object or row, or a choice."""
        known = {
            name
            for member in self.record_type_class().members
            for each, path in ((member, member.name), *((one, f"{member.name}.{one.name}") for one in member.members))
            for name in (path, *(f"{path}.{value}" for value, _ in each.choices))
        }
        unknown = sorted(set(self.record_type_class.LABELS) - known)
        assert unknown == [], f"LABELS names {', '.join(unknown)}, which the type does not have"


def _endless(kind: str, valid: Any) -> Any:
    if kind in ("texts", "rows"):
        return ((valid or ["a"])[:1]) * 10_001
    if kind in ("entries", "object"):
        return {f"m{number}": "a" for number in range(10_001)}
    return "a" * 10_001


def _sent_part(sent: Any, stored: Any) -> Any:
    """The stored value without the members of objects and rows that were left out."""
    if isinstance(sent, dict) and isinstance(stored, dict):
        return {name: _sent_part(value, stored[name]) for name, value in sent.items() if name in stored}
    if isinstance(sent, list) and isinstance(stored, list) and len(sent) == len(stored):
        return [_sent_part(*pair) for pair in zip(sent, stored, strict=True)]
    return stored
