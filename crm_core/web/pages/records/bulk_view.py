"""An act on a selection for its page, and its result."""

from __future__ import annotations

import msgspec

from crm_core.web.pages.layout.parts import PageLink, PageNotice
from crm_core.web.pages.records.form_fields import Field


class RefusedRow(msgspec.Struct, frozen=True):
    """A record that was not changed, and why."""

    href: str
    name: str
    reason: str


class BulkResult(msgspec.Struct, frozen=True, kw_only=True):
    """The state of an act. ``undo``: the address that undoes it, with ``chosen`` the records and their revisions."""

    running: bool
    done: int
    total: int
    notice: PageNotice
    refused: tuple[RefusedRow, ...] = ()
    undo: str = ""
    chosen: tuple[str, ...] = ()


class BulkView(msgspec.Struct, frozen=True, kw_only=True):
    """An act for its page: the selection as the form sends it again, and its fields or its result."""

    module: str
    title: str
    heading: str
    crumbs: tuple[PageLink, ...]
    path: str
    action: str
    back: str
    chosen: tuple[str, ...]
    query: str
    everything: bool
    act: str
    fields: tuple[Field, ...] = ()
    text: str = ""
    submit: str = ""
    streams: bool = False
    problem: PageNotice | None = None
    result: BulkResult | None = None
