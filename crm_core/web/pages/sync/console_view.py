"""The sync console as its template takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crm_core.web.pages.layout.formats import Moment
from crm_core.web.pages.layout.parts import Fact, Mark, Option, PageLinks
from crm_core.web.pages.sync.charts import Chart
from crm_core.web.pages.sync.push_script import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The state in words; ``href`` leads to what is to be mended."""

    tone: str
    icon: str
    title: str
    lines: tuple[str, ...]
    href: str


@dataclass(frozen=True, slots=True)
class PeriodLink:
    """A period that the chart can show."""

    href: str
    text: str
    current: bool


@dataclass(frozen=True, slots=True)
class RosterView:
    """The key roster: when it was read."""

    loaded: Moment | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """A key of the roster."""

    name: str
    sub: str
    mark: Mark
    fingerprint: str
    types: str
    used: Moment | None
    uses: str
    expires: Moment | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
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
    told: str
    key: str
    source: str
    took: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionRow:
    """A section in force."""

    name: str
    version: int
    revision: int
    sha256: str
    applied: Moment | None
    href: str


@dataclass(frozen=True, slots=True)
class PluginRow:
    """A plugin and what it brings."""

    name: str
    version: str
    kind: str
    mark: Mark
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """Everything on the page."""

    instance: str
    tenant: str
    export: str
    status: Status
    facts: tuple[Fact, ...]
    periods: tuple[PeriodLink, ...]
    chart: Chart
    roster: RosterView
    keys: tuple[KeyRow, ...]
    outcomes: tuple[Option, ...]
    types: tuple[Option, ...]
    picked: Mapping[str, str]
    filtered: bool
    attempts: tuple[AttemptRow, ...]
    log_note: str
    paging: PageLinks
    sections: tuple[SectionRow, ...]
    plugins: tuple[PluginRow, ...]
    template: Template
