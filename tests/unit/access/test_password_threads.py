from __future__ import annotations

import asyncio
import threading

import pytest
from argon2 import PasswordHasher
from argon2.exceptions import HashingError

from crm_core.access.passwords import Passwords
from crm_core.errors import StorageUnavailable


async def test_two_passwords_are_hashed_at_a_time() -> None:
    """However many wait: hashing takes memory and the processor."""
    passwords, busy = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)), threading.Event()
    waiting = [asyncio.create_task(passwords._run(lambda: busy.wait(20))) for _ in range(5)]
    await asyncio.sleep(0)
    assert len(passwords._pool._threads) == 2
    busy.set()
    assert await asyncio.gather(*waiting) == [True] * 5


async def test_without_a_thread_hashing_is_a_503_that_heals(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that cannot start refuses the sign-in with Retry-After; the next one starts it."""
    passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))

    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fail)
        with pytest.raises(StorageUnavailable) as raised:
            await passwords.hash("correct horse")
    assert raised.value.retry_after == 5
    assert await passwords.verify(await passwords.hash("correct horse"), "correct horse")


async def test_a_thread_that_starts_without_memory_breaks_no_later_sign_in() -> None:
    """The hash that a new thread makes may fail; passwords are verified afterwards."""

    class Short(PasswordHasher):
        failures = 1

        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            if self.failures:
                self.failures -= 1
                raise HashingError("Memory allocation error")
            return super().hash(password, salt=salt)

    passwords = Passwords(Short(time_cost=1, memory_cost=8, parallelism=1))
    assert await passwords.verify(await passwords.hash("correct horse"), "correct horse")
    assert not await passwords.verify(None, "correct horse")
