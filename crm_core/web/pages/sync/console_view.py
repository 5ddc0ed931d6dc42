"""The state of sync and the rows of its console, as the template shows them."""

from __future__ import annotations

import msgspec

from crm_core.web.pages.layout.formats import Moment
from crm_core.web.pages.layout.parts import Mark, PageLink


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The state of sync; ``href`` leads to the attempt to fix."""

    tone: str
    icon: str
    title: str
    lines: tuple[str, ...]
    href: str


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A key of the roster."""

    name: str
    sub: str
    mark: Mark
    fingerprint: str
    types: str
    used: Moment | None
    uses: str
    expires: Moment | None


class AttemptRow(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt in the log."""

    href: str
    at: Moment
    clock: str
    day: str
    mark: Mark
    payload: str
    version: str
    code: str
    count: int
    summary: str
    diffs: tuple[PageLink, ...]
    key: str
    source: str
    took: str


class SectionRow(msgspec.Struct, frozen=True, kw_only=True):
    """The current revision of a section. ``restored``: a restore changed it since the last push."""

    name: str
    version: int
    revision: int
    sha256: str
    applied: Moment
    restored: bool
    href: str


class PluginRow(msgspec.Struct, frozen=True):
    """A plugin and the parts it provides."""

    name: str
    version: str
    kind: str
    mark: Mark
    error: str
