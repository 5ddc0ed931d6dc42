"""The rows of an import as items of a batch: cells read as in a form, records found by external id, email or name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from crm_core.errors import AccessError, Finding, InvalidParameter, InvalidRecord
from crm_core.language import gettext, noun
from crm_core.model.folded_text import folded
from crm_core.model.ids import is_id
from crm_core.model.turns import Turn
from crm_core.plugin.member import Member
from crm_core.plugin.record_type import RecordType
from crm_core.records.batch import Batch
from crm_core.web.pages.layout.labels import choice_labels, member_label
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.form_errors import patch_of
from crm_core.web.pages.records.forms import RecordForm, field_member, leaves
from crm_core.web.pages.records.import_file import EXTERNAL_ID, ImportFile, keys_of
from crm_core.web.pages.records.queries import access_of, records_of
from crm_core.web.pages.records.sentences import not_chosen

CHUNK: Final = 100
_SHOWN: Final = 60  # characters of a cell in the sentence about it
_YES: Final = ("yes", "y", "true", "1", "x", "ja", "j", "wahr", "oui", "vrai")
_NO: Final = ("no", "n", "false", "0", "nein", "falsch", "non", "faux")


class RowResult(msgspec.Struct, frozen=True):
    """The result of a row: its line, its name, and whether it was created, updated or refused with a message."""

    line: int
    name: str
    outcome: str
    message: str = ""


class _Row(msgspec.Struct, frozen=True):
    """A row as an item of a batch, with the form that phrases its errors; or its error."""

    line: int
    name: str
    form: RecordForm
    item: dict[str, Any] | None = None
    message: str = ""


class RowImport:
    """Imports the rows of a file into one record type. ``fields``: of its columns; ``key``: recognizes records."""

    def __init__(
        self, context: PageContext, record_type: RecordType, file: ImportFile, fields: Sequence[str], key: str
    ) -> None:
        self._context = context
        self._type = record_type
        self._file = file
        self._fields = fields
        self._key = key
        self._members = dict(leaves(record_type))
        self._found: dict[tuple[str, str], str] = {}
        self._people: dict[str, list[str]] | None = None
        self._lines: dict[str, int] = {}  # of the rows so far, by what recognizes their records

    async def results(self, *, write: bool) -> AsyncIterator[list[RowResult]]:
        """The results of the rows, part by part; without ``write`` those that they would have."""
        batches, access = self._context.services.records.batches, access_of(self._context, self._type.NAME)
        turn = Turn()
        imports = self._context.site.imports
        for start in range(0, len(self._file.rows), CHUNK):
            # Of two imports at the same time, one finds the records that the other has created.
            async with imports.of(access.tenant, self._type.NAME):
                rows = []
                for line, cells in self._file.rows[start : start + CHUNK]:
                    rows.append(await self._row(line, cells))
                    await turn.pause()
                sent = [row for row in rows if row.item is not None]
                data = {"items": [row.item for row in sent]}
                batch = Batch(data=data, atomic=False, request_id="", instance="", idempotent=None)
                if start:  # it may take long: one who signed out or was disabled writes no more
                    caller = await self._context.services.callers.current(access.tenant, access.caller)
                    access = msgspec.structs.replace(access, caller=caller)
                written = await (batches.run(access, batch) if write else batches.check(access, batch))
            results = dict(zip([row.line for row in sent], msgspec.json.decode(written.body)["results"], strict=True))
            yield [_result(row, results.get(row.line)) for row in rows]

    async def _row(self, line: int, cells: Sequence[str]) -> _Row:
        texts = dict[str, str]()
        for field, cell in zip(self._fields, cells, strict=True):
            if field and cell.strip():
                text = self._text_in(field, cell)  # first and last name are two columns and one field
                texts[field] = f"{texts[field]} {text}" if field in texts else text
        name = texts.get("name", "")
        form = RecordForm(type=self._type, formats=self._context.formats, values=dict.fromkeys(self._members, ""))
        if line in self._file.excess:
            sentence = gettext("It has more cells than the first line. Put quotes around texts with the separator.")
            return _Row(line, name, form, message=sentence)
        values, findings = dict[str, str](), list[Finding]()
        for field, text in texts.items():
            if field == EXTERNAL_ID:
                continue
            try:
                values[field] = await self._text(field, text)
            except InvalidRecord as error:
                findings += error.errors
        form = msgspec.structs.replace(form, values={**form.values, **values})
        item = {EXTERNAL_ID: texts[EXTERNAL_ID]} if EXTERNAL_ID in texts else {}
        recognized = texts.get(self._key)
        try:
            if recognized:
                self._require_first(line, recognized)
                if self._key != EXTERNAL_ID:
                    item |= await self._known(recognized)
        except InvalidRecord as error:
            findings += error.errors
        try:
            item |= patch_of(form, findings, access_of(self._context, self._type.NAME).shape)
        except InvalidRecord as error:  # a record that may be there already has what the row leaves out
            wrong = [one for one in error.errors if not (recognized and one.code == "missing_member")]
            return _Row(line, name, form, message=_sentences(form, wrong))
        return _Row(line, name, form, item)

    def _text_in(self, field: str, cell: str) -> str:
        """The text of a cell; paragraphs have white space at their ends, as in a form."""
        is_long = field != EXTERNAL_ID and self._members[field].kind == "paragraphs"
        return cell if is_long else cell.strip()

    async def _text(self, field: str, text: str) -> str:
        """A cell as its form would have it. Raises InvalidRecord."""
        member = self._members[field]
        if member.is_person:
            return await self._person(member, text)
        if member.reference is not None:
            return await self._reference(member, member.reference, text)
        if member.kind == "choice":
            return next(
                (value for value, label in choice_labels(member) if folded(text) in (value, folded(label))), text
            )
        if member.kind == "flag":
            return _flag(field, text)
        return text

    def _require_first(self, line: int, recognized: str) -> None:
        """Refuse a second row of the same record, which would make two records, or depend on the order of rows."""
        value = recognized if self._key == EXTERNAL_ID else recognized.casefold()
        first = self._lines.setdefault(value, line)
        if first != line:
            label = next(option.text for option in keys_of(self._type) if option.value == self._key)
            text = gettext("Row {line} has the same value in “{label}”. Combine both rows.", line=first, label=label)
            raise not_chosen(self._key, text)

    async def _person(self, member: Member, text: str) -> str:
        """The email address of a colleague; other texts only if a record has them already, as exports write them."""
        if "@" in text:
            return text
        if self._people is None:
            self._people = {}
            for email, name in await self._context.names.colleagues():
                self._people.setdefault(folded(name), []).append(email)
        emails = self._people.get(folded(text), ())
        if len(emails) == 1:
            return emails[0]
        if emails:
            raise not_chosen(
                member.name, gettext("Several colleagues are named “{text}”. Enter the email address.", text=text)
            )
        if (member.name, text) not in self._found:
            if not await self._is_used(member, text):
                sentence = gettext(
                    "No colleague is named “{text}”. Enter the full name or the email address.", text=text
                )
                raise not_chosen(member.name, sentence)
            self._found[member.name, text] = text
        return text

    async def _is_used(self, member: Member, text: str) -> bool:
        """Whether a record has this text where a colleague belongs."""
        if member.name not in self._type.FILTERABLE:
            return False
        try:
            found, _ = await records_of(self._context, self._type.NAME, {member.name: text, "limit": "1"})
        except (InvalidParameter, AccessError):
            return False
        return bool(found)

    async def _reference(self, member: Member, record_type: str, text: str) -> str:
        """The id of a record that is named by its id, external id or name."""
        if is_id(text):
            return text
        if (record_type, text) not in self._found:
            self._found[record_type, text] = await self._named(member, record_type, text)
        return self._found[record_type, text]

    async def _named(self, member: Member, record_type: str, text: str) -> str:
        other = self._context.services.registry.record_types[record_type]
        for name in (EXTERNAL_ID, *(("name",) if "name" in other.FILTERABLE else ())):
            try:
                found, _ = await records_of(self._context, record_type, {name: text, "limit": "2"})
            except (InvalidParameter, AccessError):
                continue
            if len(found) > 1:
                raise not_chosen(
                    member.name,
                    gettext(
                        "Several {records} are named “{text}”. Use the external ID.",
                        records=noun(self._context.title_of(other)),
                        text=text,
                    ),
                )
            if found:
                return str(found[0]["id"])
        raise not_chosen(
            member.name,
            gettext("There is no {record} “{text}”.", record=self._context.singular_of(other), text=text),
        )

    async def _known(self, text: str) -> Mapping[str, str]:
        """The id of the record with this email address, or this value of a unique member; nothing if there is none."""
        try:
            found, _ = await records_of(self._context, self._type.NAME, {self._key: text, "limit": "2"})
        except InvalidParameter:  # no such value: the batch refuses it with its own sentence
            return {}
        if len(found) > 1:
            raise not_chosen(self._key, gettext("Several records have “{text}”. Use the external ID.", text=text))
        return {"id": found[0]["id"]} if found else {}


def _flag(field: str, text: str) -> str:
    """A word for yes or no as its form would have it. Raises InvalidRecord."""
    word = folded(text)
    if word in (*_YES, folded(gettext("Yes"))):
        return "true"
    if word in (*_NO, folded(gettext("No"))):
        return "false"
    sentence = gettext(
        "“{text}” is neither yes nor no. Enter one of {yes} for yes, or one of {no} for no.",
        text=_shortened(text),
        yes=", ".join(_YES),
        no=", ".join(_NO),
    )
    raise not_chosen(field.replace(".", "/"), sentence)


def _result(row: _Row, result: Mapping[str, Any] | None) -> RowResult:
    if result is None:
        return RowResult(row.line, row.name, "refused", row.message)
    if problem := result.get("problem"):
        findings = [Finding(one["pointer"], one["code"], one["message"]) for one in problem.get("errors", ())]
        under = [
            Finding("/" + one.pointer.split("/", 3)[3], one.code, one.message)
            for one in findings
            if one.pointer.count("/") > 2
        ]
        return RowResult(row.line, row.name, "refused", _sentences(row.form, under) or problem["detail"])
    return RowResult(row.line, row.name, "created" if result["status"] == 201 else "updated")


def _sentences(form: RecordForm, findings: Sequence[Finding]) -> str:
    """Errors as sentences, each with the label of its field and the text of its cell."""
    errors = form.refused(findings).errors
    return " ".join(_sentence(form, name, error) for name, error in errors.items())


def _sentence(form: RecordForm, name: str, error: str) -> str:
    member, text = field_member(form.type, name), form.values.get(name, "")
    if member is None:
        return error
    label = member_label(member)
    if not text:
        return f"{label}: {error}"
    return gettext("{label} “{text}”: {error}", label=label, text=_shortened(text), error=error)


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
