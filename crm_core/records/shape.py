"""A record type in use: validating and merging input, the stored text of a record, its indexes.

Records of a type are documents of the collection ``records:{type}``, archived ones of ``archived:{type}``; no other
part of the core puts a colon into a collection's name. The stored text is the record as the API shows it, so a read
returns it as it is.
Indexes: ``:created``, ``:updated``, ``external_id``, every sortable and filterable member by its name,
``{name}:order`` for sorting by what people write, and ``found_by`` of the searched members. A change to what an index
contains gives it another name: so documents with the indexes of an earlier version are recognised, and indexed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import repeat
from typing import Any, get_args
from zlib import crc32

import msgspec

from crm_core.errors import Finding
from crm_core.model.diff import Change, differences
from crm_core.model.fields import convert, step
from crm_core.model.folded_text import is_visible
from crm_core.model.ids import is_id
from crm_core.model.patch import merge_patch
from crm_core.model.record_members import ExternalId
from crm_core.model.stored_values import as_stored, convert_changed
from crm_core.plugin.door import Door
from crm_core.plugin.query import Comparison
from crm_core.plugin.record_type import ALWAYS_SORTABLE, OWNED, OWNED_LAST, RecordType
from crm_core.plugin.unit import DocumentExists, IndexValue, Put
from crm_core.records.known_members import Known, known_members, objects_or_null, present_members, unknown_members
from crm_core.records.own_rules import OwnRules, missing_name
from crm_core.records.search_words import search_values, texts_of

SEARCH = "found_by"
ORDER = ":order"
SCHEMA = ":schema:"
ARCHIVED_AT = "archived_at"
ORDER_OF_CREATION, ORDER_OF_CHANGE = ":created", ":updated"
_MOMENTS = {"created_at": ORDER_OF_CREATION, "updated_at": ORDER_OF_CHANGE}
EXTERNAL_ID = "external_id"
_encode = msgspec.json.Encoder().encode
_READ_ONLY = frozenset(OWNED) - {EXTERNAL_ID}


class Stamps(msgspec.Struct, frozen=True):
    """The members that the core sets, in their order."""

    created_at: str
    updated_at: str
    archived_at: str | None
    created_by: str
    updated_by: str
    revision: int


class Content(msgspec.Struct, frozen=True):
    """The caller's part: ``record`` is an instance of RECORD, ``referenced`` are the records that it newly names."""

    external_id: str | None
    record: Any
    referenced: tuple[DocumentExists, ...] = ()


class Validated(msgspec.Struct, frozen=True):
    """Input as validated by the type. ``references``: pointer, record type and id of newly referenced records.

    ``content`` is None if the input has no valid form.
    """

    content: Content | None
    findings: tuple[Finding, ...]
    references: tuple[tuple[str, str, str], ...]


class StoredRecord(msgspec.Struct, frozen=True):
    """A stored record, parsed: ``writable`` as JSON with ``external_id``; ``body`` is its text."""

    id: str
    body: bytes
    writable: dict[str, Any]
    stamps: Stamps


def etag(revision: int, body: bytes) -> str:
    """The strong entity tag of a record: its revision and its text, which a restored backup may have changed."""
    return f'"{revision}-{crc32(body):08x}"'


def archive_of(record_type: str) -> str:
    """The collection of the archived records of a type."""
    return f"archived:{record_type}"


def collection_of(record_type: str) -> str:
    """The collection of the records of a type."""
    return f"records:{record_type}"


class Shape:
    """One record type. ``owner``: its plugin, named if it fails or cannot read a record."""

    def __init__(self, record_type: RecordType, owner: str, door: Door | None = None) -> None:
        self.record_type, self.owner = record_type, owner
        self.name = record_type.NAME
        self.collection = collection_of(self.name)
        self.archive = archive_of(self.name)
        self.sortable = (*ALWAYS_SORTABLE, *record_type.SORTABLE)
        self.filterable = (EXTERNAL_ID, *record_type.FILTERABLE)
        compared = ((name, each) for name in self.sortable for each in get_args(Comparison))
        self.comparisons: dict[str, tuple[str, Comparison]] = {".".join(pair): pair for pair in compared}
        self._rules = OwnRules(record_type, owner, door or Door())
        self._members = record_type.members
        self._names = tuple(member.name for member in self._members)
        self._by_name = {member.name: member for member in self._members}
        self.known: Known = {EXTERNAL_ID: None, **known_members(self._members)}
        self._objects = objects_or_null(self._members)
        self.unique = (EXTERNAL_ID, *record_type.UNIQUE)
        indexed = {*record_type.SORTABLE, *record_type.FILTERABLE, *record_type.UNIQUE}
        self._indexed = tuple(member for member in self._members if member.name in indexed)
        self._searched = record_type.SEARCHED
        self._phones = tuple(name for name in self._searched if record_type.member(name).kind == "phone")
        self._ordered = frozenset(name for name in record_type.SORTABLE if record_type.member(name).is_written)
        self._read_only = _READ_ONLY.union(record_type.COMPUTED)
        self._required_texts = tuple(
            member.name for member in self._members if member.required and member.kind in {"text", "paragraphs"}
        )
        self._index_names = frozenset(self._indexes({}, None, "", ""))

    def validate(self, patch: Any, current: Mapping[str, Any] | None = None) -> Validated:
        """The record after a merge patch (RFC 7396) on ``current``, or a new one. Raises PluginFailed."""
        if not isinstance(patch, dict):
            return Validated(None, (Finding("", "wrong_type", "Send the record as a JSON object."),), ())
        members, read_only = self._by_name, self._read_only
        current = current or {}
        writable = {
            name: members[name].cleaned(value) if name in members and value != current.get(name) else value
            for name, value in patch.items()
            if name not in read_only
        }
        findings = [*self._read_only_members(patch), *unknown_members(writable, self.known)]
        present = present_members(current, self.known)
        merged: dict[str, Any] = merge_patch(present, writable)
        for name in self._objects:
            if merged.get(name) == {}:
                del merged[name]
        references = tuple(
            (step(each.member), each.record_type, value)
            for each in self.record_type.REFERENCES
            if isinstance(value := merged.get(each.member), str) and value != current.get(each.member) and is_id(value)
        )
        external_id = merged.pop(EXTERNAL_ID, None)
        if external_id is not None:
            findings += convert(external_id, ExternalId, pointer=step(EXTERNAL_ID))[1]
        record, wrong = convert_changed(merged, self.record_type.RECORD, present)
        found = {finding.pointer for finding in findings}
        findings += [finding for finding in wrong if finding.pointer not in found]
        judged = {finding.pointer for finding in findings} if findings else ()
        findings += [
            Finding(step(name), "invalid_value", f"`{name}` must show something. Enter a text.")
            for name in self._required_texts
            if isinstance(text := merged.get(name), str)
            and text != present.get(name)
            and not (judged and step(name) in judged)
            and not is_visible(text)
        ]
        before = dict(current)
        before.pop(EXTERNAL_ID, None)
        if record is None:
            findings += self._rules.nameless(merged, before, findings)
            return Validated(None, tuple(findings), references)
        if self._rules.completes:
            record, merged = self._rules.completed(merged, before)
            findings += missing_name(merged, findings)
        findings += self._rules.findings(merged, before)
        return Validated(Content(external_id, record), tuple(findings), references)

    def body(self, id: str, content: Content, stamps: Stamps) -> bytes:  # noqa: A002 -- the wire's word
        """The text of a record."""
        return self._body(id, content.external_id, self._values(content.record), stamps)

    def _body(self, id_: str, external_id: str | None, values: Mapping[str, Any], stamps: Stamps) -> bytes:
        return msgspec.json.encode({"id": id_, EXTERNAL_ID: external_id, **values, **msgspec.structs.asdict(stamps)})

    def put(self, id: str, content: Content, stamps: Stamps) -> Put:  # noqa: A002 -- the wire's word
        """The record, which is not archived, as a document with its indexes."""
        values, external_id = self._values(content.record), content.external_id
        indexes = self._indexes(values, external_id, stamps.created_at, stamps.updated_at)
        return Put(self.collection, id, self._body(id, external_id, values, stamps), indexes)

    def reindex(self, names: tuple[str, ...]) -> Callable[[bytes], tuple[bytes, Mapping[str, IndexValue]]] | None:
        """How to index stored records whose indexes have these names; None if the present version names them so."""
        if self._index_names == frozenset(names):
            return None
        schema = next((int(name.removeprefix(SCHEMA)) for name in names if name.startswith(SCHEMA)), 1)
        if schema == self.record_type.SCHEMA_VERSION:
            return self._reindexed
        return lambda body: self._upgraded(body, schema)

    def _upgraded(self, body: bytes, schema: int) -> tuple[bytes, Mapping[str, IndexValue]]:
        """A record of another schema in the present one; as it is stored, and found by nothing, if that fails."""
        stored = self.parse(body)
        external_id = stored.writable.pop(EXTERNAL_ID, None)
        members = self._rules.upgraded(stored.writable, schema)
        if members is None:
            indexes = self._indexes({}, external_id, stored.stamps.created_at, stored.stamps.updated_at)
            found = {name: value for name, value in indexes.items() if not name.startswith(SCHEMA)}
            return body, found | {f"{SCHEMA}{schema}": None}  # its own, for the version that can read it
        record = as_stored(members, self.record_type.RECORD)
        return self._reindexed(self.body(stored.id, Content(external_id, record), stored.stamps))

    def _reindexed(self, body: bytes) -> tuple[bytes, Mapping[str, IndexValue]]:
        record: dict[str, Any] = msgspec.json.decode(body)
        if ARCHIVED_AT not in record:
            stamps = {name: record.pop(name, None) for name in OWNED_LAST}
            body = msgspec.json.encode(record | stamps)
            record |= stamps
        return body, self._indexes(record, record.get(EXTERNAL_ID), record["created_at"], record["updated_at"])

    def _indexes(
        self, values: Mapping[str, Any], external_id: str | None, created_at: str, updated_at: str
    ) -> dict[str, IndexValue]:
        indexes: dict[str, IndexValue] = {
            ORDER_OF_CREATION: created_at,
            ORDER_OF_CHANGE: updated_at,
            EXTERNAL_ID: external_id,
        }
        if self.record_type.SCHEMA_VERSION > 1:
            # The schema is in the name: it is all that a store shows.
            indexes[f"{SCHEMA}{self.record_type.SCHEMA_VERSION}"] = None
        for member in self._indexed:
            name, value = member.name, values.get(member.name)
            indexes[name] = member.indexed(value)
            if name in self._ordered:
                indexes[name + ORDER] = member.ordered(value)
        if self._searched:
            texts = texts_of(map(values.get, self._searched))
            indexes[SEARCH] = search_values(texts, texts_of(map(values.get, self._phones)))
        return indexes

    def order_index(self, name: str) -> str:
        """The index that sorts by a sortable name."""
        return name + ORDER if name in self._ordered else _MOMENTS.get(name, name)

    def restamped(self, stored: StoredRecord, stamps: Stamps) -> Put:
        """A stored record with other stamps; its content is not judged again."""
        record = {"id": stored.id, **stored.writable, **msgspec.structs.asdict(stamps)}
        body, indexes = self._reindexed(msgspec.json.encode(record))
        return Put(self.collection if stamps.archived_at is None else self.archive, stored.id, body, indexes)

    def differences(self, stored: StoredRecord, content: Content) -> Iterator[Change]:
        """The members that a new content changes, to the innermost one."""
        if content.external_id != stored.writable[EXTERNAL_ID]:
            yield Change(step(EXTERNAL_ID), stored.writable[EXTERNAL_ID], content.external_id)
        for name, after in self._values(content.record).items():
            was = stored.writable.get(name)
            if was is after or (was == after and (isinstance(was, str) or _encode(was) == _encode(after))):
                continue  # nearly all members stay; 1 and true are equal and have two texts
            yield from differences(was, msgspec.to_builtins(after), step(name))

    def _values(self, record: Any) -> dict[str, Any]:
        """The values of a record's members, by their names in JSON."""
        return dict(zip(self._names, msgspec.structs.astuple(record), strict=True))

    def parse(self, body: bytes) -> StoredRecord:
        """Parse a stored record."""
        members: dict[str, Any] = msgspec.json.decode(body)
        id_ = members.pop("id")
        stamps = Stamps(*map(members.pop, OWNED_LAST, repeat(None)))
        return StoredRecord(id_, body, members, stamps)

    def unique_values(self, writable: Mapping[str, Any]) -> dict[str, IndexValue]:
        """The values of a stored record that no other record of the type may have, as they are compared."""
        values: dict[str, IndexValue] = {EXTERNAL_ID: writable.get(EXTERNAL_ID)}
        for name in self.record_type.UNIQUE:
            values[name] = self._by_name[name].indexed(writable.get(name))
        return values

    def filter_value(self, name: str, text: str) -> IndexValue:
        """The index value of a filter. Raises ValueError with a message for the caller."""
        if name == EXTERNAL_ID:
            findings = convert(text, ExternalId)[1] if text else ()
            if findings:
                raise ValueError(findings[0].message)
            return text or None
        return self.record_type.member(name).sought(text)

    def _read_only_members(self, patch: Mapping[str, Any]) -> list[Finding]:
        """A finding for each read-only member, also if it is set to null."""
        if self._read_only.isdisjoint(patch):
            return []
        return [
            Finding(step(name), "read_only_member", f"`{name}` is read-only; leave it out.")
            for name in patch
            if name in self._read_only
        ]
