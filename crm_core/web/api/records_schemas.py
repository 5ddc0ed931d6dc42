"""The documented operations of a record type, generated from the type."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from crm_core import errors
from crm_core.model.record_members import ExternalId
from crm_core.records.batch_items import MAX_ITEMS
from crm_core.records.shape import EXTERNAL_ID, Shape
from crm_core.web.answers import CSV, NDJSON
from crm_core.web.api.examples import batch_example, record_example
from crm_core.web.api.parameters import BOOLEAN, IF_NONE_MATCH, MERGE_PATCH, UUID
from crm_core.web.api.records_parameters import list_parameters
from crm_core.web.api.records_types import BatchResults, DocumentedTypes, singular_of
from crm_core.web.operations import BASE, Body, Operation, Parameter, Reply

RECORD_LIMIT: Final = 256 * 1024
BATCH_LIMIT: Final = 8 * 1024 * 1024
READ_ERRORS: Final = (errors.ModuleUnavailable, errors.FeatureUnavailable)
WRITE_ERRORS: Final = (
    *READ_ERRORS,
    errors.SubscriptionSuspended,
    errors.InvalidRecord,
    errors.PluginFailed,
    errors.StorageFull,
)
_PATH_SCHEMAS: Final = {"id": UUID, EXTERNAL_ID: msgspec.json.schema(ExternalId)}
IF_MATCH: Final = Parameter(
    name="If-Match",
    description="The ETag or quoted revision that the record must still have, or `*`; else 412 `revision_mismatch`.",
    where="header",
)
_ONLY_NEW: Final = Parameter(
    name="If-None-Match",
    description="`*`: only if there is no such record; else 412 `record_exists`.",
    where="header",
)
KEY: Final = Parameter(
    name="Idempotency-Key",
    description="Repeats with the same key and body within 24 hours get the first answer and change nothing.",
    schema={"type": "string", "pattern": "^[!-~]{1,255}$"},
    where="header",
)


def of_type(shape: Shape, method: str, path: str, scope: str, right: str) -> dict[str, Any]:
    """The members of an operation that follow from its record type.

    ``path``: below that of the type. ``right``: an action of the type's module, or a key of the core.
    """
    return {
        "method": method,
        "path": f"{BASE}/{shape.name}{path}",
        "path_schemas": _PATH_SCHEMAS,
        "tag": shape.record_type.TITLE,
        "scope": f"{shape.name}:{scope}",
        "key": right if "." in right else f"{shape.record_type.module}.{right}",
    }


def list_operation(shape: Shape, types: DocumentedTypes) -> Operation:
    """The list, and the export of the whole selection."""
    title = shape.record_type.TITLE.lower()
    return Operation(
        **of_type(shape, "GET", "", "read", "view"),
        name=f"list_{shape.name}",
        summary=f"List {title}.",
        description=(
            f"Also as {NDJSON} or {CSV}: then the whole selection is streamed, `limit`, `cursor` and `total` do not "
            f"apply, and `{shape.record_type.module}.export` is needed besides."
        ),
        parameters=list_parameters(shape),
        replies={
            200: Reply(
                description="A page, or the whole selection.",
                schema=types.page,
                media_types=("application/json", NDJSON, CSV),
                headers=("Link",),
            )
        },
        errors=(*READ_ERRORS, errors.InvalidCursor, errors.NotAcceptable),
    )


def detail_operation(shape: Shape, types: DocumentedTypes) -> Operation:
    """The detail."""
    return Operation(
        **of_type(shape, "GET", "/{id}", "read", "view"),
        name=f"get_{singular_of(shape)}",
        summary=f"Read a {singular(shape)}.",
        parameters=(IF_NONE_MATCH,),
        replies={
            200: Reply(description="The record.", schema=types.record, headers=("ETag",)),
            304: Reply(description="The caller has it already.", headers=("ETag",)),
        },
        errors=(*READ_ERRORS, errors.NotFound),
    )


def create_operation(shape: Shape, types: DocumentedTypes) -> Operation:
    """The create."""
    return Operation(
        **of_type(shape, "POST", "", "write", "create"),
        name=f"create_{singular_of(shape)}",
        summary=f"Create a {singular(shape)}.",
        parameters=(KEY,),
        body=Body(schema=types.input, limit=RECORD_LIMIT, example=record_example(shape)),
        replies={
            201: Reply(
                description="Created and durable.",
                schema=types.record,
                headers=("ETag", "Location", "Idempotent-Replayed"),
            )
        },
        errors=(
            *WRITE_ERRORS,
            errors.NotFound,  # a repeat of the request that created an erased record
            errors.RecordArchived,
            errors.ExternalIdTaken,
            *_unique_errors(shape),
            errors.IdempotencyConflict,
            errors.LimitReached,
        ),
    )


def update_operation(shape: Shape, types: DocumentedTypes) -> Operation:
    """The update."""
    return Operation(
        **of_type(shape, "PATCH", "/{id}", "write", "update"),
        name=f"update_{singular_of(shape)}",
        summary=f"Change a {singular(shape)} by a JSON merge patch (RFC 7396).",
        parameters=(IF_MATCH, _ONLY_NEW, KEY),
        body=Body(schema=types.patch, limit=RECORD_LIMIT, media_types=MERGE_PATCH, example=record_example(shape)),
        replies={
            200: Reply(description="Changed and durable.", schema=types.record, headers=("ETag", "Idempotent-Replayed"))
        },
        errors=(
            *WRITE_ERRORS,
            errors.NotFound,
            errors.RevisionMismatch,
            errors.RecordExists,
            errors.RecordArchived,
            errors.ExternalIdTaken,
            *_unique_errors(shape),
            errors.IdempotencyConflict,
        ),
    )


def put_operation(shape: Shape, types: DocumentedTypes) -> Operation:
    """The put by external id."""
    changed = Reply(description="Changed and durable.", schema=types.record, headers=("ETag",))
    created = Reply(description="Created and durable.", schema=types.record, headers=("ETag", "Location"))
    return Operation(
        **of_type(shape, "PUT", "/external/{external_id}", "write", "update"),
        name=f"put_{singular_of(shape)}",
        summary=f"Create or change the {singular(shape)} with the caller's own id.",
        description=f"Members left out stay. Creating needs `{shape.name}.create`, changing `{shape.name}.update`.",
        parameters=(IF_MATCH, _ONLY_NEW),
        body=Body(schema=types.patch, limit=RECORD_LIMIT, example=record_example(shape)),
        replies={200: changed, 201: created},
        errors=(
            *WRITE_ERRORS,
            errors.RevisionMismatch,
            errors.RecordExists,
            errors.RecordArchived,
            *_unique_errors(shape),
            errors.LimitReached,
        ),
    )


def batch_operation(shape: Shape, types: DocumentedTypes) -> Operation:
    """The batch."""
    return Operation(
        **of_type(shape, "POST", "/batch", "write", "update"),
        name=f"batch_{shape.name}",
        summary=f"Create or change up to {MAX_ITEMS} {shape.record_type.TITLE.lower()} in one request.",
        description=(
            "An item's `id` names the record that it changes; else its `external_id` decides between create and "
            "change, and an item with neither is created. `if_revision` is the revision that the record must still "
            "have; else 412 `revision_mismatch`. Each item gets its own result. "
            f"Creating needs `{shape.name}.create`, changing `{shape.name}.update`."
        ),
        parameters=(
            Parameter(
                name="atomic",
                description="true: all items or none; pointers are such as /items/3/name.",
                schema=BOOLEAN,
            ),
            KEY,
        ),
        body=Body(schema=types.batch, limit=BATCH_LIMIT, example=batch_example(shape)),
        replies={200: Reply(description="What became of each.", schema=BatchResults, headers=("Idempotent-Replayed",))},
        errors=(
            *WRITE_ERRORS,
            errors.NotFound,
            errors.RevisionMismatch,
            errors.RecordArchived,
            errors.ExternalIdTaken,
            *_unique_errors(shape),
            errors.IdempotencyConflict,
            errors.LimitReached,
        ),
    )


def singular(shape: Shape) -> str:
    """A record of the type, as sentences name it."""
    return shape.record_type.SINGULAR.lower()


def _unique_errors(shape: Shape) -> tuple[type[errors.NotUnique], ...]:
    return (errors.NotUnique,) if shape.record_type.UNIQUE else ()
