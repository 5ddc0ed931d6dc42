"""What to do about a refused push, by its code: in words for whoever runs the platform, or this instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from crm_core.model.log import LogEntry


class Mending(NamedTuple):
    """A refusal in a sentence, why it came, and what to do, in order."""

    title: str
    text: str
    steps: tuple[str, ...]


_AGAIN: Final = "Send it again."
_NEW_NONCE: Final = "Send it again with a new nonce and timestamp."
_OURS: Final = ("Send the very same request again: nothing of it was used up.", "If it stays so, look at crm doctor.")
_SIGNED_WRONG: Final = (
    "Sign the bytes that are sent: serialise once, keep the bytes, sign them, send them.",
    "Check that the platform and the roster hold the same secret, decoded the same way.",
    "Capture a request and let crm explain find the difference.",
)

_MENDINGS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "unknown_payload_type": (
        "No plugin here takes this payload type",
        ("Check the last part of the address.", "Let an operator install the plugin that brings the type."),
    ),
    "receiver_disabled": (
        "Pushes are switched off for this workspace",
        ("Set sync: enabled for the tenant in keys.yaml, and sync.enabled in instance.yaml.", _AGAIN),
    ),
    "unsupported_media_type": (
        "The body is not plain JSON in UTF-8",
        ("Send Content-Type: application/json.", "Send it without a Content-Encoding."),
    ),
    "payload_too_large": (
        "The body is too large",
        ("Send pictures by https address instead of in the body.", "Push the sections one by one."),
    ),
    "signature_missing": (
        "Nobody signed this request",
        ("Send the headers of one signature scheme.", "If your platform does sign, look for a proxy that drops them."),
    ),
    "signature_malformed": ("The signature headers cannot be read", ("Compare them with the page on signing.", _AGAIN)),
    "ambiguous_signature": ("Headers of two signature schemes came at once", ("Send those of one scheme only.",)),
    "scheme_not_accepted": (
        "This workspace does not accept this signature scheme",
        ("Sign with a scheme that the roster lists.", "Or add the scheme to the tenant's schemes in keys.yaml."),
    ),
    "key_unknown": (
        "The key roster has no such key version",
        ("Sign with the expected key, which the console names.", "Or add this version to keys.yaml."),
    ),
    "key_inactive": (
        "The key is not active",
        (
            "Sign with the expected key, which the console names.",
            "Or mend not_before, not_after or revoked in keys.yaml.",
        ),
    ),
    "signature_invalid": ("The signature does not fit the body", _SIGNED_WRONG),
    "signature_incomplete": (
        "The signature covers too little",
        ("Cover @method, @path and content-digest.", "Send Content-Digest over the exact body."),
    ),
    "timestamp_out_of_window": (
        "The sender's clock, or a queue, is out of time",
        (
            "Switch time synchronisation on where the platform runs, for example timedatectl set-ntp true.",
            "If the push waited in a queue, sign it when it is sent and not when it is queued.",
            "Send it again with a new timestamp. The nonce was not used up.",
        ),
    ),
    "rate_limited": (
        "Too many unverified attempts came from this address",
        (
            "Look at the attempts before this one: their first refusal is the one to mend.",
            "Wait a minute, then send it again.",
        ),
    ),
    "source_not_allowed": (
        "The key may not be used from this address",
        ("Send from an address that the key's sources list.", "Behind a proxy, have an operator set trusted_proxies."),
    ),
    "type_not_allowed": (
        "The key may not push this section",
        ("Sign with a key whose types hold it.", "Or add the section to the key's types in keys.yaml."),
    ),
    "replayed_nonce": (
        "This nonce was used before",
        (
            "Make a new nonce for each request.",
            "If your sender repeats what it has sent, set repeats: accept in keys.yaml.",
        ),
    ),
    "malformed_json": (
        "The body is not strict JSON",
        ("Look for doubled members, NaN, a BOM or text after the end.", _NEW_NONCE),
    ),
    "invalid_envelope": (
        "The envelope around the data is not right",
        ("Mend the members that the answer names.", _NEW_NONCE),
    ),
    "tenant_mismatch": (
        "The body names another tenant or instance than the address",
        ("Push each tenant's payload to its own address.", _NEW_NONCE),
    ),
    "type_mismatch": ("The body names another type than the address", ("Let both name the same type.", _NEW_NONCE)),
    "duplicate_payload": (
        "This very payload was applied before",
        (
            "Nothing needs to be done if the workspace is as it should be.",
            "To push the same data again, raise the version.",
        ),
    ),
    "stale_version": (
        "The version is not newer than what is in force",
        (
            "Push with the version that health shows as min_version, or a higher one.",
            "After a slip of the platform, an operator can run crm tenant reset-version.",
        ),
    ),
    "invalid_payload": ("The data does not fit its schema", ("Mend every place that the answer lists.", _NEW_NONCE)),
    "module_blocked": (
        "The payload names a module that this instance's policy blocks",
        ("Leave the module out of the payload.", "Or have an operator change sync_policy in modules.yaml."),
    ),
    "module_unsupported": (
        "The payload names a module that this instance does not know",
        ("Check its name for a slip.", "Or have an operator add it to modules.yaml."),
    ),
    "storage_unavailable": ("The workspace could not be written", _OURS),
    "storage_full": ("The disk was full", ("Free space on the disk.", "Send the very same request again.")),
    "plugin_failed": ("A plugin of this instance failed", ("The server's log names the cause.", _OURS[0])),
    "internal_error": ("Something broke on this side", ("The server's log names the cause.", _OURS[0])),
}

_SECRET_ASKED: Final = (
    "A secret has to be sent anew",
    ("Push the section with its secret: where it goes has changed, so the stored one is not kept.", _NEW_NONCE),
)
_UNKNOWN: Final = ("This push was refused", ("The message of the refusal says why.",))


def mending_of(entry: LogEntry) -> Mending | None:
    """What to do about an attempt; None where there is nothing to mend."""
    code = entry.error_code
    if code is None:
        return None
    known = _MENDINGS.get(code)
    if known is None:
        known = _SECRET_ASKED if code.endswith("_required") else _UNKNOWN
    title, steps = known
    return Mending(title, _text(entry), steps)


def _text(entry: LogEntry) -> str:
    if entry.signature_result == "valid":
        return "The signature is right, so this came from your platform."
    if entry.status == "failed":
        return "The fault is on this side; nothing was changed or used up."
    return "Whether this came from your platform is not proven. Nothing was changed."
