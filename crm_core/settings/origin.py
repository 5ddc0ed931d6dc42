"""The origin by which browsers reach an instance, from instance.yaml."""

from __future__ import annotations

import re
from typing import Final

from crm_core.model.domains import ascii_domain
from crm_core.settings.document import Node
from crm_core.settings.places import Wrong, quoted
from crm_core.settings.reading import LARGEST_PORT, text

_ORIGIN: Final = re.compile(
    r"https?://(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?::([1-9][0-9]{0,4}))?"
)


def public_origin(node: Node) -> str:
    """Scheme, host and port as browsers send them: lower case, ASCII, no port of the scheme's own (RFC 6454, 6.2)."""
    written = text(node)
    origin = (written if written.isascii() else _in_ascii(written)).lower()
    match = _ORIGIN.fullmatch(origin)
    if match is None or int(match[1] or 0) > LARGEST_PORT:
        raise Wrong.at(node.place, f"{quoted(written)} is not an origin; write one such as https://crm.example.com")
    return origin.removesuffix(":443" if origin.startswith("https:") else ":80")


def _in_ascii(origin: str) -> str:
    scheme, slashes, authority = origin.partition("://")
    host, colon, port = authority.partition(":")
    try:
        return f"{scheme}{slashes}{ascii_domain(host)}{colon}{port}"
    except ValueError:
        return origin
