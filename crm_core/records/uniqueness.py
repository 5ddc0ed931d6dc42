"""Values that one record of a type alone may have: its external id, and those of the members that ``UNIQUE`` names.

The store decides: a write expects that no other record, live or archived, has the value in its index.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final

from crm_core.errors import Finding, NotUnique
from crm_core.model.fields import convert, step
from crm_core.model.turns import Turn
from crm_core.plugin.storage import Conflict, IndexFree, IndexValue, Put, StorageBackend
from crm_core.records.guarded_store import GuardedStore, RecordAccess
from crm_core.records.shape import EXTERNAL_ID, Shape

_NAMED: Final = 5  # ids of records with the same value in one sentence
_LISTED: Final = 20  # values of a member that several records have


def free(shape: Shape, put: Put, before: Mapping[str, Any] | None = None) -> tuple[IndexFree, ...]:
    """The expectations of a write: that no other record has the values that it newly gives to the record.

    ``before``: the members as stored. A value that stays is not judged again, so records that had the same value before
    their type was made to forbid it can still be changed.
    """
    had = {} if before is None else shape.unique_values(before)
    return tuple(
        IndexFree(collection, name, value, put.id)
        for name in shape.unique
        if (value := put.indexes[name]) is not None and value != had.get(name)
        for collection in (shape.collection, shape.archive)
    )


def is_of_external_id(conflict: Conflict) -> bool:
    """Whether a write failed because another record has its external id."""
    return isinstance(conflict.expectation, IndexFree) and conflict.expectation.index == EXTERNAL_ID


async def require_unique(store: GuardedStore, access: RecordAccess, wanted: tuple[IndexFree, ...]) -> None:
    """Refuse values of unique members that other records have at this moment. Raises NotUnique, with every one."""
    taken: dict[str, tuple[str, bool]] = {}
    for each in wanted:
        if each.index != EXTERNAL_ID:
            found = (await store.backend.find(access.tenant, each.collection, each.index, each.value)).document
            if found is not None and found.id != each.id:
                taken.setdefault(each.index, (found.id, each.collection == access.shape.archive))
    if taken:
        raise _not_unique(taken)


class TakenInBatch:
    """The values of unique members that the items of one batch give to their records."""

    def __init__(self) -> None:
        self._items: dict[tuple[str, IndexValue], int] = {}

    def require_unique(self, wanted: tuple[IndexFree, ...]) -> None:
        """Refuse values that an earlier item gives to its record. Raises NotUnique."""
        findings = []
        for name, value in {(each.index, each.value): None for each in wanted}:
            if (first := self._items.get((name, value))) is not None:
                findings.append(_finding(name, f"Item {first} of this batch"))
        if findings:
            raise NotUnique(findings[0].message, errors=findings)

    def add(self, at: int, wanted: tuple[IndexFree, ...]) -> None:
        """Record the values of an item that will be written."""
        for each in wanted:
            self._items.setdefault((each.index, each.value), at)


def _not_unique(taken: Mapping[str, tuple[str, bool]]) -> NotUnique:
    """The refusal, with the id of the record that has the first value.

    It does not repeat the value: refusals are stored for repeats of their request, where an erase must leave nothing.
    """
    findings = [
        _finding(name, "An archived record" if archived else "Another record") for name, (_, archived) in taken.items()
    ]
    return NotUnique(findings[0].message, errors=findings, id=next(iter(taken.values()))[0])


def _finding(name: str, who: str) -> Finding:
    message = f"{who} has this `{name}`, and no two records of the type may. Send another value, or change that record."
    return Finding(step(name), "not_unique", message)


async def doubles(backend: StorageBackend, tenant: str, shape: Shape) -> AsyncIterator[str]:
    """The values of unique members that several records have, in sentences; they are older than the rule."""
    if not shape.record_type.UNIQUE:
        return
    ids: dict[tuple[str, IndexValue], list[str]] = {}
    turn = Turn()
    for collection in (shape.collection, shape.archive):
        async for document in backend.documents(tenant, collection):
            for name, value in _readable_values(shape, shape.parse(document.body).writable):
                ids.setdefault((name, value), []).append(document.id)
            await turn.pause()
    for name in shape.record_type.UNIQUE:
        several = [found for (member, _), found in ids.items() if member == name and len(found) > 1]
        for found in several[:_LISTED]:
            named = ", ".join(found[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
            yield (
                f"{len(found)} records of {shape.name} have the same {name}, which only one may have: {named}; "
                "change it in all but one"
            )
        if len(several) > _LISTED:
            yield f"{len(several) - _LISTED} more values of {name} in {shape.name} occur several times"


def _readable_values(shape: Shape, writable: Mapping[str, Any]) -> Iterator[tuple[str, IndexValue]]:
    """The values of unique members, without those that the type cannot read."""
    for name in shape.record_type.UNIQUE:
        member, value = shape.record_type.member(name), writable.get(name)
        if value is not None and not convert(value, member.type)[1]:
            yield name, member.indexed(value)
