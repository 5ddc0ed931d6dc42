"""Every error the outside can see: one base, one class per wire code.

::

    CrmError                          carries status, code, title, detail and evidence
    ├── RequestError                  the request as such
    │     NotFound, MethodNotAllowed, NotAcceptable, MalformedPath, MalformedRequest, HeadTooLarge,
    │     RequestTimeout, InvalidParameter, UnknownParameter, InvalidCursor, CursorExpired,
    │     PayloadTooLarge, UnsupportedMediaType, RateLimited, TooManyStreams
    ├── AccessError                   who may do what
    │     Unauthenticated, CsrfFailed, InvalidCredentials, LoginThrottled, TokenReused, InsufficientScope,
    │     ModuleUnavailable, FeatureUnavailable, PermissionDenied, SubscriptionSuspended, LimitReached
    ├── PushError                     why a push was refused, in the order of the checks
    │     MisdirectedInstance, UnknownTenant, UnknownPayloadType, ReceiverDisabled, SignatureMissing,
    │     SignatureMalformed, AmbiguousSignature, SchemeNotAccepted, KeyUnknown, KeyInactive,
    │     SignatureInvalid, SignatureIncomplete, TimestampOutOfWindow, SourceNotAllowed, TypeNotAllowed,
    │     ReplayedNonce, MalformedJson, InvalidEnvelope, TenantMismatch, TypeMismatch, DuplicatePayload,
    │     StaleVersion, InvalidPayload, SecretRequired, ModuleBlocked, ModuleUnsupported
    ├── RecordError
    │     InvalidRecord, ExternalIdTaken, IdempotencyConflict, RevisionMismatch, RecordExists,
    │     RecordArchived, StillReferenced, NotUnique
    └── ServerError                   ours: nothing was changed and nothing was used up
          PluginFailed, InternalError, StorageUnavailable, StorageFull, TooManyConnections,
          InstanceUnavailable, InstanceTimeout

``SetupError`` is no CrmError: it reports files and plugins to an admin at start, and never reaches a client.

Only ``web/problems.py`` (and the manager's twin) turns these into HTTP answers. Evidence must be safe to
show: no secret ever goes into an error.
"""

from __future__ import annotations

from crm_core.errors.access import (
    AccessError,
    CsrfFailed,
    FeatureUnavailable,
    InsufficientScope,
    InvalidCredentials,
    LimitReached,
    LoginThrottled,
    ModuleUnavailable,
    PermissionDenied,
    SubscriptionSuspended,
    TokenReused,
    Unauthenticated,
)
from crm_core.errors.base import CrmError, Finding, SetupError
from crm_core.errors.push import (
    AmbiguousSignature,
    DuplicatePayload,
    InvalidEnvelope,
    InvalidPayload,
    KeyInactive,
    KeyUnknown,
    MalformedJson,
    MisdirectedInstance,
    ModuleBlocked,
    ModuleUnsupported,
    PushError,
    ReceiverDisabled,
    ReplayedNonce,
    SchemeNotAccepted,
    SecretRequired,
    SignatureIncomplete,
    SignatureInvalid,
    SignatureMalformed,
    SignatureMissing,
    SourceNotAllowed,
    StaleVersion,
    TenantMismatch,
    TimestampOutOfWindow,
    TypeMismatch,
    TypeNotAllowed,
    UnknownPayloadType,
    UnknownTenant,
)
from crm_core.errors.record import (
    ExternalIdTaken,
    IdempotencyConflict,
    InvalidRecord,
    NotUnique,
    RecordArchived,
    RecordError,
    RecordExists,
    RevisionMismatch,
    StillReferenced,
)
from crm_core.errors.request import (
    CursorExpired,
    HeadTooLarge,
    InvalidCursor,
    InvalidParameter,
    MalformedPath,
    MalformedRequest,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    RequestError,
    RequestTimeout,
    TooManyStreams,
    UnknownParameter,
    UnsupportedMediaType,
)
from crm_core.errors.server import (
    InstanceTimeout,
    InstanceUnavailable,
    InternalError,
    PluginFailed,
    ServerError,
    StorageFull,
    StorageUnavailable,
    TooManyConnections,
)

__all__ = [
    "AccessError",
    "AmbiguousSignature",
    "CrmError",
    "CsrfFailed",
    "CursorExpired",
    "DuplicatePayload",
    "ExternalIdTaken",
    "FeatureUnavailable",
    "Finding",
    "HeadTooLarge",
    "IdempotencyConflict",
    "InstanceTimeout",
    "InstanceUnavailable",
    "InsufficientScope",
    "InternalError",
    "InvalidCredentials",
    "InvalidCursor",
    "InvalidEnvelope",
    "InvalidParameter",
    "InvalidPayload",
    "InvalidRecord",
    "KeyInactive",
    "KeyUnknown",
    "LimitReached",
    "LoginThrottled",
    "MalformedJson",
    "MalformedPath",
    "MalformedRequest",
    "MethodNotAllowed",
    "MisdirectedInstance",
    "ModuleBlocked",
    "ModuleUnavailable",
    "ModuleUnsupported",
    "NotAcceptable",
    "NotFound",
    "NotUnique",
    "PayloadTooLarge",
    "PermissionDenied",
    "PluginFailed",
    "PushError",
    "RateLimited",
    "ReceiverDisabled",
    "RecordArchived",
    "RecordError",
    "RecordExists",
    "ReplayedNonce",
    "RequestError",
    "RequestTimeout",
    "RevisionMismatch",
    "SchemeNotAccepted",
    "SecretRequired",
    "ServerError",
    "SetupError",
    "SignatureIncomplete",
    "SignatureInvalid",
    "SignatureMalformed",
    "SignatureMissing",
    "SourceNotAllowed",
    "StaleVersion",
    "StillReferenced",
    "StorageFull",
    "StorageUnavailable",
    "SubscriptionSuspended",
    "TenantMismatch",
    "TimestampOutOfWindow",
    "TokenReused",
    "TooManyConnections",
    "TooManyStreams",
    "TypeMismatch",
    "TypeNotAllowed",
    "Unauthenticated",
    "UnknownParameter",
    "UnknownPayloadType",
    "UnknownTenant",
    "UnsupportedMediaType",
]
