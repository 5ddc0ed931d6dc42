"""The sync console: whether sync works and, if not, why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from crm_core.language import gettext, localized, ngettext
from crm_core.model.log import LogEntry, is_intact
from crm_core.model.times import to_wire
from crm_core.sync.log import FILTERS
from crm_core.web.answers import CSV, Answer, streamed
from crm_core.web.compression import compressed
from crm_core.web.log_export import as_csv, exported_log
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.figures.charts import Chart
from crm_core.web.pages.layout.parts import Fact, Mark, Option, PageLinks, PeriodLink
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.page_answers import page
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.sync.charts import PERIODS, Period, chart_of
from crm_core.web.pages.sync.console_view import (
    AttemptRow,
    KeyRow,
    SectionRow,
    Status,
)
from crm_core.web.pages.sync.findings import first_sentence, headline_of, lower_first
from crm_core.web.pages.sync.names import section_label
from crm_core.web.pages.sync.outcomes import OUTCOMES, STATES, diffs_of, outcome_of, refused_last, summary_of
from crm_core.web.pages.sync.plugin_rows import plugin_rows
from crm_core.web.pages.sync.push_template import template_of

_SHOWN: Final = 15
_MOST_DRAWN: Final = 5000


async def console(context: PageContext) -> Response:
    """The sync console."""
    return await _page(context, {})


async def show_request(context: PageContext) -> Response:
    """The sync console with the request that the form describes; nothing is sent."""
    form = await request.form
    return await _page(context, {name: form.get(name, "") for name in ("type", "mode", "data")})


async def export_log(context: PageContext) -> Answer:
    """Stream the whole log as CSV."""
    rows = exported_log(context.services, context.tenant, context.caller, {})
    named = {"Content-Disposition": 'attachment; filename="sync-log.csv"'}
    return await compressed(request.sent, streamed(as_csv(rows, bom=True), CSV, named))


async def _page(context: PageContext, form: Mapping[str, str]) -> Response:
    health, stored = await context.services.health.report(context.tenant), context.workspace.sections
    picked = {name: request.args.get(name, "") for name in ("status", "payload_type", "id")}
    entries, following = await _entries(context, picked)
    period = next((one for one in PERIODS if one.name == request.args.get("period")), PERIODS[0])
    filtered = any(picked.values())
    view = PageView(
        "sync.html",
        instance=context.services.settings.instance,
        tenant=context.tenant,
        export=f"{context.root}/sync/log.csv",
        status=await _status(context, health),
        facts=tuple(_facts(context, health)),
        periods=tuple(PeriodLink(f"?period={one.name}#activity", gettext(one.text), one is period) for one in PERIODS),
        chart=await _chart(context, period),
        roster_loaded=context.formats.within(health["roster"]["loaded_at"]),
        keys=tuple(_key(context, health, key) for key in health["accepted_keys"]),
        outcomes=(Option("", gettext("Any outcome")), *(Option(name, outcome_of(name).text) for name in OUTCOMES)),
        types=(
            Option("", gettext("Any type")),
            *(Option(name, name) for name in context.services.registry.payload_types),
        ),
        picked=picked,
        filtered=filtered,
        attempts=tuple(_attempt(context, entry) for entry in entries),
        log_note=_note(entries),
        paging=_paging(picked, following),
        sections=tuple(
            _section(context, name, one, restored=name in stored and stored[name].restored)
            for name, one in health["sections"].items()
        ),
        plugins=tuple(plugin_rows(context)),
        template=template_of(context, health, form),
    )
    return await page(context, "sync", view)


async def _status(context: PageContext, health: Mapping[str, Any]) -> Status:
    """The state of sync. The title names its cause: the error of a refused push, or the first reason of health."""
    tone, icon, word = STATES[health["status"]].translated
    reasons, success = list(map(localized, health["reasons"])), health["last_success"]
    lines = []
    if success is None:
        lines.append(gettext("No push was accepted yet. The workspace uses this instance's settings."))
    elif health["status"] != "degraded":
        at, name = context.formats.within(success["at"]), section_label(str(success["type"]))
        lines.append(
            gettext(
                "{push} version {version} was accepted {time}.",
                push=name,
                version=success["version"],
                time=at.short,
            )
        )
    refused = await _newest_refusal(context, health)
    if refused is not None:
        title = gettext("The newest push was refused: {cause}", cause=headline_of(refused))
        tone, icon = ("warn", "alert") if health["status"] == "ok" else (tone, icon)
    elif reasons:
        cause = first_sentence(reasons[0])
        title = f"{word}: {lower_first(cause)}"
        if health["status"] == "ok":  # forged pushes may not turn it red, but the key is worth a look
            tone, icon, title = "warn", "alert", cause
        reasons[0] = reasons[0].removeprefix(cause).removeprefix(".").strip()
    else:
        title = gettext("{word}: pushes are accepted", word=word)
    unverified = health["counts"]["24h"]["unverified"]
    if unverified:
        lines.append(
            ngettext(
                "{n} attempt in 24 hours could not be verified.",
                "{n} attempts in 24 hours could not be verified.",
                unverified,
            )
        )
    href = f"{context.root}/sync/attempts/{refused.id}" if refused else ""
    return Status(tone=tone, icon=icon, title=title, lines=(*filter(None, reasons), *lines), href=href)


async def _newest_refusal(context: PageContext, health: Mapping[str, Any]) -> LogEntry | None:
    """The newest verified attempt if it was refused; None if none can succeed now, which is the cause to name."""
    if not refused_last(health) or not health["enabled"] or health["expected_key"] is None:
        return None
    found, _ = await context.services.log.page(
        context.tenant, {"request_id": health["last_failure"]["request_id"]}, limit=1, cursor=None
    )
    return found[0] if found else None


def _facts(context: PageContext, health: Mapping[str, Any]) -> Iterator[Fact]:
    sync = context.services.settings.sync
    behind, ahead = sync.skew_seconds, sync.future_skew_seconds
    window = gettext("{n} s in either direction", n=behind)
    if ahead != behind:
        window = gettext("{behind} s behind, {ahead} s ahead", behind=behind, ahead=ahead)
    yield Fact(gettext("Receiver"), gettext("Enabled") if health["enabled"] else gettext("Disabled"))
    yield Fact(
        gettext("Expected key"),
        health["expected_key"] or gettext("No key is active"),
        code=health["expected_key"] is not None,
    )
    yield Fact(gettext("Schemes"), ", ".join(health["schemes"]))
    yield Fact(gettext("Clock window"), window)
    zone = context.branding.regional.zone.key.rpartition("/")[2].replace("_", " ")
    yield Fact(gettext("Server time"), f"{context.formats.clock(health['server_time'])} {zone}")
    yield Fact(gettext("Log head"), f"{health['log_head']['seq']}:{health['log_head']['hash'][:12]}", code=True)


async def _chart(context: PageContext, period: Period) -> Chart:
    now = context.services.now()
    since = to_wire(now - period.span)
    entries = []
    async for entry in context.services.log.every(context.tenant, {"since": since}):
        entries.append(entry)
        if len(entries) == _MOST_DRAWN:
            break
    return chart_of(entries, period, now, context.branding.regional, cut=len(entries) == _MOST_DRAWN)


def _key(context: PageContext, health: Mapping[str, Any], key: Mapping[str, Any]) -> KeyRow:
    name, formats = f"{context.tenant}:{key['key_version']}", context.formats
    starts, ends, used = (formats.moment(key[member]) for member in ("not_before", "not_after", "last_used_at"))
    if key["state"] == "active":
        text = gettext("Active, expected") if name == health["expected_key"] else gettext("Active")
        mark = Mark("ok", "check", text)
    elif key["state"] == "staged":
        mark = Mark("info", "clock", gettext("Starts {time}", time=starts.short) if starts else gettext("Staged"))
    else:
        mark = (
            Mark("bad", "x", gettext("Revoked"))
            if key["state"] == "revoked"
            else Mark("warn", "clock", gettext("Expired"))
        )
    types = gettext("All") if key["types"] is None else ", ".join(key["types"])
    schemes = gettext("{schemes} only", schemes=", ".join(key["schemes"])) if key["schemes"] else ""
    kind = gettext("Public key") if key["kind"] == "public" else gettext("Secret")
    return KeyRow(
        name=name,
        sub=" · ".join(
            filter(None, (kind, gettext("Used {time}", time=used.short) if used else gettext("Never used"), schemes))
        ),
        mark=mark,
        fingerprint=key["fingerprint"],
        types=types,
        used=used,
        uses=context.formats.number(key["uses"]),
        expires=ends,
    )


async def _entries(context: PageContext, picked: Mapping[str, str]) -> tuple[tuple[LogEntry, ...], str | None]:
    """A page of the log; the id is a request id or a nonce."""
    filters = {name: value for name, value in picked.items() if value and name in FILTERS}
    log = context.services.log
    if picked["id"]:
        by_request = {**filters, "request_id": picked["id"]}
        found, _ = await log.page(context.tenant, by_request, limit=1, cursor=None)
        filters = by_request if found else {**filters, "nonce": picked["id"]}
    return await log.page(context.tenant, filters, limit=_SHOWN, cursor=request.args.get("cursor"))


def _attempt(context: PageContext, entry: LogEntry) -> AttemptRow:
    return AttemptRow(
        href=f"{context.root}/sync/attempts/{entry.id}",
        at=context.formats.moment(entry.received_at),
        clock=context.formats.clock(entry.received_at),
        day=context.formats.date_unless_today(entry.received_at),
        mark=outcome_of(entry.status),
        payload=entry.payload_type or gettext("unknown"),
        version=f"v{entry.payload_version}" if entry.payload_version is not None else "",
        code=entry.error_code or "",
        count=entry.count,
        summary=summary_of(entry),
        diffs=diffs_of(context, entry),
        key=f"{context.tenant}:{entry.key_version}" if entry.key_version is not None else "",
        source=entry.source_ip or "",
        took=f"{entry.duration_ms} ms" if entry.duration_ms is not None else "",
    )


def _note(entries: tuple[LogEntry, ...]) -> str:
    linked = [entry for entry in entries if entry.entry_hash is not None]
    if not linked:
        return gettext("{n} newest", n=len(entries))
    sound = all(map(is_intact, linked))
    hashes = (
        gettext("Their hashes are valid.") if sound else gettext("One of their hashes is invalid. Run crm log verify.")
    )
    return gettext("{n} shown, {verified} of them verified.", n=len(entries), verified=len(linked)) + " " + hashes


def _paging(picked: Mapping[str, str], following: str | None) -> PageLinks:
    filters = {name: value for name, value in picked.items() if value}
    older = f"?{urlencode({**filters, 'cursor': following})}#attempts" if following else ""
    newest = f"?{urlencode(filters)}#attempts" if request.args.get("cursor") else ""
    return PageLinks(previous=newest, next=older, back=gettext("Newest"), forth=gettext("Older"))


def _section(context: PageContext, name: str, section: Mapping[str, Any], *, restored: bool) -> SectionRow:
    return SectionRow(
        name=name,
        version=section["version"],
        revision=section["revision"],
        sha256=section["sha256"],
        applied=context.formats.moment(section["applied_at"]),
        restored=restored,
        href=f"{context.root}/sync/sections/{name}",
    )
