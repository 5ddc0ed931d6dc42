from __future__ import annotations

import asyncio
import threading

import pytest

from crm_core.errors import SetupError
from crm_core.server.process import run


def test_threads_of_the_loop_start_before_the_server() -> None:
    """Work in a thread needs no new thread, however much of it comes together."""

    async def main() -> tuple[set[threading.Thread], set[threading.Thread]]:
        before = set(threading.enumerate())
        await asyncio.gather(*(asyncio.to_thread(sum, (1, 2)) for _ in range(100)))
        return before, set(threading.enumerate())

    before, after = run(main())
    assert before == after


def test_the_end_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that has run ends with its result, even if no thread can start by then."""

    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:

        async def main() -> str:
            patched.setattr(threading.Thread, "start", fail)
            return await asyncio.to_thread(str, "done")

        assert run(main()) == "done"


def test_too_few_threads_are_reported_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that cannot have its threads does not start, and says which limit to raise."""

    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        raise AssertionError

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fail)
        with pytest.raises(SetupError, match="ulimit -u"):
            run(main())
