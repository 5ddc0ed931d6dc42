"""The sixteen checks of a push, in order: the one table for the receiver, ``crm explain``, the pages and the docs."""

from __future__ import annotations

from enum import Enum

from crm_core.errors import (
    AmbiguousSignature,
    CrmError,
    DuplicatePayload,
    InvalidEnvelope,
    InvalidPayload,
    KeyInactive,
    KeyUnknown,
    MalformedJson,
    MisdirectedInstance,
    ModuleBlocked,
    ModuleUnsupported,
    PayloadTooLarge,
    ReceiverDisabled,
    ReplayedNonce,
    RequestTimeout,
    SchemeNotAccepted,
    SecretRequired,
    SignatureIncomplete,
    SignatureInvalid,
    SignatureMalformed,
    SignatureMissing,
    SourceNotAllowed,
    StaleVersion,
    StorageFull,
    StorageUnavailable,
    TenantMismatch,
    TimestampOutOfWindow,
    TypeMismatch,
    TypeNotAllowed,
    UnknownPayloadType,
    UnknownTenant,
    UnsupportedMediaType,
)


class Check(Enum):
    """A check: its number, its title, and the errors that it refuses with."""

    ADDRESS = (
        "Instance, tenant and payload type exist",
        MisdirectedInstance,
        UnknownTenant,
        UnknownPayloadType,
    )
    RECEIVER = "Receiver enabled", ReceiverDisabled
    BODY = "Media type, encoding and size", UnsupportedMediaType, PayloadTooLarge, RequestTimeout
    HEADERS = (
        "Signature headers present and well-formed",
        SignatureMissing,
        SignatureMalformed,
        AmbiguousSignature,
        SchemeNotAccepted,
    )
    KEY = "Key version known and active", KeyUnknown, KeyInactive
    SIGNATURE = "Signature matches the raw body", SignatureInvalid, SignatureIncomplete
    TIMESTAMP = "Timestamp within the window", TimestampOutOfWindow
    KEY_LIMITS = "Source address and payload type allowed for this key", SourceNotAllowed, TypeNotAllowed
    NONCE = "Nonce unused", ReplayedNonce
    ENVELOPE = (
        "Envelope valid and for this address",
        MalformedJson,
        InvalidEnvelope,
        TenantMismatch,
        TypeMismatch,
        TypeNotAllowed,
    )
    PAYLOAD = "Payload not applied before", DuplicatePayload
    VERSION = "Version above the floor", StaleVersion
    SCHEMA = "Schema", InvalidPayload, SecretRequired
    MODULES = "Module policy", ModuleBlocked, ModuleUnsupported
    VALIDATORS = "Validators", InvalidPayload
    APPLY = "Applied and durable", StorageUnavailable, StorageFull

    def __init__(self, title: str, *errors: type[CrmError]) -> None:
        self.number = len(type(self).__members__) + 1
        self.title = title
        self.errors = errors


LAST_UNVERIFIED = Check.NONCE
"""An attempt that passed this check is verified: its refusal is a link of the log's chain, and its nonce is used."""


def failed_check(code: str, *, verified: bool) -> Check | None:
    """The check that refuses with an error code; None for faults and limits that are no check's."""
    if code.endswith("_required"):  # SecretRequired makes its code of the member
        return Check.SCHEMA
    possible = list(Check)[LAST_UNVERIFIED.number :] if verified else Check
    return next((check for check in possible if any(error.code == code for error in check.errors)), None)
