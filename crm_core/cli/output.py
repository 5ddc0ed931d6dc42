"""Standard output: its own error type, progress on a terminal, findings, and the results of many tenants."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event, Timer
from typing import Any, Final, Generic, TypeVar

import click
import msgspec

T = TypeVar("T")
_PATIENCE: Final = 2.0  # seconds of waiting that need no word


class OutputFailed(OSError):
    """Standard output cannot be written."""


class _StandardOutput(io.FileIO):
    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OutputFailed(error.errno, error.strerror) from None


def watch_output() -> None:
    """Make writes to standard output raise OutputFailed. Exits 1 if the caller closed it."""
    stream = sys.stdout
    if stream is None:
        click.echo("standard output is closed; redirect it to a file or to /dev/null", err=True)
        raise SystemExit(1)
    replaced = stream is not sys.__stdout__  # by a test
    if not replaced:
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_StandardOutput(stream.fileno(), "w", closefd=False)),
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=stream.isatty(),
        )


def has_terminal() -> bool:
    """Whether a person can be asked. Without standard input there is no ``sys.stdin``."""
    return sys.stdin is not None and sys.stdin.isatty()


def _has_progress() -> bool:
    """Whether a person watches standard error. If it is closed, there is no ``sys.stderr``."""
    return sys.stderr is not None and sys.stderr.isatty()


def show_progress(done: int, of: int) -> None:
    """Show ``done/of tenants`` on a terminal, in place of the last progress, if there are several."""
    if of > 1 and _has_progress():
        click.echo(f"\r{done}/{of} tenants", nl=done == of, err=True)


def clear_progress() -> None:
    """Replace the progress on a terminal by the next line."""
    if _has_progress():
        click.echo("\r\033[K", nl=False, err=True)


@contextmanager
def waiting_shown(text: str) -> Iterator[None]:
    """Show a text on a terminal while something takes long."""
    if not _has_progress():
        yield
        return
    shown = Event()

    def show() -> None:
        click.echo(text, nl=False, err=True)
        shown.set()

    timer = Timer(_PATIENCE, show)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        if shown.is_set():
            clear_progress()


def print_line(value: object) -> None:
    """Print a value as a line of JSON."""
    click.echo(json.dumps(msgspec.to_builtins(value), ensure_ascii=False))


def finding_line(finding: Mapping[str, object]) -> str:
    """An error or a warning of a push, with its place."""
    return f"{finding.get('pointer') or '/'}: {finding.get('message')} ({finding.get('code')})"


class TenantReport(Generic[T]):
    """Shows the results of tenants in the order of their names, each as soon as the ones before it are known.

    Each is a line of JSON, or what ``show`` prints.
    """

    def __init__(self, tenants: Iterable[str], show: Callable[[T], None], *, as_json: bool) -> None:
        self._waiting, self._as_json = sorted(tenants, reverse=True), as_json
        self._show = print_line if as_json else show
        self._of = len(self._waiting)
        self._known: dict[str, T] = {}
        self.statuses: list[str] = []

    def add(self, tenant: str, status: str, result: T) -> None:
        """Add the result of a tenant."""
        clear_progress()
        self.statuses.append(status)
        self._known[tenant] = result
        while self._waiting and self._waiting[-1] in self._known:
            self._show(self._known.pop(self._waiting.pop()))
        show_progress(len(self.statuses), self._of)

    def show_counts(self) -> None:
        """Print how many tenants have each status, such as ``4 tenants: 3 applied, 1 refused``; nothing as JSON."""
        if self._as_json:
            return
        counts = ", ".join(f"{count} {status}" for status, count in sorted(Counter(self.statuses).items()))
        click.echo(f"{self._of} {'tenant' if self._of == 1 else 'tenants'}: {counts}")


def discard_output() -> None:
    """Discard the rest of standard output and the buffer, which the interpreter would flush at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def exit_without_output(error: OutputFailed) -> None:
    """Exit 1, and say that the output is incomplete unless its reader, such as ``head``, closed the pipe."""
    discard_output()
    if error.errno != errno.EPIPE:
        click.echo(f"standard output cannot be written ({error.strerror}); the output is incomplete", err=True)
    raise SystemExit(1)
