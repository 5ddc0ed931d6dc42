"""What every record type must do: one suite, written once, that a record type's own tests inherit.

::

    class TestVisits(RecordTypeSuite):
        record_type_class = Visits
        valid = {"name": "First visit", "day": "2026-11-24", "kind": "on_site", "customer_id": SOME_ID}

``valid`` is a good record; the more of its members it gives, the more the suite sees. Where ``check`` asks for more
than the required members, ``smallest`` says what a record needs at least, such as ``{"name": "A", "email": "a@b.cd"}``.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
import pytest

from crm_core.plugin.member import INDEXED
from crm_core.plugin.record_type import OWNED, OWNED_LAST, RecordType
from crm_core.records.shape import Content, Shape, Stamps

SOME_ID = "01900000-0000-7000-8000-000000000000"
_STAMPS = Stamps("2026-11-24T02:00:00.000Z", "2026-11-24T02:00:00.000Z", "token:t", "token:t", 1)


class RecordTypeSuite:
    """Inherit it in a test class; name the record type's class and a good record."""

    record_type_class: ClassVar[type[RecordType]]
    valid: ClassVar[dict[str, Any]]

    @property
    def smallest(self) -> dict[str, Any]:
        """The least that a record needs: the required members alone, unless the type's own test class says more."""
        members = self.record_type_class().members
        return {member.name: self.valid[member.name] for member in members if member.required}

    def shape(self) -> Shape:
        """The record type, made ready for work."""
        return Shape(self.record_type_class(), "the plugin under test")

    def content(self, data: dict[str, Any], current: dict[str, Any] | None = None) -> Content:
        """What the type makes of input that it must take."""
        judged = self.shape().validate(data, current)
        told = "; ".join(f"{finding.pointer}: {finding.message}" for finding in judged.findings)
        assert judged.content is not None, f"the record {data} must be taken, but: {told}"
        assert judged.findings == (), f"the record {data} must be taken, but: {told}"
        return judged.content

    def pointers(self, data: Any) -> set[str]:
        """Where the type finds faults in input."""
        return {finding.pointer for finding in self.shape().validate(data).findings}

    def stored(self, data: dict[str, Any]) -> dict[str, Any]:
        """A record as it is kept and shown."""
        record: dict[str, Any] = msgspec.json.decode(self.shape().body(SOME_ID, self.content(data), _STAMPS))
        return record

    def test_a_record_holds_all_its_members(self) -> None:
        """What is unset is null, a list [] and an object {}, and the members stand in their order."""
        record, shape = self.stored(self.smallest), self.shape()
        names = [member.name for member in shape.record_type.members]
        assert list(record) == ["id", "external_id", *names, *OWNED_LAST]
        for member in shape.record_type.members:
            if member.kind in ("texts", "entries") and member.name not in self.smallest:
                assert record[member.name] == ([] if member.kind == "texts" else {})

    def test_what_is_sent_is_what_is_kept(self) -> None:
        """Every member of the record comes back as it was sent."""
        record = self.stored(self.valid)
        assert {name: record[name] for name in self.valid} == self.valid

    def test_a_kept_record_is_taken_again(self) -> None:
        """A record read, and written back without the core's members, is the same record."""
        shape, record = self.shape(), self.stored(self.valid)
        writable = {name: value for name, value in record.items() if name not in OWNED or name == "external_id"}
        again = shape.body(SOME_ID, self.content(writable), _STAMPS)
        assert msgspec.json.decode(again) == record

    def test_null_unsets_a_member(self) -> None:
        """A patch of null brings every member that a record does not need back to its default."""
        shape, least = self.shape(), self.smallest
        optional = {member.name: None for member in shape.record_type.members if member.name not in least}
        stored = shape.parse(shape.body(SOME_ID, self.content(self.valid), _STAMPS))
        content = self.content({**optional, **least}, stored.writable)
        emptied = msgspec.json.decode(shape.body(SOME_ID, content, _STAMPS))
        default = self.stored(least)
        assert {name: emptied[name] for name in optional} == {name: default[name] for name in optional}

    def test_each_required_member_is_asked_for(self) -> None:
        """Without it the record is refused, with a pointer to it."""
        for member in self.shape().record_type.members:
            if member.required:
                lacking = {name: value for name, value in self.valid.items() if name != member.name}
                assert f"/{member.name}" in self.pointers(lacking)

    def test_each_member_has_a_type_and_a_length(self) -> None:
        """What is of no type, and a text or list that does not end, is refused, with a pointer to it."""
        for member in self.shape().record_type.members:
            wrong: list[Any] = [[[]], _endless(member.kind)]
            if member.kind != "flag":
                wrong.append(True)
            for value in wrong:
                found = self.pointers({**self.valid, member.name: value})
                assert any(each.startswith(f"/{member.name}") for each in found), (member.name, str(value)[:40])

    def test_control_characters_are_refused(self) -> None:
        """No text takes an escape character, which terminals and logs would obey."""
        for member in self.shape().record_type.members:
            if member.kind in ("text", "paragraphs", "email", "phone", "currency", "reference", "decimal"):
                assert f"/{member.name}" in self.pointers({**self.valid, member.name: "a\x1b[2J"})

    def test_unknown_and_read_only_members_are_refused(self) -> None:
        """All of them at once, also where they are null."""
        strangers = {"nonsense": None, **dict.fromkeys(set(OWNED) - {"external_id"})}
        assert self.pointers({**self.valid, **strangers}) == {f"/{name}" for name in strangers}

    @pytest.mark.parametrize("data", [None, [], "text", 5, True])
    def test_a_record_is_an_object(self, data: Any) -> None:
        """Anything else is refused at the root."""
        assert self.pointers(data) == {""}

    def test_what_is_declared_is_indexed(self) -> None:
        """Every sortable and filterable member has an index, and a filter for a record's own value finds it."""
        shape = self.shape()
        put = shape.put(SOME_ID, self.content(self.valid), _STAMPS)
        record_type = shape.record_type
        for name in {*record_type.SORTABLE, *record_type.FILTERABLE}:
            member = record_type.member(name)
            assert member.kind in INDEXED
            held, value = put.indexes[name], self.valid.get(name)
            if not value:
                continue
            text = value[0] if member.kind == "texts" else str(value).lower() if member.kind == "flag" else str(value)
            sought = shape.filter_value(name, text)
            assert sought == held or (isinstance(held, tuple) and sought in held)

    def test_searched_members_are_searched(self) -> None:
        """Every word of a searched member stands in the search index."""
        shape = self.shape()
        put = shape.put(SOME_ID, self.content(self.valid), _STAMPS)
        words = put.indexes.get("words", ())
        assert isinstance(words, tuple)
        assert bool(words) == bool(shape.record_type.SEARCHED)

    def test_references_are_followed(self) -> None:
        """Each reference that a record makes is told, so that a dangling one is refused."""
        judged = self.shape().validate(self.valid)
        names = [each.member for each in self.record_type_class.REFERENCES if each.member in self.valid]
        assert [pointer for pointer, _, _ in judged.references] == [f"/{name}" for name in names]

    def test_checks_change_nothing(self) -> None:
        """A record looked at twice is the same record with the same findings."""
        shape, content = self.shape(), self.content(self.valid)
        before = shape.body(SOME_ID, content, _STAMPS)
        assert list(shape.record_type.check(content.record)) == list(shape.record_type.check(content.record))
        assert shape.body(SOME_ID, content, _STAMPS) == before

    def test_everything_has_a_title(self) -> None:
        """Pages have words for the type, its members and their choices."""
        record_type = self.record_type_class()
        assert record_type.TITLE
        assert record_type.SINGULAR
        for member in record_type.members:
            assert member.label
            assert all(label for _, label in member.choices)
            assert all(inner.label for inner in member.members)


def _endless(kind: str) -> Any:
    if kind == "texts":
        return ["a"] * 10_001
    if kind in ("entries", "object"):
        return {f"m{number}": "a" for number in range(10_001)}
    return "a" * 10_001
