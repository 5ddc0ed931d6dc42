"""Passwords: argon2id in a few threads that give way to everything else, with a bounded queue before them."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Annotated, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from msgspec import Meta

from crm_core.errors import LoginThrottled

T = TypeVar("T")

SHORTEST, LONGEST = 8, 256
Password = Annotated[
    str,
    Meta(min_length=SHORTEST, max_length=LONGEST, description=f"a password of {SHORTEST} to {LONGEST} characters"),
]
"""Length is what counts; no rules of composition (NIST SP 800-63B, section 3.1.1.2)."""

_THREADS = 2
_WAITING = 64
_NICENESS = 10


OWASP = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""The cost that is OWASP's first choice: 19 MiB, two passes, one lane."""


class Passwords:
    """Hashes and verifies off the loop, by default at OWASP's cost."""

    def __init__(self, hasher: PasswordHasher = OWASP) -> None:
        self._hasher = hasher
        self._nobody = ""
        self._pool = ThreadPoolExecutor(_THREADS, "passwords", self._begin)
        self._under_way = 0

    async def hash(self, password: str) -> str:
        """The form in which a password is kept. Raises LoginThrottled where too many wait."""
        return await self._run(lambda: self._hasher.hash(_bytes(password)))

    async def verify(self, kept: str | None, password: str) -> bool:
        """Whether the password is the kept one. ``kept`` None takes the same time and is never right."""
        return await self._run(lambda: self._matches(kept, password))

    def _matches(self, kept: str | None, password: str) -> bool:
        try:
            self._hasher.verify(kept or self._nobody, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False
        return kept is not None

    async def _run(self, work: Callable[[], T]) -> T:
        if self._under_way >= _THREADS + _WAITING:
            raise LoginThrottled("Too many people sign in at this moment; repeat in a second.", retry_after=1)
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._under_way -= 1

    def _begin(self) -> None:
        """At the start of a thread: give way to the loop, and have what unknown users are compared with."""
        if sys.platform == "linux":  # elsewhere niceness is the whole process's
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        self._nobody = self._nobody or self._hasher.hash(os.urandom(16).hex())


def _bytes(password: str) -> bytes:
    """One form for what keyboards write in several: the same characters are the same password."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
