"""The documented operations of sync, and their answers."""

from __future__ import annotations

from typing import Any, Final, get_args

import msgspec

from crm_core import errors
from crm_core.model.diff import Change
from crm_core.model.envelope import MAX_VERSION
from crm_core.model.log import LogEntry, SignatureResult, Status
from crm_core.plugin.registry import Registry
from crm_core.sync.apply import Receipt
from crm_core.sync.attempt_log import Repeat
from crm_core.sync.revisions import Applied
from crm_core.web.api.health_schemas import SyncHealth
from crm_core.web.api.parameters import BOOLEAN, CURSOR, LIMIT, MOMENT, UUID, WITH_BOM, whole
from crm_core.web.operations import BASE, Body, Operation, Parameter, Reply

_SIGNATURE_ERRORS: Final = (
    errors.SignatureMissing,
    errors.SignatureMalformed,
    errors.AmbiguousSignature,
    errors.SchemeNotAccepted,
    errors.KeyUnknown,
    errors.KeyInactive,
    errors.SignatureInvalid,
    errors.SignatureIncomplete,
    errors.TimestampOutOfWindow,
    errors.SourceNotAllowed,
    errors.ReplayedNonce,
    errors.RateLimited,
)
_PUSH_ERRORS: Final = (
    errors.UnknownPayloadType,
    errors.ReceiverDisabled,
    *_SIGNATURE_ERRORS,
    errors.TypeNotAllowed,
    errors.InvalidEnvelope,
    errors.TenantMismatch,
    errors.TypeMismatch,
    errors.DuplicatePayload,
    errors.StaleVersion,
    errors.InvalidPayload,
    errors.ModuleBlocked,
    errors.ModuleUnsupported,
    errors.PluginFailed,
    errors.StorageFull,
)


class HistoryItem(msgspec.Struct, frozen=True):
    """An applied revision of a section, as the history shows it."""

    section: str
    revision: int
    version: int
    applied_at: str
    key_version: int | None
    actor: str
    request_id: str
    changes: tuple[Change, ...]


class HistoryPage(msgspec.Struct, frozen=True):
    """A page of a section's history, newest first."""

    items: list[HistoryItem]
    next_cursor: str | None


class LogPage(msgspec.Struct, frozen=True):
    """A page of the sync log, newest first."""

    items: list[LogEntry]
    next_cursor: str | None


def history_item(applied: Applied) -> HistoryItem:
    """A stored revision as the wire shows it."""
    return HistoryItem(**{name: getattr(applied, name) for name in HistoryItem.__struct_fields__})


def push(registry: Registry, limit: int) -> Operation:
    """The push: one envelope for each payload type, with its own ``type``."""
    return Operation(
        method="POST",
        path=f"{BASE}/sync/{{payload_type}}",
        name="push_payload",
        summary="Push a signed payload.",
        description=(
            "Verified, validated, applied all-or-nothing, durable before the answer, and always logged. "
            "Any one signature scheme may sign it; docs/signing.md shows each."
        ),
        tag="sync",
        signed=True,
        parameters=_signature_parameters(registry),
        path_schemas={"payload_type": {"type": "string", "enum": list(registry.payload_types)}},
        body=Body(
            schema={"oneOf": [_envelope(registry, name) for name in registry.payload_types]},
            limit=limit,
        ),
        replies={
            200: Reply(
                description="Applied, unchanged, previewed, or (where the roster accepts repeats) applied already.",
                schema={"anyOf": [Receipt, Repeat]},
            )
        },
        errors=_PUSH_ERRORS,
    )


def health(registry: Registry) -> Operation:
    """Sync health, for tokens, users and signed requests."""
    return Operation(
        method="GET",
        path=f"{BASE}/sync/health",
        name="get_sync_health",
        summary="Whether the receiver is on, the key that it expects, and the current sections.",
        tag="sync",
        scope="sync:health",
        key="sync.view",
        signed=True,
        parameters=_signature_parameters(registry),
        replies={200: Reply(description="The state of sync.", schema=SyncHealth)},
        errors=_SIGNATURE_ERRORS,
    )


def _signature_parameters(registry: Registry) -> tuple[Parameter, ...]:
    """The header fields of every signature scheme; a request has those of one."""
    return tuple(
        Parameter(name=name, description=f"For a request signed by {scheme}.", where="header")
        for scheme, one in registry.schemes.items()
        for name in one.HEADERS
    )


def _envelope(registry: Registry, name: str) -> dict[str, Any]:
    payload_type = registry.payload_types[name]
    if payload_type.SECTION is not None:
        data: Any = payload_type.SECTION
    else:
        parts = {section: one.SECTION for section, one in registry.sections.items()}
        data = {"type": "object", "properties": parts, "additionalProperties": False, "minProperties": 1}
    return {
        "title": f"Push of {name}",
        "type": "object",
        "additionalProperties": False,
        "required": ["tenant", "type", "version", "data"],
        "properties": {
            "tenant": {"type": "string"},
            "instance": {"type": "string"},
            "type": {"type": "string", "enum": [name]},
            "version": whole(1, MAX_VERSION),
            "mode": {"type": "string", "enum": ["apply", "preview"]},
            "strategy": {"type": "string", "enum": ["replace", "merge"]},
            "issued_at": {"type": "string", "format": "date-time", "pattern": "Z$"},
            "source": {"type": "string", "maxLength": 200},
            "data": data,
        },
    }


LOG: Final = Operation(
    method="GET",
    path=f"{BASE}/sync/log",
    name="list_sync_log",
    summary="The sync log, newest first.",
    tag="sync",
    scope="sync:read",
    key="sync.view",
    parameters=(
        *(
            Parameter(
                name=name,
                description=f"Only entries with this {name}.",
                schema={"type": "string", "enum": list(get_args(type_))},
            )
            for name, type_ in (("status", Status), ("signature_result", SignatureResult))
        ),
        *(
            Parameter(name=name, description=f"Only entries with this {name}.")
            for name in ("payload_type", "error_code", "source_ip", "request_id", "nonce")
        ),
        Parameter(name="since", description="Only entries received at or after this time.", schema=MOMENT),
        Parameter(name="until", description="Only entries received before this time.", schema=MOMENT),
        LIMIT,
        CURSOR,
        WITH_BOM,
    ),
    replies={
        200: Reply(
            description="A page of the log; as application/x-ndjson or text/csv the whole selection.",
            schema=LogPage,
            media_types=("application/json", "application/x-ndjson", "text/csv"),
        )
    },
    errors=(errors.InvalidCursor, errors.NotAcceptable),
)
ENTRY: Final = Operation(
    method="GET",
    path=f"{BASE}/sync/log/{{id}}",
    name="get_sync_log_entry",
    summary="One entry of the sync log.",
    path_schemas={"id": UUID},
    tag="sync",
    scope="sync:read",
    key="sync.view",
    replies={200: Reply(description="The entry.", schema=LogEntry)},
    errors=(errors.NotFound,),
)
HISTORY: Final = Operation(
    method="GET",
    path=f"{BASE}/sync/history/{{section}}",
    name="list_section_history",
    summary="The applied revisions of a section with what each changed, newest first.",
    tag="sync",
    scope="sync:read",
    key="sync.view",
    parameters=(LIMIT, CURSOR),
    replies={200: Reply(description="A page of the history.", schema=HistoryPage)},
    errors=(errors.InvalidCursor, errors.NotFound),
)
RESTORE: Final = Operation(
    method="POST",
    path=f"{BASE}/sync/history/{{section}}/{{revision}}/restore",
    name="restore_section",
    summary="Make an earlier revision of a section the current one, as a new revision.",
    tag="sync",
    scope="sync:admin",
    key="sync.restore",
    path_schemas={"revision": {"type": "integer", "minimum": 1}},
    parameters=(Parameter(name="preview", description="true: only say what would change.", schema=BOOLEAN),),
    replies={200: Reply(description="Restored, or previewed.", schema=Receipt)},
    errors=(
        errors.NotFound,
        errors.InvalidPayload,
        errors.ModuleBlocked,
        errors.ModuleUnsupported,
        errors.PluginFailed,
        errors.StorageFull,
    ),
)
