"""The page of one attempt: how to fix it, the sixteen checks, and all that was logged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from crm_core import errors
from crm_core.errors import CrmError, RateLimited
from crm_core.language import gettext, gettext_noop, localized, ngettext, noun
from crm_core.model.log import LogEntry, is_intact
from crm_core.sync.logged_findings import MOST
from crm_core.web.pages.browser import Response
from crm_core.web.pages.layout.parts import Fact, Mark
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.page_answers import page
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.sync.attempt_checks import AttemptCheck, check_that_failed, checks_of
from crm_core.web.pages.sync.findings import findings_of, headline_of
from crm_core.web.pages.sync.names import section_label
from crm_core.web.pages.sync.outcomes import diffs_of, outcome_of, summary_of
from crm_core.web.pages.sync.remedies import remedy_of

_STATUSES: Final = {
    one.code: one.status
    for one in vars(errors).values()
    if isinstance(one, type) and issubclass(one, CrmError) and isinstance(one.code, str)
}
_VERBS: Final = {
    "applied": gettext_noop("applied"),
    "unchanged": gettext_noop("unchanged"),
    "previewed": gettext_noop("previewed"),
    "rejected": gettext_noop("refused"),
    "failed": gettext_noop("failed"),
}
_MODES: Final = {"apply": gettext_noop("apply"), "preview": gettext_noop("preview")}
_SIGNATURES: Final = {
    "valid": gettext_noop("Valid"),
    "missing": gettext_noop("Missing"),
    "malformed": gettext_noop("Malformed"),
    "unknown_key": gettext_noop("Unknown key"),
    "inactive_key": gettext_noop("Inactive key"),
    "invalid": gettext_noop("Invalid"),
    "unchecked": gettext_noop("Unchecked"),
}


async def attempt(context: PageContext, id: str) -> Response:  # noqa: A002 -- the wire's word
    """One attempt."""
    entry = await context.services.log.one(context.tenant, id)
    older, _ = await context.services.log.page(context.tenant, {"until": entry.received_at}, limit=1, cursor=None)
    before = f"{context.root}/sync/attempts/{older[0].id}" if older else ""
    return await page(context, "sync", _view(context, entry, before))


def _view(context: PageContext, entry: LogEntry, older: str) -> PageView:
    checks = tuple(checks_of(entry, context.services.settings.instance))
    mark, push = outcome_of(entry.status), section_label(entry.payload_type) if entry.payload_type else gettext("Push")
    if entry.payload_version is not None:
        push = gettext("{push} version {version}", push=push, version=entry.payload_version)
    findings = tuple(findings_of(entry))
    return PageView(
        "attempt.html",
        title=headline_of(entry) or f"{push}, {gettext(_VERBS[entry.status])}",
        push=push,
        sub=_sub(entry),
        request_id=entry.request_id,
        at=context.formats.within(entry.received_at),
        mark=mark,
        tone="bad" if entry.status == "failed" else "warn",
        older=older,
        remedy=remedy_of(entry),
        code=entry.error_code or "",
        message=localized(entry.error_message or ""),
        fix=_fix(len(findings)),
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


def _fix(count: int) -> str:
    if not count:
        return gettext("How to fix it")
    return ngettext(
        "Your platform must fix {n} place in this payload", "Your platform must fix {n} places in this payload", count
    )


def _findings_sum(count: int) -> str:
    return (
        gettext("The first {most}; more may follow", most=MOST)
        if count == MOST
        else gettext("In the order of the payload")
    )


def status_of(entry: LogEntry) -> int:
    """The HTTP status of the response to an attempt."""
    if entry.error_code is None:
        return 200
    return _STATUSES.get(entry.error_code, 422)


def _sub(entry: LogEntry) -> str:
    source = " " + gettext("from {address}", address=entry.source_ip) if entry.source_ip else ""
    parts = [source, gettext("answered {status}", status=status_of(entry))]
    if entry.duration_ms is not None:
        parts[1] = gettext("answered {status} after {ms} ms", status=status_of(entry), ms=entry.duration_ms)
    parts.append(noun(summary_of(entry)) if entry.error_code is None else gettext("nothing changed"))
    if entry.count > 1:
        parts.append(gettext("counts {n} attempts", n=entry.count))
    return " · ".join(parts)


def _sum(entry: LogEntry, checks: tuple[AttemptCheck, ...]) -> str:
    if entry.error_code is None:
        return (
            gettext("All 16 passed") if entry.scheme else gettext("A restore, not a push: checks 1 to 12 do not apply")
        )
    if entry.error_code == RateLimited.code:
        return gettext("Not shown: over the limit of its source, all attempts get the same response")
    passed, failed = sum(check.mark.tone == "ok" for check in checks), check_that_failed(entry)
    if failed is None:
        return gettext("{n} passed, then this instance failed", n=passed)
    return gettext(
        "{n} passed, number {failed} failed, {rest} were not reached",
        n=passed,
        failed=failed.number,
        rest=len(checks) - failed.number,
    )


def _request(context: PageContext, entry: LogEntry) -> Iterator[Fact]:
    yield Fact(gettext("Request id"), entry.request_id, code=True)
    for name, value, code in (
        (gettext("Sender's id"), entry.client_request_id, True),
        (gettext("Scheme"), entry.scheme, False),
        (gettext("Key"), f"{context.tenant}:{entry.key_version}" if entry.key_version is not None else None, True),
        (gettext("Signature"), gettext(_SIGNATURES[entry.signature_result]), False),
        (gettext("Nonce"), entry.nonce, True),
        (gettext("Mode"), gettext(_MODES.get(entry.mode, entry.mode)) if entry.mode else None, False),
        (gettext("By"), entry.actor, True),
        (
            gettext("Size"),
            gettext("{n} bytes", n=f"{entry.payload_bytes:,}") if entry.payload_bytes is not None else None,
            False,
        ),
        (gettext("Body hash"), entry.payload_sha256, True),
    ):
        if value:
            yield Fact(name, value, code=code)


def _answer(entry: LogEntry) -> Iterator[Fact]:
    if entry.error_code:
        yield Fact(gettext("Code"), entry.error_code, code=True)
        yield Fact(gettext("Detail"), localized(entry.error_message or "") or gettext("None"))
        return
    yield Fact(gettext("Status"), outcome_of(entry.status).text)
    if entry.revision is not None:
        yield Fact(gettext("Revision"), str(entry.revision))
    yield Fact(gettext("Changes"), str(entry.changes_count or 0))


def _entry(entry: LogEntry) -> Iterator[Fact]:
    if entry.entry_hash is None:
        yield Fact(gettext("Stored"), gettext("Outside the chain, because it was not verified"))
        return
    yield Fact(gettext("Number"), str(entry.seq))
    yield Fact(gettext("Previous"), entry.prev_hash or "", code=True)
    yield Fact(gettext("This entry"), entry.entry_hash, code=True)


def _chain(entry: LogEntry) -> Mark:
    if entry.entry_hash is None:
        return Mark("idle", "minus", gettext("Not in the chain"))
    return Mark("ok", "check", gettext("Hash valid")) if is_intact(entry) else Mark("bad", "x", gettext("Hash invalid"))
