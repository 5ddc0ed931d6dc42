from __future__ import annotations

import threading

import pytest
from argon2 import PasswordHasher

from crm_core.access.passwords import Passwords
from crm_core.errors import StorageUnavailable


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
