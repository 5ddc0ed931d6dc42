"""The sixteen checks of a push, in order: the one table for the receiver, ``crm explain``, the pages and the docs."""

from __future__ import annotations

from enum import Enum

from crm_core import errors
from crm_core.errors import CrmError


class Check(Enum):
    """A check: its number, its title, and the errors that it refuses with."""

    ADDRESS = (
        "Instance, tenant and payload type exist",
        errors.MisdirectedInstance,
        errors.UnknownTenant,
        errors.UnknownPayloadType,
    )
    RECEIVER = "Receiver enabled", errors.ReceiverDisabled
    BODY = "Media type, encoding and size", errors.UnsupportedMediaType, errors.PayloadTooLarge, errors.RequestTimeout
    HEADERS = (
        "Signature headers present and well-formed",
        errors.SignatureMissing,
        errors.SignatureMalformed,
        errors.AmbiguousSignature,
        errors.SchemeNotAccepted,
    )
    KEY = "Key version known and active", errors.KeyUnknown, errors.KeyInactive
    SIGNATURE = "Signature matches the raw body", errors.SignatureInvalid, errors.SignatureIncomplete
    TIMESTAMP = "Timestamp within the window", errors.TimestampOutOfWindow
    KEY_LIMITS = "Source address and payload type allowed for this key", errors.SourceNotAllowed, errors.TypeNotAllowed
    NONCE = "Nonce unused", errors.ReplayedNonce
    ENVELOPE = (
        "Envelope valid and for this address",
        errors.MalformedJson,
        errors.InvalidEnvelope,
        errors.TenantMismatch,
        errors.TypeMismatch,
        errors.TypeNotAllowed,
    )
    PAYLOAD = "Payload not applied before", errors.DuplicatePayload
    VERSION = "Version above the floor", errors.StaleVersion
    SCHEMA = "Schema", errors.InvalidPayload, errors.SecretRequired
    MODULES = "Module policy", errors.ModuleBlocked, errors.ModuleUnsupported
    VALIDATORS = "Validators", errors.InvalidPayload
    APPLY = "Applied and durable", errors.StorageUnavailable, errors.StorageFull

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
