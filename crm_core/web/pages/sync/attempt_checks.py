"""The sixteen checks of an attempt, as its page shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from crm_core.language import gettext, ngettext
from crm_core.model.log import LogEntry
from crm_core.sync.checks import LAST_UNVERIFIED, Check, failed_check
from crm_core.web.pages.layout.parts import Mark


class AttemptCheck(NamedTuple):
    """A check of one attempt, with a mark that says whether it passed, failed or was not reached."""

    number: int
    title: str
    mark: Mark
    detail: str


def check_that_failed(entry: LogEntry) -> Check | None:
    """The check that refused an attempt, if one did."""
    return None if entry.error_code is None else failed_check(entry.error_code, verified=entry.seq is not None)


def checks_of(entry: LogEntry, instance: str) -> Iterator[AttemptCheck]:
    """The checks of an attempt in their order."""
    failed = check_that_failed(entry)
    verified = LAST_UNVERIFIED.number if entry.seq is not None else 0
    last_passed = len(Check) if entry.error_code is None else failed.number - 1 if failed else verified
    details = _details(entry, instance)
    for check in Check:
        mark = Mark("idle", "minus", gettext("Not reached"))
        if check is failed:
            mark = Mark("bad", "x", gettext("Failed"))
        elif check.number <= last_passed:
            mark = Mark("ok", "check", gettext("Passed"))
        yield AttemptCheck(
            check.number, gettext(check.title), mark, details.get(check, "") if mark.tone == "ok" else ""
        )


def _details(entry: LogEntry, instance: str) -> Mapping[Check, str]:
    size = "" if entry.payload_bytes is None else gettext("{n} bytes", n=f"{entry.payload_bytes:,}")
    key = "" if entry.key_version is None else f"{entry.tenant}:{entry.key_version}"
    version = "" if entry.payload_version is None else gettext("Version {version}", version=entry.payload_version)
    applied, changes = "", entry.changes_count or 0
    if entry.revision is not None:
        applied = ngettext(
            "Revision {revision}, {n} change", "Revision {revision}, {n} changes", changes, revision=entry.revision
        )
    if entry.status == "unchanged":
        applied = gettext("No section changed")
    if entry.status == "previewed":
        applied = gettext("A preview: nothing was written")
    return {
        Check.ADDRESS: f"{instance}, {entry.tenant}, {entry.payload_type or gettext('no type')}",
        Check.RECEIVER: gettext("For the instance and for {tenant}", tenant=entry.tenant),
        Check.BODY: f"application/json, {size}" if size else "",
        Check.HEADERS: gettext("Scheme {scheme}", scheme=entry.scheme) if entry.scheme else "",
        Check.KEY: key,
        Check.SIGNATURE: gettext("With key {key}", key=key) if key else "",
        Check.KEY_LIMITS: gettext("From {address}", address=entry.source_ip) if entry.source_ip else "",
        Check.VERSION: version,
        Check.APPLY: applied,
    }
