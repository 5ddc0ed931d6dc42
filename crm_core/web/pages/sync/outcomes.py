"""The outcomes of attempts: as marks, in a few words, and as links to what changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from crm_core.language import gettext, gettext_noop, ngettext
from crm_core.model.log import LogEntry
from crm_core.web.pages.layout.parts import Mark, PageLink
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.sync.findings import headline_of

OUTCOMES: Final[Mapping[str, Mark]] = {
    "applied": Mark("ok", "check", gettext_noop("Applied")),
    "unchanged": Mark("ok", "minus", gettext_noop("Unchanged")),
    "previewed": Mark("info", "eye", gettext_noop("Previewed")),
    "rejected": Mark("warn", "lock", gettext_noop("Rejected")),
    "failed": Mark("bad", "x", gettext_noop("Failed")),
}

STATES: Final[Mapping[str, Mark]] = {
    "ok": Mark("ok", "check", gettext_noop("OK")),
    "degraded": Mark("bad", "alert", gettext_noop("Degraded")),
    "stale": Mark("warn", "clock", gettext_noop("Stale")),
    "disabled": Mark("idle", "pause", gettext_noop("Disabled")),
}
"""The states of sync, by the status of health."""


def refused_last(health: Mapping[str, Any]) -> bool:
    """Whether the newest verified attempt was refused."""
    success, failure = health["last_success"], health["last_failure"]
    return failure is not None and (success is None or success["at"] <= failure["at"])


def outcome_of(status: str) -> Mark:
    """An outcome as a mark in the current language."""
    return OUTCOMES[status].translated


def summary_of(entry: LogEntry) -> str:
    """The outcome of an attempt in a few words."""
    count = entry.changes_count or 0
    changes = ngettext("{n} change", "{n} changes", count)
    if entry.status == "applied":
        if entry.scheme:
            return gettext("Revision {revision}, {changes}", revision=entry.revision, changes=changes)
        return gettext("Revision {revision}, {changes}, restored", revision=entry.revision, changes=changes)
    if entry.status == "unchanged":
        return (
            gettext("Revision {revision}, no section changed", revision=entry.revision)
            if entry.revision
            else gettext("No section changed")
        )
    if entry.status == "previewed":
        return gettext("{changes}, nothing written", changes=changes)
    return headline_of(entry)


def diffs_of(context: PageContext, entry: LogEntry) -> tuple[PageLink, ...]:
    """Links to the changes that an applied push made, by section, as long as its revision is stored."""
    return tuple(
        PageLink(f"{context.root}/sync/sections/{name}?changes={entry.revision}", name)
        for name, section in context.workspace.sections.items()
        if entry.status == "applied" and entry.revision in section.history
    )
