"""The note of a failed case: next to the assertion, the promise that was broken."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest


class Suite:
    """The cases of a suite, whose docstrings are promises: a case that fails has its promise as a note."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name, case in list(vars(cls).items()):
            if name.startswith("test_") and case.__doc__ and not hasattr(case, "hypothesis"):  # which wraps its own
                setattr(cls, name, _with_promise(case))


def _with_promise(case: Callable[..., Any]) -> Callable[..., Any]:
    promise = f"Expected: {' '.join(inspect.cleandoc(case.__doc__ or '').split())}"

    @functools.wraps(case)
    def checked(*args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        with _noted(promise):
            case(*args, **kwargs)

    @functools.wraps(case)
    async def checked_later(*args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        with _noted(promise):
            await case(*args, **kwargs)

    return checked_later if inspect.iscoroutinefunction(case) else checked


@contextmanager
def _noted(promise: str) -> Iterator[None]:
    __tracebackhide__ = True
    try:
        yield
    except (Exception, pytest.fail.Exception) as error:
        error.add_note(promise)
        raise
