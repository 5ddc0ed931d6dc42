"""What to do about a refused push, by error code: steps for the platform's engineers and this instance's operators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from crm_core.language import gettext, gettext_noop
from crm_core.model.log import LogEntry


class Remedy(NamedTuple):
    """What went wrong, what that means, and the steps to fix it."""

    title: str
    text: str
    steps: tuple[str, ...]


_AGAIN: Final = gettext_noop("Send it again.")
_NEW_NONCE: Final = gettext_noop("Send it again with a new nonce and timestamp.")
_SAME_REQUEST: Final = gettext_noop("Send the same request again. Its nonce is still unused.")
_SERVER_LOG: Final = gettext_noop("Look for the cause in the server's log.")

_REMEDIES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "unknown_payload_type": (
        gettext_noop("No plugin of this instance accepts this payload type"),
        (
            gettext_noop("Check the last part of the URL."),
            gettext_noop("Ask an operator to install the plugin that provides the type."),
        ),
    ),
    "receiver_disabled": (
        gettext_noop("Pushes are disabled for this workspace"),
        (gettext_noop("Set sync: enabled for the tenant in keys.yaml, and sync.enabled in instance.yaml."), _AGAIN),
    ),
    "unsupported_media_type": (
        gettext_noop("The body is not plain JSON in UTF-8"),
        (gettext_noop("Send Content-Type: application/json."), gettext_noop("Send no Content-Encoding.")),
    ),
    "payload_too_large": (
        gettext_noop("The body is too large"),
        (
            gettext_noop("Send pictures as https URLs, not in the body."),
            gettext_noop("Push the sections one at a time."),
        ),
    ),
    "signature_missing": (
        gettext_noop("The request is not signed"),
        (
            gettext_noop("Send the headers of one signature scheme."),
            gettext_noop("If your platform does sign, look for a proxy that drops them."),
        ),
    ),
    "signature_malformed": (
        gettext_noop("The signature headers are malformed"),
        (gettext_noop("Compare them with the documentation on signing."), _AGAIN),
    ),
    "ambiguous_signature": (
        gettext_noop("The request has headers of two signature schemes"),
        (gettext_noop("Send the headers of one scheme only."),),
    ),
    "scheme_not_accepted": (
        gettext_noop("This workspace does not accept this signature scheme"),
        (
            gettext_noop("Sign with a scheme that keys.yaml lists."),
            gettext_noop("Or add the scheme to the tenant's schemes in keys.yaml."),
        ),
    ),
    "key_unknown": (
        gettext_noop("The key roster does not have this key version"),
        (
            gettext_noop("Sign with the expected key, which the console shows."),
            gettext_noop("Or add this version to keys.yaml."),
        ),
    ),
    "key_inactive": (
        gettext_noop("The key is not active"),
        (
            gettext_noop("Sign with the expected key, which the console shows."),
            gettext_noop("Or change not_before, not_after or revoked in keys.yaml."),
        ),
    ),
    "signature_invalid": (
        gettext_noop("The signature does not match the body"),
        (
            gettext_noop("Sign the bytes that you send: serialize once, then sign and send those bytes."),
            gettext_noop("Check that the platform and the roster have the same secret, decoded the same way."),
            gettext_noop("Capture a request and find the difference with crm explain."),
        ),
    ),
    "signature_incomplete": (
        gettext_noop("The signature covers too little"),
        (
            gettext_noop("Cover @method, @path and content-digest."),
            gettext_noop("Send Content-Digest over the exact body."),
        ),
    ),
    "timestamp_out_of_window": (
        gettext_noop("The timestamp is outside the accepted window"),
        (
            gettext_noop(
                "Enable time synchronization on the platform's servers, for example with timedatectl set-ntp true."
            ),
            gettext_noop("If the push waited in a queue, sign it when it leaves the queue."),
            gettext_noop("Send it again with a new timestamp. Its nonce is still unused."),
        ),
    ),
    "rate_limited": (
        gettext_noop("Too many unverified attempts came from this address"),
        (
            gettext_noop("Look at the earlier attempts, and fix the first one that was refused."),
            gettext_noop("Wait a minute, then send it again."),
        ),
    ),
    "source_not_allowed": (
        gettext_noop("The key may not be used from this address"),
        (
            gettext_noop("Send from an address in the key's sources."),
            gettext_noop("If this instance is behind a proxy, ask an operator to set trusted_proxies."),
        ),
    ),
    "type_not_allowed": (
        gettext_noop("The key may not push this section"),
        (
            gettext_noop("Sign with a key whose types include it."),
            gettext_noop("Or add the section to the key's types in keys.yaml."),
        ),
    ),
    "replayed_nonce": (
        gettext_noop("This nonce was used before"),
        (
            gettext_noop("Create a new nonce for each request."),
            gettext_noop("If your sender retries requests unchanged, set repeats: accept in keys.yaml."),
        ),
    ),
    "malformed_json": (
        gettext_noop("The body is not strict JSON"),
        (gettext_noop("Look for duplicate members, NaN, a BOM, or text after the end."), _NEW_NONCE),
    ),
    "invalid_envelope": (
        gettext_noop("The envelope around the data is invalid"),
        (gettext_noop("Fix the members that the response lists."), _NEW_NONCE),
    ),
    "tenant_mismatch": (
        gettext_noop("The body names another tenant or instance than the URL"),
        (gettext_noop("Push each tenant's payload to its own URL."), _NEW_NONCE),
    ),
    "type_mismatch": (
        gettext_noop("The body names another payload type than the URL"),
        (gettext_noop("Use the same type in both."), _NEW_NONCE),
    ),
    "duplicate_payload": (
        gettext_noop("This payload was accepted before"),
        (
            gettext_noop("If the workspace is as it should be, do nothing."),
            gettext_noop("To push the same data again, raise the version."),
        ),
    ),
    "stale_version": (
        gettext_noop("The version is not newer than the current one"),
        (
            gettext_noop("Push with the version that health shows as min_version, or a higher one."),
            gettext_noop("If the platform pushed a wrong version, an operator can run crm tenant reset-version."),
        ),
    ),
    "invalid_payload": (
        gettext_noop("The data does not match its schema"),
        (gettext_noop("Fix each error that the response lists."), _NEW_NONCE),
    ),
    "module_blocked": (
        gettext_noop("The payload names a module that this instance's policy blocks"),
        (
            gettext_noop("Leave the module out of the payload."),
            gettext_noop("Or ask an operator to change sync_policy in modules.yaml."),
        ),
    ),
    "module_unsupported": (
        gettext_noop("The payload names a module that this instance does not know"),
        (
            gettext_noop("Check the spelling of its name."),
            gettext_noop("Or ask an operator to add it to modules.yaml."),
        ),
    ),
    "storage_unavailable": (
        gettext_noop("The workspace could not be written"),
        (_SAME_REQUEST, gettext_noop("If it fails again, run crm doctor.")),
    ),
    "storage_full": (gettext_noop("The disk is full"), (gettext_noop("Free space on the disk."), _SAME_REQUEST)),
    "plugin_failed": (gettext_noop("A plugin of this instance failed"), (_SERVER_LOG, _SAME_REQUEST)),
    "internal_error": (gettext_noop("This instance failed"), (_SERVER_LOG, _SAME_REQUEST)),
}

_SECRET_REQUIRED: Final = (
    gettext_noop("The push needs a secret"),
    (
        gettext_noop(
            "Push the section with its secret: its destination has changed, so the stored secret is not reused."
        ),
        _NEW_NONCE,
    ),
)
_UNKNOWN: Final = (gettext_noop("This push was refused"), (gettext_noop("Read the message of the refusal."),))


def remedy_of(entry: LogEntry) -> Remedy | None:
    """The remedy for an attempt, or None if it was not refused."""
    code = entry.error_code
    if code is None:
        return None
    title, steps = _REMEDIES.get(code, _SECRET_REQUIRED if code.endswith("_required") else _UNKNOWN)
    return Remedy(gettext(title), _text(entry), tuple(map(gettext, steps)))


def _text(entry: LogEntry) -> str:
    if entry.signature_result == "valid":
        return gettext("The signature is valid, so your platform sent this.")
    if entry.status == "failed":
        return gettext("The error is in this instance. Nothing was changed.")
    return gettext("The request was not verified, so the sender is unknown. Nothing was changed.")
