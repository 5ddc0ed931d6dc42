"""What to do about a refused push, by error code: steps for the platform's engineers and this instance's operators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from crm_core.model.log import LogEntry


class Remedy(NamedTuple):
    """What went wrong, what that means, and the steps to fix it."""

    title: str
    text: str
    steps: tuple[str, ...]


_AGAIN: Final = "Send it again."
_NEW_NONCE: Final = "Send it again with a new nonce and timestamp."
_SAME_REQUEST: Final = "Send the same request again. Its nonce is still unused."
_SERVER_LOG: Final = "Look for the cause in the server's log."

_REMEDIES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "unknown_payload_type": (
        "No plugin of this instance accepts this payload type",
        ("Check the last part of the URL.", "Ask an operator to install the plugin that provides the type."),
    ),
    "receiver_disabled": (
        "Pushes are disabled for this workspace",
        ("Set sync: enabled for the tenant in keys.yaml, and sync.enabled in instance.yaml.", _AGAIN),
    ),
    "unsupported_media_type": (
        "The body is not plain JSON in UTF-8",
        ("Send Content-Type: application/json.", "Send no Content-Encoding."),
    ),
    "payload_too_large": (
        "The body is too large",
        ("Send pictures as https URLs, not in the body.", "Push the sections one at a time."),
    ),
    "signature_missing": (
        "The request is not signed",
        ("Send the headers of one signature scheme.", "If your platform does sign, look for a proxy that drops them."),
    ),
    "signature_malformed": (
        "The signature headers are malformed",
        ("Compare them with the documentation on signing.", _AGAIN),
    ),
    "ambiguous_signature": (
        "The request has headers of two signature schemes",
        ("Send the headers of one scheme only.",),
    ),
    "scheme_not_accepted": (
        "This workspace does not accept this signature scheme",
        ("Sign with a scheme that keys.yaml lists.", "Or add the scheme to the tenant's schemes in keys.yaml."),
    ),
    "key_unknown": (
        "The key roster does not have this key version",
        ("Sign with the expected key, which the console shows.", "Or add this version to keys.yaml."),
    ),
    "key_inactive": (
        "The key is not active",
        (
            "Sign with the expected key, which the console shows.",
            "Or change not_before, not_after or revoked in keys.yaml.",
        ),
    ),
    "signature_invalid": (
        "The signature does not match the body",
        (
            "Sign the bytes that you send: serialize once, then sign and send those bytes.",
            "Check that the platform and the roster have the same secret, decoded the same way.",
            "Capture a request and find the difference with crm explain.",
        ),
    ),
    "signature_incomplete": (
        "The signature covers too little",
        ("Cover @method, @path and content-digest.", "Send Content-Digest over the exact body."),
    ),
    "timestamp_out_of_window": (
        "The timestamp is outside the accepted window",
        (
            "Enable time synchronization on the platform's servers, for example with timedatectl set-ntp true.",
            "If the push waited in a queue, sign it when it leaves the queue.",
            "Send it again with a new timestamp. Its nonce is still unused.",
        ),
    ),
    "rate_limited": (
        "Too many unverified attempts came from this address",
        ("Look at the earlier attempts, and fix the first one that was refused.", "Wait a minute, then send it again."),
    ),
    "source_not_allowed": (
        "The key may not be used from this address",
        (
            "Send from an address in the key's sources.",
            "If this instance is behind a proxy, ask an operator to set trusted_proxies.",
        ),
    ),
    "type_not_allowed": (
        "The key may not push this section",
        ("Sign with a key whose types include it.", "Or add the section to the key's types in keys.yaml."),
    ),
    "replayed_nonce": (
        "This nonce was used before",
        (
            "Create a new nonce for each request.",
            "If your sender retries requests unchanged, set repeats: accept in keys.yaml.",
        ),
    ),
    "malformed_json": (
        "The body is not strict JSON",
        ("Look for duplicate members, NaN, a BOM, or text after the end.", _NEW_NONCE),
    ),
    "invalid_envelope": (
        "The envelope around the data is invalid",
        ("Fix the members that the response lists.", _NEW_NONCE),
    ),
    "tenant_mismatch": (
        "The body names another tenant or instance than the URL",
        ("Push each tenant's payload to its own URL.", _NEW_NONCE),
    ),
    "type_mismatch": (
        "The body names another payload type than the URL",
        ("Use the same type in both.", _NEW_NONCE),
    ),
    "duplicate_payload": (
        "This payload was accepted before",
        ("If the workspace is as it should be, do nothing.", "To push the same data again, raise the version."),
    ),
    "stale_version": (
        "The version is not newer than the current one",
        (
            "Push with the version that health shows as min_version, or a higher one.",
            "If the platform pushed a wrong version, an operator can run crm tenant reset-version.",
        ),
    ),
    "invalid_payload": ("The data does not match its schema", ("Fix each error that the response lists.", _NEW_NONCE)),
    "module_blocked": (
        "The payload names a module that this instance's policy blocks",
        ("Leave the module out of the payload.", "Or ask an operator to change sync_policy in modules.yaml."),
    ),
    "module_unsupported": (
        "The payload names a module that this instance does not know",
        ("Check the spelling of its name.", "Or ask an operator to add it to modules.yaml."),
    ),
    "storage_unavailable": (
        "The workspace could not be written",
        (_SAME_REQUEST, "If it fails again, run crm doctor."),
    ),
    "storage_full": ("The disk is full", ("Free space on the disk.", _SAME_REQUEST)),
    "plugin_failed": ("A plugin of this instance failed", (_SERVER_LOG, _SAME_REQUEST)),
    "internal_error": ("This instance failed", (_SERVER_LOG, _SAME_REQUEST)),
}

_SECRET_REQUIRED: Final = (
    "The push needs a secret",
    ("Push the section with its secret: its destination has changed, so the stored secret is not reused.", _NEW_NONCE),
)
_UNKNOWN: Final = ("This push was refused", ("Read the message of the refusal.",))


def remedy_of(entry: LogEntry) -> Remedy | None:
    """The remedy for an attempt, or None if it was not refused."""
    code = entry.error_code
    if code is None:
        return None
    title, steps = _REMEDIES.get(code, _SECRET_REQUIRED if code.endswith("_required") else _UNKNOWN)
    return Remedy(title, _text(entry), steps)


def _text(entry: LogEntry) -> str:
    if entry.signature_result == "valid":
        return "The signature is valid, so your platform sent this."
    if entry.status == "failed":
        return "The error is in this instance. Nothing was changed."
    return "The request was not verified, so the sender is unknown. Nothing was changed."
