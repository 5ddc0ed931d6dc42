"""The history of a section: revisions compared with the current one, and restoring one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from crm_core.errors import CrmError, NotFound
from crm_core.language import gettext, localized, ngettext
from crm_core.model.text_types import plain_integer
from crm_core.sync.revisions import Applied
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.layout.formats import Moment
from crm_core.web.pages.layout.parts import Option, PageLink, PageNotice, failure
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.page_answers import page, redirect
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.sync.diffs import Diff, diff_of
from crm_core.web.pages.sync.names import member_title, section_label, section_noun
from crm_core.workspace import Section, Workspace

_SHOWN: Final = 50
_COLORS: Final = {"primary": "primary-text", "accent": "accent-text", "sidebar": "side", "text": "text"}
"""The pushed colors, each with the theme token that shows it."""


class Swatch(msgspec.Struct, frozen=True):
    """A color as pushed and as shown."""

    name: str
    pushed: str
    worn: str


class RevisionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A stored revision."""

    revision: int
    version: int
    at: Moment
    by: str
    request: str
    changes: int


async def section(context: PageContext, section: str) -> Response:
    """The history of one section."""
    return await _page(context, section, request.args.get("against", ""))


async def preview_restore(context: PageContext, section: str) -> Response:
    """Run every check of a restore and write nothing."""
    return await _restore(context, section, preview=True)


async def restore(context: PageContext, section: str) -> Response:
    """Write the content of an earlier revision as a new one."""
    return await _restore(context, section, preview=False)


async def _restore(context: PageContext, name: str, *, preview: bool) -> Response:
    wanted, sent = (await request.form).get("revision", ""), request.sent
    try:
        receipt = await context.services.history.restore(
            context.tenant,
            name,
            _number(wanted),
            actor=context.caller.actor,
            request_id=sent.request_id,
            client_request_id=sent.client_request_id,
            source=sent.source,
            preview=preview,
        )
    except CrmError as error:
        text = " ".join(localized(finding.message) for finding in error.errors) or localized(error.detail)
        return await _page(
            context, name, wanted, failure(gettext("This revision cannot be restored."), text), error.status
        )
    if not preview:
        return redirect(
            context,
            f"/sync/sections/{name}",
            gettext("Revision {wanted} restored as revision {revision}", wanted=wanted, revision=receipt.revision),
        )
    count, warnings = len(receipt.changes), [localized(one["message"]) for one in receipt.warnings]
    text = " ".join([ngettext("{n} value would change.", "{n} values would change.", count), *warnings])
    notice = PageNotice(
        tone="info", icon="eye", title=gettext("Revision {wanted} can be restored.", wanted=wanted), text=text.strip()
    )
    return await _page(context, name, wanted, notice)


async def _page(
    context: PageContext, name: str, against: str, notice: PageNotice | None = None, status: int = 200
) -> Response:
    revisions, _ = await context.services.history.page(context.tenant, name, limit=_SHOWN, cursor=None)
    workspace = await context.services.views.of(context.tenant)
    current = workspace.sections.get(name)
    earlier = [one for one in revisions if current is not None and one.revision != current.revision]
    chosen = _chosen(earlier, against)
    made = _changes(context, name, revisions, request.args.get("changes", ""))
    may_restore = chosen is not None and made is None and "sync.restore" in context.keys
    rows = [await _row(context, one) for one in revisions]
    heading, note, diff = made or _compared(context, name, current, chosen)
    options = [
        Option(
            str(one.revision),
            gettext("Revision {revision}, {moment}", revision=one.revision, moment=_moment(context, one)),
        )
        for one in earlier
    ]
    view = PageView(
        "section.html",
        section=name,
        name=section_noun(name),
        sub=gettext("Version {version}, revision {revision}", version=current.version, revision=current.revision)
        if current
        else gettext("Nothing was pushed yet"),
        crumbs=(
            PageLink(f"{context.root}/sync", gettext("Sync console")),
            PageLink(f"{context.root}/sync#sections", gettext("Sections")),
        ),
        notice=notice,
        swatches=tuple(_swatches(context, workspace, name)),
        heading=heading,
        note=note,
        revisions=tuple(options),
        against=str(chosen.revision) if chosen else "",
        current=current.revision if current else 0,
        version=current.version if current else 0,
        may_restore=may_restore,
        restore_text=_warning(context, name, chosen, current),
        diff=diff,
        rows=tuple(rows),
    )
    return await page(context, "sync", view, status)


def _chosen(earlier: list[Applied], against: str) -> Applied | None:
    """The revision that the address names, or the one before the current."""
    named = next((one for one in earlier if str(one.revision) == against), None)
    return named or (earlier[0] if earlier else None)


def _changes(
    context: PageContext, name: str, revisions: Sequence[Applied], wanted: str
) -> tuple[str, str, Diff] | None:
    """Heading, note and diff of the changes that a revision made; None if the address names none that is stored."""
    at = next((at for at, one in enumerate(revisions) if str(one.revision) == wanted), None)
    if at is None:
        return None
    made, before = revisions[at], revisions[at + 1] if at + 1 < len(revisions) else None
    names = (
        _revision_text(context, before) if before else gettext("No earlier revision is stored"),
        _revision_text(context, made),
    )
    diff = diff_of(before.data if before else {}, made.data, names)
    heading = gettext("{section}: changes of revision {revision}", section=section_label(name), revision=made.revision)
    return heading, gettext("Before left, after right"), diff


def _revision_text(context: PageContext, one: Applied) -> str:
    return gettext(
        "Revision {revision} · version {version} · {moment}",
        revision=one.revision,
        version=one.version,
        moment=_moment(context, one),
    )


def _compared(
    context: PageContext, name: str, current: Section | None, chosen: Applied | None
) -> tuple[str, str, Diff | None]:
    """Heading, note and diff of an earlier revision and the current one."""
    if current is None:
        return gettext("No revision"), gettext("Applied pushes show here"), None
    now = gettext(
        "Revision {revision} · version {version} · current", revision=current.revision, version=current.version
    )
    if chosen is None:
        heading = gettext("Current {name}", name=section_noun(name))
        note = gettext("There is no earlier revision to compare with")
        return heading, note, diff_of(current.data, current.data, (now, now))
    heading = gettext(
        "{section}: revision {chosen} and {current}",
        section=section_label(name),
        chosen=chosen.revision,
        current=current.revision,
    )
    diff = diff_of(chosen.data, current.data, (_revision_text(context, chosen), now))
    return heading, gettext("Earlier revision left, current one right"), diff


def _warning(context: PageContext, name: str, chosen: Applied | None, current: Section | None) -> str:
    if chosen is None or current is None:
        return ""
    return gettext(
        "{section} goes back to {time} immediately and for all users. Restoring writes a new revision, so you can "
        "return to revision {current} the same way. Current secrets stay.",
        section=section_label(name),
        time=_moment(context, chosen),
        current=current.revision,
    )


def _moment(context: PageContext, one: Applied) -> str:
    return context.formats.moment(one.applied_at).full


async def _row(context: PageContext, one: Applied) -> RevisionRow:
    by = f"{context.tenant}:{one.key_version}" if one.key_version is not None else await context.names.actor(one.actor)
    return RevisionRow(
        revision=one.revision,
        version=one.version,
        at=context.formats.moment(one.applied_at),
        by=by,
        request=one.request_id,
        changes=len(one.changes),
    )


def _swatches(context: PageContext, workspace: Workspace, section: str) -> Iterator[Swatch]:
    """The colors of a section that gives some."""
    reading = workspace.readings.get(section)
    look = reading.meaning.appearance if reading is not None else None
    colors: Mapping[str, str] = (look.colors or {}) if look is not None else {}
    for name, token in _COLORS.items():
        if name in colors:
            yield Swatch(member_title(name), colors[name].lower(), context.branding.light[token])


def _number(text: str) -> int:
    number = plain_integer(text, least=0, most=10**9)
    if number is None:
        raise NotFound(gettext("This revision does not exist."))
    return number
