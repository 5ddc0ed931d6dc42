"""The page of one attempt: how to fix it, the sixteen checks, and all that was logged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from quart import Response

from crm_core import errors
from crm_core.errors import CrmError, RateLimited
from crm_core.model.log import LogEntry, is_intact
from crm_core.sync.logged_findings import MOST
from crm_core.web.pages.layout.formats import Moment
from crm_core.web.pages.layout.parts import Fact, Mark, PageLink
from crm_core.web.pages.page_answers import page
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.sync.attempt_checks import AttemptCheck, check_that_failed, checks_of
from crm_core.web.pages.sync.console import OUTCOMES, diffs_of, summary_of
from crm_core.web.pages.sync.findings import FindingText, findings_of, headline_of
from crm_core.web.pages.sync.remedies import Remedy, remedy_of

_STATUSES: Final = {
    one.code: one.status
    for one in vars(errors).values()
    if isinstance(one, type) and issubclass(one, CrmError) and isinstance(one.code, str)
}
_VERBS: Final = {
    "applied": "applied",
    "unchanged": "unchanged",
    "previewed": "previewed",
    "rejected": "refused",
    "failed": "failed",
}


class AttemptView(msgspec.Struct, frozen=True, kw_only=True):
    """The page of an attempt."""

    title: str
    push: str
    sub: str
    request_id: str
    at: Moment | None
    mark: Mark
    tone: str
    older: str
    remedy: Remedy | None
    code: str
    message: str
    fix: str
    findings: tuple[FindingText, ...]
    findings_sum: str
    diffs: tuple[PageLink, ...]
    checks: tuple[AttemptCheck, ...]
    checks_sum: str
    request: tuple[Fact, ...]
    answer: tuple[Fact, ...]
    answer_mark: Mark
    entry: tuple[Fact, ...]
    chain: Mark


async def attempt(context: PageContext, id: str) -> Response:  # noqa: A002 -- the wire's word
    """One attempt."""
    entry = await context.services.log.one(context.tenant, id)
    older, _ = await context.services.log.page(context.tenant, {"until": entry.received_at}, limit=1, cursor=None)
    before = f"{context.root}/sync/attempts/{older[0].id}" if older else ""
    return await page(context, "attempt.html", "sync", _view(context, entry, before))


def _view(context: PageContext, entry: LogEntry, older: str) -> AttemptView:
    checks = tuple(checks_of(entry, context.services.settings.instance))
    version = f" version {entry.payload_version}" if entry.payload_version is not None else ""
    mark, push = OUTCOMES[entry.status], f"{(entry.payload_type or 'Push').capitalize()}{version}"
    findings = tuple(findings_of(entry))
    return AttemptView(
        title=headline_of(entry) or f"{push}, {_VERBS[entry.status]}",
        push=push,
        sub=_sub(entry),
        request_id=entry.request_id,
        at=context.formats.moment(entry.received_at),
        mark=mark,
        tone="bad" if entry.status == "failed" else "warn",
        older=older,
        remedy=remedy_of(entry),
        code=entry.error_code or "",
        message=entry.error_message or "",
        fix=f"Your platform must fix {_places(len(findings))} in this payload" if findings else "How to fix it",
        findings=findings,
        findings_sum=_findings_sum(len(findings)),
        diffs=diffs_of(context, entry),
        checks=checks,
        checks_sum=_sum(entry, checks),
        request=tuple(_request(context, entry)),
        answer=tuple(_answer(entry)),
        answer_mark=Mark(mark.tone, mark.icon, str(status_of(entry))),
        entry=tuple(_entry(entry)),
        chain=_chain(entry),
    )


def _places(count: int) -> str:
    return "1 place" if count == 1 else f"{count} places"


def _findings_sum(count: int) -> str:
    return f"The first {MOST}; more may follow" if count == MOST else "In the order of the payload"


def status_of(entry: LogEntry) -> int:
    """The HTTP status of the response to an attempt."""
    if entry.error_code is None:
        return 200
    return _STATUSES.get(entry.error_code, 422)


def _sub(entry: LogEntry) -> str:
    parts = [f" from {entry.source_ip}" if entry.source_ip else "", f"answered {status_of(entry)}"]
    if entry.duration_ms is not None:
        parts[1] += f" after {entry.duration_ms} ms"
    parts.append(summary_of(entry).lower() if entry.error_code is None else "nothing changed")
    if entry.count > 1:
        parts.append(f"counts {entry.count} attempts")
    return " · ".join(parts)


def _sum(entry: LogEntry, checks: tuple[AttemptCheck, ...]) -> str:
    if entry.error_code is None:
        return "All 16 passed" if entry.scheme else "A restore, not a push: checks 1 to 12 do not apply"
    if entry.error_code == RateLimited.code:
        return "Not shown: over the limit of its source, all attempts get the same response"
    passed, failed = sum(check.word == "Passed" for check in checks), check_that_failed(entry)
    if failed is None:
        return f"{passed} passed, then this instance failed"
    return f"{passed} passed, number {failed.number} failed, {len(checks) - failed.number} were not reached"


def _request(context: PageContext, entry: LogEntry) -> Iterator[Fact]:
    yield Fact("Request id", entry.request_id, code=True)
    for name, value, code in (
        ("Sender's id", entry.client_request_id, True),
        ("Scheme", entry.scheme, False),
        ("Key", f"{context.tenant}:{entry.key_version}" if entry.key_version is not None else None, True),
        ("Signature", entry.signature_result.replace("_", " ").capitalize(), False),
        ("Nonce", entry.nonce, True),
        ("Mode", entry.mode, False),
        ("By", entry.actor, True),
        ("Size", f"{entry.payload_bytes:,} bytes" if entry.payload_bytes is not None else None, False),
        ("Body hash", entry.payload_sha256, True),
    ):
        if value:
            yield Fact(name, value, code=code)


def _answer(entry: LogEntry) -> Iterator[Fact]:
    if entry.error_code:
        yield Fact("Code", entry.error_code, code=True)
        yield Fact("Detail", entry.error_message or "None")
        return
    yield Fact("Status", entry.status)
    if entry.revision is not None:
        yield Fact("Revision", str(entry.revision))
    yield Fact("Changes", str(entry.changes_count or 0))


def _entry(entry: LogEntry) -> Iterator[Fact]:
    if entry.entry_hash is None:
        yield Fact("Stored", "Outside the chain, because it was not verified")
        return
    yield Fact("Number", str(entry.seq))
    yield Fact("Previous", entry.prev_hash or "", code=True)
    yield Fact("This entry", entry.entry_hash, code=True)


def _chain(entry: LogEntry) -> Mark:
    if entry.entry_hash is None:
        return Mark("idle", "minus", "Not in the chain")
    return Mark("ok", "check", "Hash valid") if is_intact(entry) else Mark("bad", "x", "Hash invalid")
