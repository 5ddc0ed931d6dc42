"""The static files of pages, read once; their address changes with their content, so browsers may cache them."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, NamedTuple

import msgspec

from crm_core.language import Language
from crm_core.web.theme import theme_sheet

_TYPES: Final[Mapping[str, str]] = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_SHEET: Final = "workspace.css"
PLAIN_THEME: Final = "theme.css"
"""The theme without a brand."""
_MESSAGE: Final = re.compile(r'\b(?:_|ngettext)\("((?:[^"\\]|\\.)*)"')


class Asset(NamedTuple):
    """A file as it is sent: its bytes, the same compressed, and its media type."""

    content: bytes
    compressed: bytes
    media_type: str


class Assets:
    """Every file below ``static``; the stylesheets become one file, in the order of their names.

    Of each language but English there is a script with the messages of the scripts.

    ``version``, a part of every address, changes exactly when any of the files does.
    """

    def __init__(self, languages: Iterable[Language]) -> None:
        root = files("crm_core.web") / "static"
        sheets = sorted((root / "css").iterdir(), key=lambda sheet: sheet.name)
        found = {_SHEET: b"\n".join(sheet.read_bytes() for sheet in sheets)}
        found[PLAIN_THEME] = theme_sheet({}).encode()
        found |= {one.name: one.read_bytes() for folder in (root, root / "js") for one in _files(folder)}
        found |= {f"catalogue-{one.tag}.js": _catalogue(one, found) for one in languages if one.texts}
        digest = hashlib.sha256(b"".join(name.encode() + found[name] for name in sorted(found)))
        self.version = digest.hexdigest()[:12]
        self._assets = {
            name: Asset(content, gzip.compress(content, mtime=0), _TYPES[name.rpartition(".")[2]])
            for name, content in found.items()
        }

    def get(self, name: str) -> Asset | None:
        """A file by name."""
        return self._assets.get(name)


def _files(folder: Traversable) -> list[Traversable]:
    return [one for one in folder.iterdir() if one.is_file()]


def _catalogue(language: Language, files: Mapping[str, bytes]) -> bytes:
    """The translations of the messages of all scripts, as a script."""
    scripts = [content.decode() for name, content in files.items() if name.endswith(".js")]
    messages = {message for script in scripts for message in _MESSAGE.findall(script)}
    texts = {one: language.plurals.get(one) or language.texts.get(one) for one in sorted(messages)}
    known = msgspec.json.encode({message: text for message, text in texts.items() if text}).decode()
    return f"self.catalogue = {{texts: {known}, plural: (n) => Number({language.rule})}};".encode()
