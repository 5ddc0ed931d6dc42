"""Plain HTTP for the clients of tests: one that could speak TLS loads all certificates it trusts, which takes 34 ms."""

from __future__ import annotations

import ssl
from functools import cache
from typing import Final

from httpx._transports import default

PLAIN: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""As ``verify`` of a client of httpx: nothing is trusted, as nothing is encrypted."""


def share_certificates() -> None:
    """Let all clients of this process, the product's too, and of its forks share what is loaded once."""
    if not hasattr(default.create_ssl_context, "cache_info"):
        default.create_ssl_context = cache(default.create_ssl_context)
