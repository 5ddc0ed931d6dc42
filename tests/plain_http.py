"""Plain HTTP for the clients of tests: one that could speak TLS loads all certificates it trusts, which takes 34 ms."""

from __future__ import annotations

import ssl
from typing import Final

PLAIN: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""As ``verify`` of a client of httpx: nothing is trusted, as nothing is encrypted."""
