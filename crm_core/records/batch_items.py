"""The items of a batch as sent: which record each names, and on which condition it applies."""

from __future__ import annotations

from typing import Any

import msgspec

from crm_core.errors import Finding, InvalidRecord, NotFound
from crm_core.model.fields import step as pointer_step
from crm_core.records.preconditions import Preconditions
from crm_core.records.shape import EXTERNAL_ID

MAX_ITEMS = 500
ID, IF_REVISION = "id", "if_revision"


class BatchItem(msgspec.Struct, frozen=True):
    """One item: the record without ``id`` and ``if_revision``, which name the record and its condition."""

    data: Any
    id: str | None = None
    conditions: Preconditions = Preconditions()

    @property
    def external_id(self) -> str | None:
        """The external id that the item names; None if it names none, or none that is a text."""
        found = self.data.get(EXTERNAL_ID) if isinstance(self.data, dict) else None
        return found if isinstance(found, str) else None


class NamedRecords:
    """The records that items of one batch have named: of two results for one record, only one could be true."""

    def __init__(self) -> None:
        self._items: dict[tuple[str, str], int] = {}

    def add(self, at: int, member: str, name: tuple[str, str]) -> None:
        """Record that an item names a record by a member. Raises InvalidRecord if another item names it."""
        first = self._items.setdefault(name, at)
        if first != at:
            message = f"Item {first} names this record already. Send one of the two in another batch."
            raise InvalidRecord(message, errors=[Finding(pointer_step(member), "repeated", message)])


def items_of(data: Any) -> list[Any]:
    """The items of a batch, each as sent. Raises InvalidRecord."""
    findings: list[Finding] = []
    if not isinstance(data, dict):
        findings.append(Finding("", "wrong_type", 'Send {"items": [...]}.'))
    else:
        findings += [
            Finding(pointer_step(name), "unknown_member", "Unknown member; the only one is items.")
            for name in data
            if name != "items"
        ]
        items = data.get("items")
        if not isinstance(items, list):
            slip = "missing_member" if items is None else "wrong_type"
            findings.append(Finding("/items", slip, "Send `items`, a list of records."))
        elif len(items) > MAX_ITEMS:
            findings.append(Finding("/items", "invalid_value", f"A batch may have up to {MAX_ITEMS} items. Split it."))
    if findings:
        raise InvalidRecord(findings[0].message, errors=findings)
    found: list[Any] = data["items"]
    return found


def read_item(item: Any) -> BatchItem:
    """An item with its ``id`` and ``if_revision`` read; null counts as absent. Raises InvalidRecord."""
    if not isinstance(item, dict):
        return BatchItem(item)
    id_, revision = item.get(ID), item.get(IF_REVISION)
    findings = []
    if id_ is not None and not isinstance(id_, str):
        findings.append(Finding(pointer_step(ID), "wrong_type", "This must be the id of a record."))
    if revision is not None and (type(revision) is not int or revision < 1):
        message = "This must be the revision that the record must still have, a whole number from 1."
        findings.append(Finding(pointer_step(IF_REVISION), "wrong_type", message))
    if findings:
        raise InvalidRecord(findings[0].message, errors=findings)
    data = {name: value for name, value in item.items() if name not in (ID, IF_REVISION)}
    return BatchItem(data, id_, Preconditions(revision=revision))


def missing() -> NotFound:
    """The refusal of an item whose id is that of no record."""
    message = "There is no record with this id. Leave `id` out to create one."
    return NotFound(message, errors=[Finding(pointer_step(ID), NotFound.code, message)])
