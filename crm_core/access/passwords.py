"""Password hashing: argon2id in a few low-priority threads behind a bounded queue."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, TypeVar

from msgspec import Meta

from crm_core.errors import LoginThrottled, StorageUnavailable

if TYPE_CHECKING:
    from argon2 import PasswordHasher

T = TypeVar("T")

MIN_LENGTH, MAX_LENGTH = 8, 256
Password = Annotated[
    str,
    Meta(
        min_length=MIN_LENGTH,
        max_length=MAX_LENGTH,
        description=f"a password of {MIN_LENGTH} to {MAX_LENGTH} characters",
    ),
]
"""Length matters; there are no rules of composition (NIST SP 800-63B, section 3.1.1.2)."""

_THREADS = 2
_MAX_WAITING = 64
_NICENESS = 10


class Passwords:
    """Hashes and verifies passwords off the event loop, with OWASP's recommended cost unless a hasher is given."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._given = hasher
        self._decoy_hash = ""
        self._pool = ThreadPoolExecutor(_THREADS, "passwords", self._start_thread)
        self._pending = 0

    @cached_property
    def _hasher(self) -> PasswordHasher:
        """19 MiB, two passes, one lane. The library is loaded by the first thread that hashes."""
        from argon2 import PasswordHasher

        return self._given or PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)

    async def hash(self, password: str) -> str:
        """The hash to store. Raises LoginThrottled if the queue is full, StorageUnavailable if no thread can start."""
        return await self._run(lambda: self._hasher.hash(_bytes(password)))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether a password matches its stored hash; None takes as long and never matches. Raises LoginThrottled."""
        return await self._run(lambda: self._matches(stored, password))

    def _matches(self, stored: str | None, password: str) -> bool:
        from argon2.exceptions import InvalidHashError, VerificationError

        try:
            self._hasher.verify(stored or self._decoy_hash, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    async def _run(self, work: Callable[[], T]) -> T:
        if self._pending >= _THREADS + _MAX_WAITING:
            raise LoginThrottled("Too many people are signing in right now. Try again in a second.", retry_after=1)
        try:
            result = asyncio.get_running_loop().run_in_executor(self._pool, work)
        except RuntimeError:  # clone failed with EAGAIN; the next call tries to start a thread again
            raise StorageUnavailable("The server has too few threads right now. Try again.", retry_after=5) from None
        self._pending += 1
        try:
            return await result
        finally:
            self._pending -= 1

    def _start_thread(self) -> None:
        """Lower the thread's priority below the loop's, and hash the decoy that unknown users are compared with."""
        from argon2.exceptions import HashingError

        if sys.platform == "linux":  # elsewhere niceness applies to the whole process
            with suppress(OSError):
                thread = threading.get_native_id()
                os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS)
        with suppress(HashingError):  # too little memory now; raising would break the pool until a restart
            self._decoy_hash = self._decoy_hash or self._hasher.hash(os.urandom(16).hex())


def _bytes(password: str) -> bytes:
    """The password in one Unicode form: keyboards encode the same characters in different ways."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
