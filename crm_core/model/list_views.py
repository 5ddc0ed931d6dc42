"""A user's saved views and columns of lists, one document for each user."""

from __future__ import annotations

from typing import Final

import msgspec

LIST_VIEWS: Final = "list_views"
"""The collection; a document has the id of its user."""
MOST_VIEWS: Final = 10
"""Saved views of one list."""
LONGEST_NAME: Final = 60
LONGEST_QUERY: Final = 2000
MOST_COLUMNS: Final = 12


class SavedView(msgspec.Struct, frozen=True):
    """A view of a list: ``query`` has its filters, sort and columns, as in the list's address."""

    name: str
    query: str


class ListChoices(msgspec.Struct, frozen=True, omit_defaults=True):
    """A user's views of the list of one record type, and the columns chosen for it; none: the type's own."""

    views: tuple[SavedView, ...] = ()
    columns: tuple[str, ...] = ()

    def named(self, name: str) -> SavedView | None:
        """The view of this name, regardless of case."""
        return next((view for view in self.views if view.name.casefold() == name.casefold()), None)

    def with_view(self, view: SavedView) -> ListChoices:
        """With a view, in place of one of the same name."""
        old = self.named(view.name)
        views = tuple(view if other is old else other for other in self.views) if old else (*self.views, view)
        return msgspec.structs.replace(self, views=views)

    def without_view(self, name: str) -> ListChoices:
        """Without the view of this name."""
        old = self.named(name)
        return msgspec.structs.replace(self, views=tuple(view for view in self.views if view is not old))
