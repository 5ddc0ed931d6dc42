"""Conditions on the record that a write changes: If-Match, If-None-Match, and ``if_revision`` in a batch."""

from __future__ import annotations

import msgspec

from crm_core.errors import Finding, RecordExists, RevisionMismatch
from crm_core.plugin.storage import Document
from crm_core.records.shape import etag


class Preconditions(msgspec.Struct, frozen=True):
    """The conditions of a write: fields as sent (RFC 9110, section 13.1), ``revision`` in a batch; None: no condition.

    An entity tag is that of the detail, or the revision in quotes, which every item of a list contains.
    """

    if_match: str | None = None
    if_none_match: str | None = None
    revision: int | None = None

    def require(self, document: Document | None) -> None:
        """Check the record as it is; None: there is none. Raises RevisionMismatch, RecordExists."""
        if self.if_match is not None and not _names(self.if_match, document):
            raise _mismatch(document, tags=self.if_match)
        if self.revision is not None and (document is None or document.revision != self.revision):
            raise _mismatch(document, pointer="/if_revision")
        if document is not None and self.if_none_match is not None and _names(self.if_none_match, document, weak=True):
            message = "This record exists already. Leave If-None-Match out to change it."
            raise RecordExists(message, id=document.id, current=_current(document))


UNCONDITIONAL = Preconditions()


def _names(field: str, document: Document | None, *, weak: bool = False) -> bool:
    if document is None:
        return False
    tags = {f'"{document.revision}"', etag(document.revision, document.body)}
    sent = (each.strip() for each in field.split(","))
    return field.strip() == "*" or any((each.removeprefix("W/") if weak else each) in tags for each in sent)


def _mismatch(document: Document | None, pointer: str | None = None, tags: str = '""') -> RevisionMismatch:
    if document is None:
        message = "There is no such record, so it has no revision that could match."
    elif '"' not in tags:
        message = f'If-Match contains a tag in quotes, such as "{document.revision}". Send its quotes too.'
    elif 'W/"' in tags:  # RFC 9110, section 13.1.1; a proxy that compresses makes tags weak
        message = 'A weak tag, W/"...", never matches in If-Match. Read the record, and send its revision in quotes.'
    else:
        message = "Someone else changed this record. Read it, merge, and send its new revision."
    findings = [] if pointer is None else [Finding(pointer, RevisionMismatch.code, message)]
    return RevisionMismatch(message, errors=findings, current=None if document is None else _current(document))


def _current(document: Document) -> dict[str, str | int]:
    return {"revision": document.revision, "etag": etag(document.revision, document.body)}
