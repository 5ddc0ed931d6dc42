"""The media type of a request's body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from crm_core.errors import UnsupportedMediaType

_UTF_8: Final = ("utf-8", "utf8")


def require_media_type(types: Sequence[str], encodings: Sequence[str], allowed: Sequence[str]) -> None:
    """Refuse a body that is not of an ``allowed`` type, in UTF-8 and not compressed. Raises UnsupportedMediaType.

    ``types`` and ``encodings``: every value of Content-Type and of Content-Encoding, stripped (RFC 9110, 8.3 and 8.4).
    """
    if len(types) == 1 and types[0] in allowed and not encodings:
        return
    media_type, _, parameters = types[0].partition(";") if len(types) == 1 else ("", "", "")
    if media_type.rstrip().lower() not in allowed:
        raise UnsupportedMediaType(f"Send the body as {' or '.join(allowed)}, in one Content-Type field.")
    pairs = [parameter.lower().partition("=") for parameter in parameters.split(";") if parameter]
    charsets = [value.strip().strip('"') for name, _, value in pairs if name.strip() == "charset"]
    if len(charsets) > 1 or any(charset not in _UTF_8 for charset in charsets):
        raise UnsupportedMediaType(f"Send {' or '.join(allowed)} in UTF-8.")
    if any(encoding.lower() not in ("", "identity") for encoding in encodings):
        raise UnsupportedMediaType("Send the body without Content-Encoding.")
