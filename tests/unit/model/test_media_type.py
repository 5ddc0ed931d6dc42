from __future__ import annotations

import pytest

from crm_core.errors import UnsupportedMediaType
from crm_core.model.media_type import require_media_type

JSON = "application/json"
PATCH = (JSON, "application/merge-patch+json")


def refusal(types: list[str], encodings: list[str]) -> str | None:
    """The refusal of a request with these header fields; None if it passes."""
    try:
        require_media_type(types, encodings, PATCH)
    except UnsupportedMediaType as refused:
        return str(refused)
    return None


@pytest.mark.parametrize(
    ("types", "encodings"),
    [
        ([JSON], []),
        (["Application/JSON"], []),
        ([PATCH[1]], []),
        ([f"{JSON} ; charset=utf-8"], []),
        ([f'{JSON};Charset="UTF-8"'], []),
        ([f"{JSON}; charset=utf8"], []),
        ([f"{JSON}; profile=x;"], []),
        ([f"{JSON}; profile=utf-16; charset = utf-8"], []),
        ([JSON], ["identity"]),
        ([JSON], ["", "Identity"]),
    ],
)
def test_one_allowed_type_in_utf_8(types: list[str], encodings: list[str]) -> None:
    """Case, blanks, quotes and other parameters do not count; a charset is UTF-8 if it is named."""
    assert refusal(types, encodings) is None


@pytest.mark.parametrize(
    ("types", "encodings", "words"),
    [
        ([], [], "Send the body as application/json or application/merge-patch+json, in one Content-Type field."),
        ([""], [], "in one Content-Type field"),
        (["text/plain"], [], "in one Content-Type field"),
        (["application/jsonp"], [], "in one Content-Type field"),
        ([JSON, JSON], [], "in one Content-Type field"),
        ([f"{JSON}, text/plain"], [], "in one Content-Type field"),
        ([f"text/plain; {JSON}"], [], "in one Content-Type field"),
        ([f"{JSON}; charset=latin-1"], [], "Send application/json or application/merge-patch+json in UTF-8."),
        ([f"{JSON}; charset="], [], "in UTF-8"),
        ([f'{JSON}; charset="utf-16=utf-8"'], [], "in UTF-8"),
        ([f"{JSON}; CHARSET=utf-16"], [], "in UTF-8"),
        ([f"{JSON}; profile=x; charset=utf-16"], [], "in UTF-8"),
        ([f"{JSON}; charset=utf-8; charset=utf-8"], [], "in UTF-8"),
        ([f"{JSON}; charset=utf-8; charset=utf-16"], [], "in UTF-8"),
        ([JSON], ["gzip"], "without Content-Encoding"),
        ([JSON], ["identity", "gzip"], "without Content-Encoding"),
        ([JSON], ["identity, gzip"], "without Content-Encoding"),
    ],
)
def test_another_type_charset_or_encoding_is_refused(types: list[str], encodings: list[str], words: str) -> None:
    """So is a second Content-Type field or charset: two readers of the body could differ on what it is."""
    assert words in (refusal(types, encodings) or "")
