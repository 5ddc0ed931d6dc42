"""The documented operations of a record's life: archive, restore, erase, and its history."""

from __future__ import annotations

from typing import Final

from crm_core import errors
from crm_core.records.erasing import ERASE, MOST_ERASED
from crm_core.records.shape import Shape
from crm_core.web.api.parameters import BOOLEAN, CURSOR, whole
from crm_core.web.api.records_schemas import IF_MATCH, KEY, READ_ERRORS, of_type, singular
from crm_core.web.api.records_types import DocumentedTypes, HistoryItems, singular_of
from crm_core.web.operations import Operation, Parameter, Reply

_MOVE_ERRORS: Final = (
    *READ_ERRORS,
    errors.SubscriptionSuspended,
    errors.NotFound,
    errors.RevisionMismatch,
    errors.StorageFull,
)


def archive_operation(shape: Shape) -> Operation:
    """The archiving."""
    return Operation(
        **of_type(shape, "DELETE", "/{id}", "delete", "delete"),
        name=f"archive_{singular_of(shape)}",
        summary=f"Archive a {singular(shape)}.",
        description="It leaves lists, searches, counts and limits, and can be restored. References to it stay.",
        parameters=(IF_MATCH,),
        replies={204: Reply(description="Archived and durable, or archived before.")},
        errors=_MOVE_ERRORS,
    )


def restore_operation(shape: Shape, types: DocumentedTypes) -> Operation:
    """The restoring."""
    return Operation(
        **of_type(shape, "POST", "/{id}/restore", "delete", "delete"),
        name=f"restore_{singular_of(shape)}",
        summary=f"Bring an archived {singular(shape)} back.",
        parameters=(IF_MATCH, KEY),
        replies={
            200: Reply(
                description="The record, live and durable.",
                schema=types.record,
                headers=("ETag", "Idempotent-Replayed"),
            )
        },
        errors=(*_MOVE_ERRORS, errors.IdempotencyConflict, errors.LimitReached),
    )


def history_operation(shape: Shape) -> Operation:
    """The history."""
    return Operation(
        **of_type(shape, "GET", "/{id}/history", "read", "view"),
        name=f"list_{singular_of(shape)}_history",
        summary=f"List who changed which member of a {singular(shape)}, newest first.",
        description="The record's entries of the change feed, as long as they are retained.",
        parameters=(
            Parameter(name="limit", description="Entries of a page; 50 unless given.", schema=whole(1, 200)),
            CURSOR,
        ),
        replies={200: Reply(description="A page of changes.", schema=HistoryItems)},
        errors=(*READ_ERRORS, errors.NotFound, errors.InvalidCursor),
    )


def erase_operation(shape: Shape) -> Operation:
    """The erasing."""
    return Operation(
        **of_type(shape, "POST", "/{id}/erase", "erase", ERASE),
        name=f"erase_{singular_of(shape)}",
        summary=f"Remove the data of a {singular(shape)} for good.",
        description=(
            "Its data leaves every answer immediately, and every file of the tenant within 24 hours; backups keep it. "
            "409 `still_referenced` counts the records that refer to it, archived ones included."
        ),
        parameters=(
            IF_MATCH,
            Parameter(
                name="cascade",
                description=f"true: also erase the records that refer to it, and to those; {MOST_ERASED} at most.",
                schema=BOOLEAN,
            ),
        ),
        replies={204: Reply(description="Erased and durable.")},
        errors=(
            errors.NotFound,
            errors.RevisionMismatch,
            errors.StillReferenced,
            errors.StorageFull,
        ),
    )
