"""Importing a CSV file: choose it, match its columns and look at what each row would do, then import with progress."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from crm_core.errors import CrmError, InvalidRecord
from crm_core.language import gettext, localized, noun
from crm_core.model.spreadsheet import BOM
from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.browser import Response, csv_file, request
from crm_core.web.pages.layout.parts import Option, PageLink, PageNotice, failure
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.layout.rights import reason_in_words
from crm_core.web.pages.page_answers import page
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.progress import followed
from crm_core.web.pages.records.import_file import (
    MOST_ROWS,
    ImportFile,
    decoded,
    failed_rows,
    fields_of,
    keys_of,
    matched,
    may_be_joined,
    parsed,
)
from crm_core.web.pages.records.import_rows import RowImport, RowResult
from crm_core.web.pages.records.queries import counted, record_type_of

_SHOWN: Final = 200
"""Refused rows that a page lists; the file of them has all."""


class ImportColumn(msgspec.Struct, frozen=True):
    """A column of the file with its first values, and the field that it is."""

    head: str
    sample: str
    field: str


class ImportOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to the rows so far, or would happen. ``refused``: the first of them; ``failed``: all as CSV.

    ``accepted``: rows that are not refused.
    """

    notice: PageNotice
    done: int
    total: int
    accepted: int = 0
    running: bool = False
    refused: tuple[RowResult, ...] = ()
    more: str = ""
    failed: str = ""


class Sent(msgspec.Struct, frozen=True):
    """A sent import: the file as text and as rows, the field of each column, and what recognizes records."""

    text: str
    file: ImportFile
    fields: tuple[str, ...]
    key: str


async def choosing(context: PageContext, module: str) -> Response:
    """The page that accepts a file."""
    return await _page(context, record_type_of(context, module))


async def previewing(context: PageContext, module: str) -> Response:
    """The columns with their fields, and what each row would do; nothing is written."""
    record_type = record_type_of(context, module)
    try:
        sent = await _sent(record_type)
        results = [row async for part in _importer(context, record_type, sent).results(write=False) for row in part]
    except InvalidRecord as error:
        return await _page(context, record_type, error=error)
    outcome = await _previewed(context, record_type, sent, results)
    del results
    await asyncio.sleep(0)  # freeing thousands of rows and drawing the page are two turns
    response = await _page(context, record_type, sent=sent, outcome=outcome)
    await asyncio.sleep(0)
    return response


async def importing(context: PageContext, module: str) -> Response:
    """Import the rows: stream the progress to a script, show a form the result."""
    record_type = record_type_of(context, module)
    try:
        sent = await _sent(record_type)
    except InvalidRecord as error:
        return await _page(context, record_type, error=error)
    outcomes, path = _outcomes(context, record_type, sent), f"{context.root}/{record_type.NAME}"
    title = context.title_of(record_type)
    outcome = await followed(context, outcomes, "import_result.html", action=f"{path}/import", back=path, title=title)
    if isinstance(outcome, Response):
        return outcome
    return await _page(context, record_type, outcome=outcome)


async def failed(context: PageContext, module: str) -> Response:
    """The rows that were refused, as a file to correct and import again."""
    record_type_of(context, module)
    return csv_file(BOM + (await request.form).get("failed", "").encode(), f"{module}-not-imported")


async def _sent(record_type: RecordType) -> Sent:
    """The file of the form, with the chosen field of each column or the matching one. Raises InvalidRecord."""
    form, upload = await request.form, (await request.files).get("file")
    content = upload.read() if upload is not None else b""
    text, file = await asyncio.to_thread(_read, content, form.get("csv", ""))  # a long file would occupy the loop
    known = fields_of(record_type)
    chosen = [field if field in known else "" for field in form.getlist("field")]
    fields = tuple(chosen) if len(chosen) == len(file.heads) else matched(file, record_type)
    if not any(fields):
        raise InvalidRecord(gettext("No column has the name of a field. The file's first line must name the columns."))
    several = [field for field, columns in Counter(fields).items() if field and columns > 1]
    if not all(may_be_joined(field, record_type) for field in several):
        raise InvalidRecord(gettext("Two columns are the same field. Choose another field for one of them."))
    keys = [option.value for option in keys_of(record_type)]
    columns = {one: fields.index(one) for one in keys if one and one in fields}
    filled = (one for one, at in columns.items() if all(cells[at].strip() for _, cells in file.rows))
    key = form["key"] if form.get("key") in keys else next(filled, next(iter(columns), ""))
    return Sent(text, file, fields, key)


def _read(content: bytes, text: str) -> tuple[str, ImportFile]:
    text = decoded(content) if content else text
    return text, parsed(text)


def _importer(context: PageContext, record_type: RecordType, sent: Sent) -> RowImport:
    return RowImport(context, record_type, sent.file, sent.fields, sent.key)


async def _outcomes(context: PageContext, record_type: RecordType, sent: Sent) -> AsyncIterator[ImportOutcome]:
    results: list[RowResult] = []
    total, number, stopped = len(sent.file.rows), context.formats.number, ""
    try:
        async for part in _importer(context, record_type, sent).results(write=True):
            results += part
            title = gettext("Importing: {done} of {total}", done=number(len(results)), total=number(total))
            notice = PageNotice(tone="info", icon="sync", title=title)
            yield ImportOutcome(notice=notice, done=len(results), total=total, running=True)
    except CrmError as error:
        stopped = reason_in_words(context.workspace, error.detail)
        done = {row.line for row in results}
        results += [RowResult(line, "", "refused", stopped) for line, _ in sent.file.rows if line not in done]
    title = gettext("{created} created, {updated} updated", **_written(context, record_type, results))
    yield await _ended(context, sent, results, title, text=stopped, tone="bad" if stopped else "warn")


async def _previewed(
    context: PageContext, record_type: RecordType, sent: Sent, results: Sequence[RowResult]
) -> ImportOutcome:
    title = gettext("{created} would be created, {updated} updated", **_written(context, record_type, results))
    text = gettext("Correct the file, or import the other rows and correct these later.")
    return await _ended(context, sent, results, title, text=text, tone="warn")


def _written(context: PageContext, record_type: RecordType, results: Sequence[RowResult]) -> dict[str, str]:
    """The numbers of rows that are not refused."""
    counts = Counter(row.outcome for row in results)
    created, updated = counted(context, record_type, counts["created"]), context.formats.number(counts["updated"])
    return {"created": created, "updated": updated}


async def _ended(
    context: PageContext, sent: Sent, results: Sequence[RowResult], title: str, *, text: str, tone: str
) -> ImportOutcome:
    """The outcome of all rows; ``text`` and ``tone`` are those of its notice if some are refused."""
    refused, number = [row for row in results if row.outcome == "refused"], context.formats.number
    notice = PageNotice(tone="ok", icon="check", title=f"{title}.")
    if refused:
        title = gettext("{title}, {n} refused.", title=title, n=number(len(refused)))
        notice = PageNotice(tone=tone, icon="alert", title=title, text=text)
    hidden, messages = len(refused) - _SHOWN, [(row.line, row.message) for row in refused]
    more = gettext("{n} more were refused. Download the refused rows to see them.", n=number(hidden))
    return ImportOutcome(
        notice=notice,
        done=len(results),
        total=len(results),
        accepted=len(results) - len(refused),
        refused=tuple(refused[:_SHOWN]),
        more=more if hidden > 0 else "",
        failed=await asyncio.to_thread(failed_rows, sent.file, messages) if refused else "",
    )


async def _page(
    context: PageContext,
    record_type: RecordType,
    *,
    error: InvalidRecord | None = None,
    sent: Sent | None = None,
    outcome: ImportOutcome | None = None,
) -> Response:
    path, title = f"{context.root}/{record_type.NAME}", context.title_of(record_type)
    rows = 0 if outcome is None else outcome.accepted
    view = PageView(
        "import.html",
        module=record_type.NAME,
        title=noun(title),
        crumbs=(PageLink(path, title),),
        path=path,
        most=context.formats.number(MOST_ROWS),
        problem=failure(gettext("Nothing is imported."), localized(error.detail)) if error else None,
        text=sent.text if sent else "",
        columns=tuple(_columns(sent)) if sent else (),
        fields=(Option("", gettext("Leave out")), *map(Option._make, fields_of(record_type).items())),
        keys=tuple(keys_of(record_type)),
        key=sent.key if sent else "",
        outcome=outcome,
        submit=gettext("Import {records}", records=counted(context, record_type, rows)) if rows else "",
    )
    return await page(context, record_type.NAME, view, error.status if error else 200)


def _columns(sent: Sent) -> Sequence[ImportColumn]:
    found = []
    for at, (head, field) in enumerate(zip(sent.file.heads, sent.fields, strict=True)):
        samples = [cells[at] for _, cells in sent.file.rows[:20] if cells[at].strip()]
        found.append(ImportColumn(head or gettext("Column {n}", n=at + 1), ", ".join(samples[:3])[:120], field))
    return found
