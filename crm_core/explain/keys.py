"""Keys that may have been used instead of the right one."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

from crm_core.explain.cause import Cause
from crm_core.model.keys import Key, Roster

UNDECODED, WRONG_VERSION, WRONG_TENANT_KEY = "secret_undecoded", "wrong_key_version", "wrong_tenant"
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2}){8,}")
_DECODE = "Decode the secret first: what follows hex: is hexadecimal, what follows base64: and whsec_ is base64."


def other_secrets(roster: Roster, tenant: str, keys: tuple[Key, ...], now: datetime) -> Iterator[tuple[Cause, bytes]]:
    """Bytes that may have been used as the key; ``keys`` are those that the request could mean."""
    for key in keys:
        yield from _misread(key.material)
    named = {key.version for key in keys}
    for name, entry in roster.tenants.items():
        for key in (key for key in entry.keys.values() if key.kind == "secret"):
            if name == tenant and key.version not in named:
                words = f"It was signed with key version {key.version}, which is {key.state(now)}."
                meant = ", ".join(str(version) for version in sorted(named)) or "another"
                fix = f"Name the version that signs; the request was checked with {meant}."
                yield Cause(WRONG_VERSION, words, fix), key.material
            elif name != tenant:
                words = f"It was signed with key version {key.version} of the tenant {name}."
                yield Cause(WRONG_TENANT_KEY, words, f"Sign with a key of {tenant}."), key.material


def _misread(secret: bytes) -> Iterator[tuple[Cause, bytes]]:
    """The key not decoded, decoded by mistake, or with a line end."""
    standard, url = base64.b64encode(secret), base64.urlsafe_b64encode(secret)
    hexes = (secret.hex().encode(), secret.hex().upper().encode())
    texts = {
        "its hexadecimal digits": hexes,
        "its base64 text": (standard, standard.rstrip(b"="), url, url.rstrip(b"=")),
        "the whole reference": (
            *(b"hex:" + text for text in hexes),
            *(prefix + standard for prefix in (b"base64:", b"whsec_")),
        ),
    }
    for what, spelled in texts.items():
        for text in spelled:
            yield Cause(UNDECODED, f"The secret was not decoded: {what} served as the key.", _DECODE), text
    line_end = Cause(
        "secret_line_end",
        "The secret was read with the line end of its file or variable.",
        "Strip the line end from the secret.",
    )
    yield line_end, secret + b"\n"
    yield line_end, secret + b"\r\n"
    decoded = Cause(
        "secret_decoded",
        "The secret was decoded, but it is a plain text: its characters are the key.",
        "Use the bytes of the text; only hex:, base64: and whsec_ are decoded.",
    )
    if _HEX.fullmatch(secret):
        yield decoded, bytes.fromhex(secret.decode())
    with suppress(binascii.Error):
        yield decoded, base64.b64decode(secret, validate=True)
