"""The one door to plugin code: each call through it is timed, and its result checked, before the core trusts it.

A call that raises (SystemExit and CancelledError too, only Ctrl+C of a command passes) or returns something else than
its interface promises becomes PluginFailed, which names the plugin and the hook. Calls that take long are counted, and
logged by plugin and hook.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar
from weakref import WeakSet

import msgspec

from crm_core.errors import CrmError, Finding, PluginFailed
from crm_core.server_log import CORE, NO_PLUGIN, ServerLog, origin

T = TypeVar("T")
Check = Callable[[Any], T]
"""Makes the checked value of what a hook returned. Raises TypeError or ValueError with the reason."""

OnFailure = Callable[[str, str, BaseException], None]
"""Receives plugin, hook and the error, whose text and frames may contain data of a request."""

SLOW: Final = 0.05
"""Seconds of CPU from which a call is reported: it runs on the event loop, so every other request waits for it."""

MOST_ITEMS: Final = 1000
"""Warnings that one call may return, and findings or refusals that are read of a call that refuses."""

MOST_TEXT: Final = 2000
"""Characters of a message; a longer one, such as one that quotes its input, is cut."""

_FRESH: Final = 0.01  # seconds for which a reading of the clock of CPU is good: it is a system call
_DEEPEST: Final = 64
_log = ServerLog("crm.plugin")


class _Reading(threading.local):
    """``last``: the last reading of a thread's clock of CPU, and when it was made."""

    last = (float("-inf"), float("-inf"))


class RunningCall(msgspec.Struct, frozen=True):
    """A call that has not returned; ``since``: by the clock of the door."""

    plugin: str
    hook: str
    since: float


class Door:
    """The door of one process.

    ``clock``: seconds of CPU of this thread; ``wall``: seconds that pass; ``on_failure`` gets each plugin's error.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.thread_time,
        wall: Callable[[], float] = time.perf_counter,
        on_failure: OnFailure | None = None,
    ) -> None:
        self._clock, self._wall = clock, wall
        self._on_failure = on_failure
        self._reading = _Reading()
        self._named: WeakSet[PluginFailed] = WeakSet()  # a plugin can raise one too, with any words
        self.running: dict[int, RunningCall] = {}
        """The innermost call of each thread."""
        self.observers: list[Callable[[str, str], None]] = []
        """Called with plugin and hook after each call that took ``SLOW`` or longer."""

    def call(
        self,
        plugin: str,
        hook: str,
        function: Callable[[], Any],
        check: Check[T],
        *,
        through: tuple[type[CrmError], ...] = (),
    ) -> T:
        """Call plugin code and return its checked result. ``through``: the errors that the interface lets it raise.

        Raises PluginFailed.
        """
        left, thread = self._wall(), threading.get_ident()
        outer, self.running[thread] = self.running.get(thread), RunningCall(plugin, hook, left)
        cpu, at = self._reading.last
        if left - at > _FRESH:
            cpu, at = self._reading.last = self._clock(), left
        since = cpu + left - at  # no less than what the clock of CPU would say now
        has_answered = False
        try:
            answer = function()
            has_answered = True
            return check(answer)
        except through:
            raise
        except BaseException as error:  # foreign code may raise anything, such as CancelledError; it is named
            if isinstance(error, PluginFailed) and error in self._named:  # a plugin that this one called
                raise
            if isinstance(error, KeyboardInterrupt) and not _is_uninterrupted():  # someone ends a command
                raise
            if self._on_failure is not None:
                self._on_failure(plugin, hook, error)
            found = origin(error, outside=NO_PLUGIN)
            cause = " at ".join(found.values())
            if has_answered and found["at"].startswith(CORE) and type(error) in (TypeError, ValueError):
                cause = f"what it returned is wrong: {error}"  # the words of a check, which quote no value
            failed = PluginFailed(plugin, hook, f"The plugin {plugin} failed in {hook}: {cause}.")
            self._named.add(failed)
            raise failed from error
        finally:
            if outer is None:
                del self.running[thread]
            else:
                self.running[thread] = outer
            if self._wall() - left >= SLOW:  # no call takes more CPU than time, and this clock is no system call
                self._time(plugin, hook, self._clock() - since)

    @contextmanager
    def running_as(self, plugin: str, hook: str) -> Iterator[None]:
        """Name code of a plugin that is run without a call, such as an import, for as long as it runs."""
        thread = threading.get_ident()
        self.running[thread] = RunningCall(plugin, hook, self._wall())
        try:
            yield
        finally:
            del self.running[thread]

    def seconds_of(self, call: RunningCall) -> float:
        """How long a call has been running."""
        return self._wall() - call.since

    def _time(self, plugin: str, hook: str, seconds: float) -> None:
        if seconds >= SLOW:
            for observe in self.observers:
                observe(plugin, hook)
            _log.warning("plugin_slow", plugin=plugin, hook=hook, cpu_ms=round(seconds * 1000))


def _is_uninterrupted() -> bool:
    """Whether Ctrl+C raises nothing here: the event loop of a server takes the signal, and no other thread gets it."""
    taken_by = getattr(signal.getsignal(signal.SIGINT), "__self__", None)
    return isinstance(taken_by, asyncio.AbstractEventLoop) or threading.current_thread() is not threading.main_thread()


def said(error: BaseException) -> str:
    """The type and the words of an error of a plugin, in a line. Even the words may raise, or be no text to be sent."""
    try:
        words = " ".join(str(error)[:MOST_TEXT].split()).encode(errors="backslashreplace").decode()
    except Exception:  # noqa: BLE001 -- foreign code; the type says enough
        words = ""
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def said_at(error: BaseException) -> str:
    """The same, with the line of the plugin that raised it, if it was one of the plugin."""
    place = origin(error, outside=NO_PLUGIN)["at"]
    return said(error) if place.startswith((*NO_PLUGIN, "unknown")) else f"{said(error)} ({place})"


def each(value: Any, expected: type[T]) -> list[T]:
    """Every item of an iterable, each of a type."""
    return [exactly(item, expected) for item in value]


def findings(value: Any) -> list[Finding]:
    """Findings with the members that the wire promises: ``MOST_ITEMS`` that refuse and one more, which means more."""
    found: list[Finding] = []
    warnings = 0
    for finding in value:
        found.append(_finding(finding))
        warnings += finding.warning
        if warnings > MOST_ITEMS:
            raise ValueError(f"more than {MOST_ITEMS} warnings")
        if len(found) - warnings > MOST_ITEMS:
            break
    return found


def _finding(value: Any) -> Finding:
    finding = exactly(value, Finding)
    at, code, message = pointer(finding.pointer), text(finding.code), sentence(finding.message)
    exactly(finding.warning, bool)
    exactly(finding.from_catalog, bool)
    if at is finding.pointer and code is finding.code and message is finding.message:
        return finding
    return msgspec.structs.replace(finding, pointer=at, code=code, message=message)


def named_keys(value: Any) -> list[tuple[str, str]]:
    """Pairs of a pointer and a name."""
    return [(pointer(at), text(name)) for at, name in each(value, tuple)]


def exactly(value: Any, expected: type[T]) -> T:
    """A value of a type."""
    if not isinstance(value, expected):
        raise TypeError(f"{expected.__name__} expected, got {type(value).__name__}")
    return value


def text(value: Any) -> str:
    """A text without lone surrogates, which UTF-8 does not have; of a subclass its plain text."""
    found = exactly(value, str)
    if type(found) is not str:
        found = str.__str__(found)
    if not found.isascii():
        try:
            found.encode()
        except UnicodeEncodeError:
            raise ValueError("a text contains a lone surrogate") from None
    return found


def sentence(value: Any) -> str:
    """A text for answers and logs, cut where it is longer than any sentence."""
    found = text(value)
    return found if len(found) <= MOST_TEXT else f"{found[: MOST_TEXT - 1]}\u2026"


def pointer(value: Any) -> str:
    """An RFC 6901 pointer: empty, or steps that each begin with a slash."""
    found = text(value)
    if found and found[0] != "/":
        raise ValueError("a pointer is empty or begins with /")
    return found


def instance(value: Any, expected: type[T]) -> T:
    """A new Struct with the same members, each of its declared type; the plugin keeps no reference into it."""
    try:
        copy = msgspec.json.decode(msgspec.json.encode(exactly(value, expected)), type=expected)
    except msgspec.MsgspecError:
        copy = None
    if copy is not None and copy == value:  # nearly always; not with NaN, which is null in between
        return copy
    plain = msgspec.to_builtins(value)
    plain_json(plain)
    try:
        return msgspec.convert(plain, expected)
    except msgspec.ValidationError as error:  # its words may quote a value, its place does not
        raise ValueError(f"{expected.__name__} does not fit its type at {str(error).rpartition(' at ')[2]}") from None


def mapping(value: Any) -> dict[str, Any]:
    """An object of plain JSON."""
    if not isinstance(value, Mapping):
        raise TypeError(f"an object expected, got {type(value).__name__}")
    return {text(name): plain_json(item) for name, item in value.items()}


def plain_json(value: Any, depth: int = _DEEPEST) -> Any:
    """A copy of plain JSON: objects with text as names, lists, texts, flags, finite numbers, null.

    Texts and numbers of subclasses, which JSON encoders refuse, are made plain ones.
    """
    if isinstance(value, str):
        return text(value)
    if value is None or value is True or value is False:
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        value = float(value)
        if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 -- NaN
            raise ValueError("a number that JSON does not have")
        return value
    if depth == 0:
        raise ValueError(f"nested deeper than {_DEEPEST}")
    if isinstance(value, Mapping):
        return {text(name): plain_json(item, depth - 1) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item, depth - 1) for item in value]
    raise TypeError(f"{type(value).__name__} is not JSON")
