from __future__ import annotations

import asyncio
import os
import sys
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
    assert raised.value.detail == "The server has too few threads right now. Try again."
    assert await passwords.verify(await passwords.hash("correct horse"), "correct horse")


async def test_threads_that_start_without_memory_break_no_later_sign_in() -> None:
    """The hashes that new threads make may fail; passwords are verified afterwards, and no unknown user's matches."""

    class Short(PasswordHasher):
        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            if isinstance(password, str):  # not a user's
                raise HashingError("Memory allocation error")
            return super().hash(password, salt=salt)

    passwords = Passwords(Short(time_cost=1, memory_cost=8, parallelism=1))
    assert await passwords.verify(await passwords.hash("correct horse"), "correct horse")
    assert not await passwords.verify(None, "correct horse")


async def test_a_given_hasher_sets_the_cost() -> None:
    """Passwords are hashed at the cost of the hasher that was given."""
    passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    assert (await passwords.hash("correct horse")).startswith("$argon2id$v=19$m=8,t=1,p=1$")


@pytest.mark.parametrize("platform", ["linux", "darwin"])
async def test_threads_give_way_on_linux(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    """A thread lowers its priority where that is its own, and hashes even if the system refuses."""
    asked: list[tuple[int, int, int]] = []

    def refuse(*request: int) -> None:
        asked.append((request[0], request[1], request[2]))
        raise PermissionError

    passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    monkeypatch.setattr(os, "setpriority", refuse)
    monkeypatch.setattr(sys, "platform", platform)
    thread = await passwords._run(threading.get_native_id)
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert asked == ([(os.PRIO_PROCESS, thread, own + 10)] if platform == "linux" else [])
    assert not await passwords.verify(None, "correct horse")
