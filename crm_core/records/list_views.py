"""Saved views and chosen columns of lists, stored for each user. They are data of the tenant: an erase reaches them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from crm_core.errors import Finding, InvalidRecord
from crm_core.model.caller import Caller
from crm_core.model.folded_text import folded
from crm_core.model.list_views import LIST_VIEWS, LONGEST_NAME, LONGEST_QUERY, MOST_VIEWS, ListChoices, SavedView
from crm_core.plugin.storage import Conflict, Document, DocumentAt, Expectation, Put, StorageBackend, Unit
from crm_core.records.guarded_store import ATTEMPTS, busy
from crm_core.workspace.storing import commit

_NAMING: Final = ("email", "phone")
"""Kinds of members that name a person."""
_TELLING: Final = 4
"""Characters from which a text inside another one names its record."""


class ListViews:
    """The choices of all users."""

    def __init__(self, backend: StorageBackend, now: Callable[[], datetime]) -> None:
        self._backend = backend
        self._now = now

    async def of(self, tenant: str, caller: Caller, record_type: str) -> ListChoices:
        """The user's choices for the list of a type."""
        document = (await self._backend.get(tenant, LIST_VIEWS, caller.id)).document
        return ListChoices() if document is None else _lists(document).get(record_type, ListChoices())

    async def save(self, tenant: str, caller: Caller, record_type: str, name: str, query: str) -> SavedView:
        """Save a view, in place of one of the same name. Raises InvalidRecord."""
        view = SavedView(" ".join(name.split()), query)
        if not view.name or len(view.name) > LONGEST_NAME or not view.name.isprintable():
            raise _invalid(f"Enter a name of up to {LONGEST_NAME} characters.")
        if len(query) > LONGEST_QUERY:
            raise _invalid("This view has too many filters. Remove some of them.")

        def changed(choices: ListChoices) -> ListChoices:
            if choices.named(view.name) is None and len(choices.views) >= MOST_VIEWS:
                raise _invalid(f"You have {MOST_VIEWS} views of this list. Remove one of them first.")
            return choices.with_view(view)

        await self._change(tenant, caller, record_type, changed)
        return view

    async def remove(self, tenant: str, caller: Caller, record_type: str, name: str) -> None:
        """Remove a view; one that does not exist is no error."""
        await self._change(tenant, caller, record_type, lambda choices: choices.without_view(name))

    async def set_columns(self, tenant: str, caller: Caller, record_type: str, columns: tuple[str, ...]) -> None:
        """Choose the columns of a list; none: those of its type."""
        await self._change(
            tenant, caller, record_type, lambda choices: msgspec.structs.replace(choices, columns=columns)
        )

    async def _change(
        self, tenant: str, caller: Caller, record_type: str, changed: Callable[[ListChoices], ListChoices]
    ) -> None:
        for _ in range(ATTEMPTS):
            document = (await self._backend.get(tenant, LIST_VIEWS, caller.id)).document
            lists = {} if document is None else _lists(document)
            lists[record_type] = changed(lists.get(record_type, ListChoices()))
            unit = Unit(
                now=int(self._now().timestamp()),
                expect=(DocumentAt(LIST_VIEWS, caller.id, document.revision if document else 0),),
                puts=(_put(caller.id, lists),),
            )
            if not isinstance(await commit(self._backend, tenant, unit), Conflict):
                return
        raise busy()


async def without_records(
    backend: StorageBackend, tenant: str, texts: Iterable[str]
) -> tuple[tuple[Expectation, ...], tuple[Put, ...]]:
    """The part of an erase that removes the views that name an erased record by one of its texts."""
    sought = {folded(text) for text in texts} - {""}
    expect, puts = list[Expectation](), list[Put]()
    async for document in backend.documents(tenant, LIST_VIEWS):
        lists = _lists(document)
        left = {
            name: msgspec.structs.replace(one, views=tuple(view for view in one.views if not _names(view, sought)))
            for name, one in lists.items()
        }
        if left != lists:
            expect.append(DocumentAt(LIST_VIEWS, document.id, document.revision))
            puts.append(_put(document.id, left))
    return tuple(expect), tuple(puts)


def naming_texts(record: Mapping[str, Any], kinds: Mapping[str, str]) -> Iterable[str]:
    """The texts of a record that name it: its ids, its name, addresses and numbers. ``kinds``: of its members."""
    for name, value in record.items():
        if isinstance(value, str) and (name in ("id", "external_id", "name") or kinds.get(name) in _NAMING):
            yield value


def _names(view: SavedView, sought: set[str]) -> bool:
    for text in (view.name, *(value for _, value in parse_qsl(view.query))):
        found = folded(text)
        if found in sought or any(len(one) >= _TELLING and one in found for one in sought):
            return True
    return False


def _lists(document: Document) -> dict[str, ListChoices]:
    return msgspec.json.decode(document.body, type=dict[str, ListChoices])


def _put(user_id: str, lists: dict[str, ListChoices]) -> Put:
    return Put(LIST_VIEWS, user_id, msgspec.json.encode(lists))


def _invalid(message: str) -> InvalidRecord:
    return InvalidRecord(message, errors=[Finding("/name", "invalid_value", message)])
