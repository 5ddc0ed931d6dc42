"""One act for many records of a list: the page with its field or a confirmation, its progress and result."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from msgspec.structs import replace

from crm_core.errors import InvalidRecord, NotFound
from crm_core.language import gettext, gettext_noop, localized
from crm_core.model.text_types import plain_integer
from crm_core.plugin.member import Member
from crm_core.plugin.record_type import RecordType
from crm_core.records.bulk import MOST_CHOSEN, BulkTally, Selected
from crm_core.web.pages.browser import Form, Response, request
from crm_core.web.pages.layout.frame import Undo
from crm_core.web.pages.layout.labels import within_sentence
from crm_core.web.pages.layout.parts import PageLink, PageNotice, failure
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.layout.rights import reason_in_words
from crm_core.web.pages.page_answers import page, redirect
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.progress import followed
from crm_core.web.pages.records.bulk_acts import fields_of, patch_of, settable, undoing
from crm_core.web.pages.records.form_fields import Field
from crm_core.web.pages.records.forms import RecordForm
from crm_core.web.pages.records.picking import Picks, resolved, with_shown
from crm_core.web.pages.records.queries import access_of, counted, list_parameters, record_type_of
from crm_core.web.pages.records.views import address_of, in_query

_ASKED: Final = 20
"""Records that are archived on the first click, and that a confirmation can undo."""
_STREAMED: Final = 100
"""From this number on a script shows the progress."""
_REASONS: Final[Mapping[str, str]] = {
    "not_found": gettext_noop("It no longer exists."),
    "record_archived": gettext_noop("It is archived."),
    "revision_mismatch": gettext_noop("Someone else changed it in the meantime."),
}


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


class Bulk(msgspec.Struct, frozen=True, kw_only=True):
    """A sent selection with its act."""

    context: PageContext
    type: RecordType
    selected: Selected
    query: str
    total: int
    came_from: str

    @classmethod
    async def sent(cls, context: PageContext, module: str, form: Form) -> Bulk:
        """The selection of a form. Raises NotFound, AccessError, InvalidParameter."""
        record_type, access = record_type_of(context, module), access_of(context, module)
        query = form.get("query", "")[:8192]
        if form.get("all") == "true":
            selected = Selected(parameters=list_parameters(access.shape, dict(parse_qsl(query))))
        else:
            chosen = dict(_revisioned(text) for text in (*form.getlist("record"), *form.get("value", "").split()))
            selected = Selected(tuple(chosen.items())[:MOST_CHOSEN])
        total = await context.services.records.bulk.count(access, selected)
        came_from = form.get("back", "")
        return cls(context=context, type=record_type, selected=selected, query=query, total=total, came_from=came_from)

    @property
    def path(self) -> str:
        """The address of the list."""
        return f"{self.context.root}/{self.type.NAME}"

    @property
    def back(self) -> str:
        """The list that the selection was made in."""
        if self.came_from.startswith(f"{self.path}?"):
            return self.came_from
        return address_of(self.context, self.type, in_query(self.context, self.type, self.query))

    @property
    def records(self) -> str:
        """The number of records in words."""
        return counted(self.context, self.type, self.total)

    async def page(
        self,
        heading: str,
        action: str,
        act: str = "",
        *,
        fields: tuple[Field, ...] = (),
        text: str = "",
        submit: str = "",
        problem: PageNotice | None = None,
        result: BulkResult | None = None,
        status: int = 200,
    ) -> Response:
        """The page of an act: the selection as its form sends it again, and its fields or its result."""
        title = self.context.title_of(self.type)
        view = PageView(
            "bulk.html",
            module=self.type.NAME,
            title=title,
            heading=heading,
            crumbs=(PageLink(self.back, title),),
            path=self.path,
            action=f"{self.path}/bulk/{action}",
            back=self.back,
            chosen=tuple(f"{id_}:{revision}" if revision else id_ for id_, revision in self.selected.chosen),
            query=self.query,
            everything=self.selected.parameters is not None,
            act=act,
            fields=fields,
            text=text,
            submit=submit,
            streams=self.total >= _STREAMED,
            problem=problem,
            result=result,
        )
        return await page(self.context, self.type.NAME, view, status)


async def asking(context: PageContext, module: str) -> Response:
    """The page with the field of one member for the selected records."""
    form = await request.form
    bulk = await Bulk.sent(context, module, form)
    return await _asked(bulk, _member(bulk, form), form)


async def set_many(context: PageContext, module: str) -> Response:
    """Give one member of the selected records a value."""
    sent = await request.form
    bulk = await Bulk.sent(context, module, sent)
    member, picks = _member(bulk, sent), await resolved(context, bulk.type, sent)
    if picks.searches or picks.texts:
        return await _asked(bulk, member, picks.form, picks)
    try:
        patch = patch_of(member, picks.form)
    except InvalidRecord as error:
        return await _asked(bulk, member, picks.form, problem=localized(error.detail))
    services, access = context.services, access_of(context, module)
    tallies = services.records.bulk.update(access, bulk.selected, patch, services.callers.current)
    return await _answer(
        bulk, tallies, gettext("Changing {label}", label=within_sentence(member)), gettext("{records} changed"), "undo"
    )


async def undo_many(context: PageContext, module: str) -> Response:
    """Set the newest change of the selected records back, of those that have not changed since."""
    bulk = await Bulk.sent(context, module, await request.form)
    access = access_of(context, module)
    patch = undoing(context, access, dict(bulk.selected.chosen))
    services = context.services
    tallies = services.records.bulk.update(access, bulk.selected, patch, services.callers.current)
    return await _answer(bulk, tallies, gettext("Undoing"), gettext("{records} set back"))


async def archive_many(context: PageContext, module: str) -> Response:
    """Archive the selected records; many only after a confirmation."""
    form = await request.form
    bulk = await Bulk.sent(context, module, form)
    if bulk.total > _ASKED and form.get("form:sure") != "true":
        text = gettext("They leave lists, searches and counts, and can be restored. References to them stay.")
        heading = gettext("Archive {records}?", records=bulk.records)
        return await bulk.page(heading, "archive", text=text, submit=gettext("Archive {records}", records=bulk.records))
    return await _moved(bulk, archived=True)


async def restore_many(context: PageContext, module: str) -> Response:
    """Bring the selected records back."""
    return await _moved(await Bulk.sent(context, module, await request.form), archived=False)


async def _moved(bulk: Bulk, *, archived: bool) -> Response:
    services, access = bulk.context.services, access_of(bulk.context, bulk.type.NAME)
    tallies = services.records.bulk.move(access, bulk.selected, services.callers.current, archived=archived)
    doing, done, undo = (
        (gettext("Archiving"), gettext("{records} archived"), "restore")
        if archived
        else (gettext("Restoring"), gettext("{records} restored"), "archive")
    )
    return await _answer(bulk, tallies, doing, done, undo)


def _revisioned(text: str) -> tuple[str, int]:
    id_, _, revision = text[:80].partition(":")
    return id_, plain_integer(revision, least=0, most=2**53) or 0


def _member(bulk: Bulk, form: Form) -> Member:
    found = next((one for one in settable(bulk.type) if one.name == form.get("act")), None)
    if found is None:
        raise NotFound(gettext("This field cannot be set here."))
    return found


async def _asked(bulk: Bulk, member: Member, form: Form, picks: Picks | None = None, problem: str = "") -> Response:
    """The page with the fields of an act."""
    context, label = bulk.context, within_sentence(member)
    if not bulk.total:
        notice = failure(gettext("Nothing is selected."), gettext("Go back and select records."))
        return await bulk.page(gettext("Change {label}", label=label), "set", member.name, problem=notice, status=422)
    fields = tuple(fields_of(member, form))
    if member.is_person:
        blank = RecordForm(type=bulk.type, formats=context.formats, values={member.name: form.get(member.name, "")})
        shown = await with_shown(context, blank, picks)
        hint = gettext("Leave it empty for no {label}.", label=label)
        fields = tuple(replace(one, hint=hint) for one in shown.fields() if one.name == member.name)
    if problem:
        fields = (replace(fields[0], error=problem), *fields[1:])
    heading = gettext("Change {label} of {records}", label=label, records=bulk.records)
    submit = gettext("Change {records}", records=bulk.records)
    status = 422 if problem or (picks and picks.texts) else 200
    return await bulk.page(heading, "set", member.name, fields=fields, submit=submit, status=status)


async def _answer(bulk: Bulk, tallies: AsyncIterator[BulkTally], doing: str, done: str, undo: str = "") -> Response:
    """Stream the progress to a script; show a form the result, or the list if a few records were all changed."""
    results, title = _results(bulk, tallies, doing, done, undo), bulk.context.title_of(bulk.type)
    result = await followed(bulk.context, results, "bulk_result.html", back=bulk.back, title=title)
    if isinstance(result, Response):
        return result
    if result.notice.tone == "ok" and len(result.chosen) <= _ASKED:
        value = " ".join(result.chosen)
        undone = Undo(action=result.undo, value=value, back=bulk.back) if result.undo else None
        return redirect(bulk.context, bulk.back, result.notice.title, undone)
    return await bulk.page(result.notice.title, "set", result=result)


async def _results(
    bulk: Bulk, tallies: AsyncIterator[BulkTally], doing: str, done: str, undo: str
) -> AsyncIterator[BulkResult]:
    context, number = bulk.context, bulk.context.formats.number
    tally = BulkTally()
    async for tally in tallies:
        title = gettext("{doing}: {done} of {total}", doing=doing, done=number(tally.done), total=number(bulk.total))
        notice = PageNotice(tone="info", icon="sync", title=title)
        yield BulkResult(running=True, done=tally.done, total=max(bulk.total, tally.done), notice=notice)
    counts = done.format(records=counted(context, bulk.type, tally.changes))
    if tally.refusals:
        counts = gettext("{counts}, {n} refused", counts=counts, n=number(tally.refusals))
    if tally.stopped is not None:
        reason = reason_in_words(context.workspace, tally.stopped.detail)
        notice = failure(gettext("{counts}. Then it stopped.", counts=counts), reason)
    elif tally.refusals:
        notice = PageNotice(tone="warn", icon="alert", title=f"{counts}.")
    else:
        notice = PageNotice(tone="ok", icon="check", title=counts)
    can_undo = undo and 0 < len(tally.changed) <= MOST_CHOSEN
    yield BulkResult(
        running=False,
        done=tally.done,
        total=bulk.total,
        notice=notice,
        refused=tuple(
            RefusedRow(
                f"{bulk.path}/{one.id}" if one.name else "",
                one.name or one.id,
                localized(_REASONS.get(one.code, one.message)),
            )
            for one in tally.refused
        ),
        undo=f"{bulk.path}/bulk/{undo}" if can_undo else "",
        chosen=tuple(f"{id_}:{revision}" for id_, revision in tally.changed) if can_undo else (),
    )
