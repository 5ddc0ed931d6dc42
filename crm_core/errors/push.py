"""Why a push was refused, in the order of the checks."""

from __future__ import annotations

from collections.abc import Iterable

from crm_core.errors.base import CrmError, Finding


class PushError(CrmError):
    """A signed push (or signed health request) was refused."""


class MisdirectedInstance(PushError, status=421, code="misdirected_instance", title="Another instance"):
    """This process does not serve that instance (RFC 9110, section 15.5.20)."""


class UnknownTenant(PushError, status=404, code="unknown_tenant", title="Unknown tenant"):
    """This instance has no such tenant."""


class UnknownPayloadType(PushError, status=404, code="unknown_payload_type", title="Unknown payload type"):
    """No plugin brings this payload type."""


class ReceiverDisabled(PushError, status=403, code="receiver_disabled", title="Receiver disabled"):
    """Sync is switched off for the instance or the tenant."""


class SignatureMissing(PushError, status=401, code="signature_missing", title="Signature missing"):
    """No signature header, or one of the scheme's headers is absent."""


class SignatureMalformed(PushError, status=400, code="signature_malformed", title="Signature malformed"):
    """A signature header does not parse or is repeated."""


class AmbiguousSignature(PushError, status=400, code="ambiguous_signature", title="More than one signature scheme"):
    """Headers of two schemes in one request."""


class SchemeNotAccepted(PushError, status=401, code="scheme_not_accepted", title="Signature scheme not accepted"):
    """The roster does not allow this scheme for the tenant."""


class KeyUnknown(PushError, status=401, code="key_unknown", title="Key unknown"):
    """The roster has no key of that version for the tenant."""


class KeyInactive(PushError, status=401, code="key_inactive", title="Key not active"):
    """The key is not yet valid, expired or revoked."""


class SignatureInvalid(PushError, status=401, code="signature_invalid", title="Signature does not match"):
    """The signature was not made with this key over these bytes."""


class SignatureIncomplete(PushError, status=401, code="signature_incomplete", title="Signature covers too little"):
    """The signature is too narrow, or covers something the request lacks."""


class TimestampOutOfWindow(PushError, status=401, code="timestamp_out_of_window", title="Timestamp out of window"):
    """The request is too old or from the future by this server's clock."""


class SourceNotAllowed(PushError, status=403, code="source_not_allowed", title="Source address not allowed"):
    """The key may not be used from this address."""


class TypeNotAllowed(PushError, status=403, code="type_not_allowed", title="Payload type not allowed for this key"):
    """The key may not push this section."""


class ReplayedNonce(PushError, status=409, code="replayed_nonce", title="Nonce already used"):
    """The nonce was used before under this key."""


class MalformedJson(PushError, status=400, code="malformed_json", title="Malformed JSON"):
    """The body is not strict JSON (RFC 8259, and I-JSON's limits)."""


class InvalidEnvelope(PushError, status=400, code="invalid_envelope", title="Invalid envelope"):
    """An envelope member is unknown, missing or mistyped."""


class TenantMismatch(PushError, status=403, code="tenant_mismatch", title="Body and address disagree"):
    """Body and URL name different tenants or instances."""


class TypeMismatch(PushError, status=400, code="type_mismatch", title="Payload type mismatch"):
    """Body and URL name different payload types."""


class DuplicatePayload(PushError, status=409, code="duplicate_payload", title="Payload already applied"):
    """These very bytes were applied before."""


class StaleVersion(PushError, status=409, code="stale_version", title="Version too old"):
    """The version does not exceed the section's floor."""


class InvalidPayload(PushError, status=422, code="invalid_payload", title="Invalid payload"):
    """The data does not fit its section; every error is listed."""


class ModuleBlocked(PushError, status=403, code="module_blocked", title="Module blocked by policy"):
    """The payload names a module that the local sync policy blocks."""


class ModuleUnsupported(PushError, status=422, code="module_unsupported", title="Module not known here"):
    """The payload names a module that this instance does not have."""


class SecretRequired(InvalidPayload, status=422, code="secret_required", title="Secret required"):
    """A secret is required again: members it is bound to have changed; the code is ``{member}_required``."""

    def __init__(self, member: str, detail: str = "", *, errors: Iterable[Finding] = ()) -> None:
        super().__init__(detail, errors=errors)
        self.code = f"{member}_required"
