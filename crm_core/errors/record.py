"""Errors of record operations."""

from __future__ import annotations

from crm_core.errors.base import CrmError


class RecordError(CrmError):
    """A record operation was refused for what it says."""


class InvalidRecord(RecordError, status=422, code="invalid_record", title="Invalid record"):
    """The record does not fit its type; every error is listed."""


class ExternalIdTaken(RecordError, status=409, code="external_id_taken", title="External id taken"):
    """Another record of the type has this external id."""


class NotUnique(RecordError, status=409, code="not_unique", title="Not unique"):
    """Another record of the type has the value of a member that may occur once."""


class RecordArchived(RecordError, status=409, code="record_archived", title="Record archived"):
    """The record is archived: nothing but a restore changes it."""


class StillReferenced(RecordError, status=409, code="still_referenced", title="Still referenced"):
    """Other records refer to the record that is to be erased."""


class IdempotencyConflict(
    RecordError, status=409, code="idempotency_conflict", title="Idempotency key used for another request"
):
    """The Idempotency-Key was used for another body."""


class RevisionMismatch(RecordError, status=412, code="revision_mismatch", title="Changed by someone else"):
    """If-Match or `if_revision` names a revision that is no longer current."""


class RecordExists(RecordError, status=412, code="record_exists", title="Record exists already"):
    """If-None-Match does not let a write change the record that exists."""
