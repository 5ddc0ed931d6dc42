"""What plugins return is checked where it comes back, and how long they take is measured."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import Any

import pytest
import uvloop

from crm_core.errors import Finding, KeyUnknown, PluginFailed
from crm_core.model.entitlements import Entitlements, ModuleChoice, Subscription
from crm_core.model.frozen import frozen
from crm_core.model.keys import Key
from crm_core.model.presentation import Appearance, LabelledLink
from crm_core.plugin import door
from crm_core.plugin.door import Door
from crm_core.plugin.policy import ModuleRefusal, refusals
from crm_core.plugin.scheme_calls import SchemeCalls
from crm_core.plugin.signature import Presented

NAN = float("nan")


def called(answer: Any, check: Callable[[Any], Any], **how: Any) -> Any:
    """The result of a call with this answer; an answer that is an exception is raised."""

    def function() -> Any:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return Door().call("acme", "hook", function, check, **how)


@pytest.mark.parametrize(
    ("check", "answer"),
    [
        (door.findings, ["no finding"]),
        (door.findings, None),
        (door.findings, [Finding("title", "wrong", "No slash.")]),
        (door.findings, [Finding("/title", "wrong", 5)]),  # type: ignore[arg-type]
        (door.findings, [Finding("/title", "wrong", "\ud800")]),
        (door.findings, [Finding("/title", "wrong", "One of many.", warning=True)] * 5000),
        (door.findings, [Finding("/title", "wrong", "Yes?", warning="yes")]),  # type: ignore[arg-type]
        (door.mapping, None),
        (door.mapping, ["talk"]),
        (door.mapping, {"talk": {"number": NAN}}),
        (door.mapping, {"talk": {1: "one"}}),
        (door.mapping, {"talk": {1, 2}}),
        (door.named_keys, None),
        (door.named_keys, [("modules", "deals")]),
        (door.named_keys, [("/modules", None)]),
        (door.named_keys, ["deals"]),
        (lambda value: door.instance(value, Entitlements), {"limits": {}}),
        (lambda value: door.instance(value, Entitlements), Entitlements(limits={"customers": NAN})),  # type: ignore[dict-item]
        (lambda value: door.instance(value, Entitlements), Entitlements(modules={"deals": "off"})),  # type: ignore[dict-item]
        (lambda value: door.instance(value, Appearance), Appearance(logo_url="javascript:alert(1)")),
        (lambda value: door.instance(value, Appearance), Appearance(colors={"primary": "red;}"})),
        (
            lambda value: door.instance(value, Appearance),
            Appearance(footer_links=(LabelledLink("x", "data:text/html"),)),
        ),
        (refusals, [ModuleRefusal("maybe", "/x", "y")]),  # type: ignore[arg-type]
        (refusals, [ModuleRefusal("blocked", "x", "y")]),
        (door.findings, SystemExit(1)),
        (door.findings, RuntimeError("the secret")),
    ],
)
def test_a_wrong_result_is_plugin_failed(check: Callable[[Any], Any], answer: Any) -> None:
    """Plugin and hook are named, and the cause is in neither the sentence nor the evidence."""
    with pytest.raises(PluginFailed) as caught:
        called(answer, check)
    assert caught.value.evidence == {"plugin": "acme", "hook": "hook"}
    assert "secret" not in caught.value.detail


def test_a_right_result_passes_as_a_copy() -> None:
    """The plugin has no reference into the value that the core uses."""
    mine = {"word": ["a"]}
    found = called(mine, door.mapping)
    mine["word"].append("b")
    assert found == {"word": ["a"]}
    choice = Entitlements(modules={"deals": ModuleChoice(enabled=False)})
    assert called(choice, lambda value: door.instance(value, Entitlements)) == choice


class Lazy(str):
    """A text as libraries for translations and markup return it."""

    __slots__ = ()

    def __str__(self) -> str:
        raise AssertionError


def test_the_texts_of_findings_are_plain_and_short() -> None:
    """A subclass of str, which JSON encoders refuse, is made a str; a message of megabytes is cut."""
    (found,) = called([Finding(Lazy("/title"), Lazy("wrong"), Lazy("Wrong."))], door.findings)
    assert found == Finding("/title", "wrong", "Wrong.")
    assert {type(each) for each in (found.pointer, found.code, found.message)} == {str}
    (long,) = called([Finding("/title", "wrong", "x" * 1_000_000)], door.findings)
    assert len(long.message) == door.MOST_TEXT


def test_plain_json_has_plain_texts_and_numbers() -> None:
    """Subclasses, which JSON encoders refuse, are made the type they derive from."""

    class Count(int):
        pass

    class Share(float):
        pass

    found = called({"word": [Lazy("a")], "count": Count(5), "share": Share(0.5), "on": True}, door.mapping)
    assert found == {"word": ["a"], "count": 5, "share": 0.5, "on": True}
    assert [type(found[name]) for name in ("count", "share", "on")] == [int, float, bool]
    assert type(found["word"][0]) is str


def test_refusals_of_a_policy_are_plain_and_few() -> None:
    """As findings are: each text a str of a sentence's length, and few more of them than an answer lists."""
    one = ModuleRefusal("blocked", Lazy("/overrides"), Lazy("x" * 1_000_000))
    found = called((one for _ in count()), refusals)
    assert len(found) == door.MOST_ITEMS + 1
    assert {(type(each.pointer), type(each.message), len(each.message)) for each in found} == {(str, str, 2000)}


def test_operators_learn_the_type_and_the_line() -> None:
    """Commands print it, as no server writes a log for them; the words of the error stay out."""
    with pytest.raises(PluginFailed) as caught:
        called(RuntimeError("the secret"), door.findings)
    assert f"failed in hook: RuntimeError at {__name__}:" in caught.value.operator_detail
    assert "secret" not in caught.value.operator_detail


@pytest.mark.parametrize(
    ("check", "answer", "words"),
    [
        (door.findings, [5], "Finding expected, got int"),
        (door.findings, 5, "'int' object is not iterable"),
        (door.findings, [Finding("title", "wrong", "Wrong.")], "a pointer is empty or begins with /"),
        (door.findings, [Finding("/title", "wrong", "\ud800")], "a text contains a lone surrogate"),
        (door.mapping, ["the secret"], "an object expected, got list"),
    ],
)
def test_operators_learn_what_is_wrong_with_a_result(check: Callable[[Any], Any], answer: Any, words: str) -> None:
    """The line that refuses it is the core's, so the words of the check are shown; they quote no value."""
    with pytest.raises(PluginFailed) as caught:
        called(answer, check)
    assert caught.value.operator_detail == f"The plugin acme failed in hook: what it returned is wrong: {words}."


def test_words_that_may_quote_a_value_stay_out() -> None:
    """Those of a conversion of a result name the value that does not fit; its place is shown."""
    with pytest.raises(PluginFailed) as caught:
        called(Entitlements(subscription=Subscription("secret")), partial(door.instance, expected=Entitlements))  # type: ignore[arg-type]
    words = "what it returned is wrong: Entitlements does not fit its type at `$.subscription.state`."
    assert caught.value.operator_detail.endswith(words)
    assert "secret" not in caught.value.operator_detail


def test_a_change_of_what_is_read_only_is_at_the_plugins_line() -> None:
    """The core raises, in a line that would lead an author into the core."""

    def changing() -> None:
        frozen({"title": "Nordwind"})["title"] = "Southwind"

    with pytest.raises(PluginFailed) as caught:
        Door().call("acme", "hook", changing, door.findings)
    assert f"TypeError at {__name__}:" in caught.value.operator_detail


def test_an_error_of_the_standard_library_is_at_the_plugins_line() -> None:
    """The line of the plugin that called it says more than a line of json."""
    with pytest.raises(PluginFailed) as caught:
        Door().call("acme", "hook", lambda: json.loads("{"), door.findings)
    assert f"JSONDecodeError at {__name__}:" in caught.value.operator_detail


def test_a_plugin_cannot_name_another_one() -> None:
    """Only the door makes the error that names a plugin; one that a plugin raises itself is its own failure."""
    with pytest.raises(PluginFailed) as caught:
        called(PluginFailed("other", "read", "Bad \udcff."), door.findings)
    assert caught.value.evidence == {"plugin": "acme", "hook": "hook"}
    assert caught.value.detail.isascii()


class Ended(BaseException):
    """Such as the time limits of some libraries."""


@pytest.mark.parametrize("raised", [SystemExit, GeneratorExit, asyncio.CancelledError, Ended])
def test_what_no_one_catches_is_plugin_failed(raised: type[BaseException]) -> None:
    """It names the plugin, and neither ends the process nor leaves a client without an answer."""
    with pytest.raises(PluginFailed):
        called(raised(), door.findings)


def test_the_end_of_a_command_passes() -> None:
    """Ctrl+C in the middle of a call ends the command."""
    with pytest.raises(KeyboardInterrupt):
        called(KeyboardInterrupt(), door.findings)


def test_in_a_server_ctrl_c_is_not_of_the_plugin() -> None:
    """The event loop takes the signal there and other threads never get it, so the plugin itself has raised."""

    async def served() -> bool:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        with pytest.raises(PluginFailed):
            called(KeyboardInterrupt(), door.findings)
        return loop.remove_signal_handler(signal.SIGINT)

    assert uvloop.run(served())
    with ThreadPoolExecutor(1) as pool, pytest.raises(PluginFailed):
        pool.submit(called, KeyboardInterrupt(), door.findings).result()
    with pytest.raises(KeyboardInterrupt):
        called(KeyboardInterrupt(), door.findings)


def test_findings_that_refuse_are_read_as_far_as_anyone_reads_them() -> None:
    """An endless list of errors refuses the push, whose answer says that more follow; it does not fail the plugin."""
    endless = (Finding("/x", "wrong", f"Number {at}.") for at in range(10**9))
    assert len(called(endless, door.findings)) == door.MOST_ITEMS + 1


def test_errors_of_the_interface_pass() -> None:
    """Any other error would claim something that the plugin cannot know."""
    with pytest.raises(KeyUnknown):
        called(KeyUnknown("x"), door.findings, through=(KeyUnknown,))
    with pytest.raises(PluginFailed):
        called(KeyUnknown("x"), door.findings)


class Scheme:
    """A scheme that returns what a test wants."""

    NAME = "loud"

    def __init__(self, read: Any = None, matches: Any = None) -> None:
        self._read, self._matches = read, matches

    def read(self, _request: Any) -> Any:
        return self._read

    def matches(self, _request: Any, _presented: Any, _key: Any) -> Any:
        return self._matches


@pytest.mark.parametrize(
    "presented",
    [
        None,
        Presented(timestamp=1.5, nonce="n"),  # type: ignore[arg-type]
        Presented(timestamp=NAN, nonce="n"),  # type: ignore[arg-type]
        Presented(timestamp=True, nonce="n"),
        Presented(timestamp=1, nonce=None),  # type: ignore[arg-type]
        Presented(timestamp=1, nonce="n", key_version="2"),  # type: ignore[arg-type]
        Presented(timestamp=1, nonce="n", expires=NAN),  # type: ignore[arg-type]
    ],
)
def test_what_a_scheme_reads_is_checked(presented: Any) -> None:
    """Clocks and nonces are compared with it, so nothing but numbers and texts comes through."""
    scheme: Any = Scheme(read=presented)
    with pytest.raises(PluginFailed) as caught:
        SchemeCalls({"loud": "acme"}, Door()).read(scheme, None)  # type: ignore[arg-type]
    assert caught.value.evidence == {"plugin": "acme", "hook": "read"}


@pytest.mark.parametrize("answer", [None, 1, "yes", [True]])
def test_a_signature_matches_only_by_true(answer: Any) -> None:
    """A truthy value verifies nothing."""
    scheme: Any = Scheme(matches=answer)
    presented = Presented(timestamp=1, nonce="n")
    with pytest.raises(PluginFailed):
        SchemeCalls({"loud": "acme"}, Door()).matches(scheme, None, presented, Key(1, b"key"))  # type: ignore[arg-type]


def test_a_call_that_takes_long_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """By plugin and hook, in the log and to the observers; one under 50 ms of CPU is not, one that fails is."""
    clock = iter((0.0, 0.049, 1.0, 1.05, 2.0, 2.5))
    timed = Door(lambda: next(clock), wall=count().__next__)
    seen: list[tuple[str, str]] = []
    timed.observers.append(lambda plugin, hook: seen.append((plugin, hook)))
    timed.call("quick", "check", lambda: (), door.findings)
    timed.call("slow", "check", lambda: (), door.findings)
    with pytest.raises(PluginFailed):
        timed.call("failing", "check", lambda: None, door.findings)
    assert seen == [("slow", "check"), ("failing", "check")]
    reported = [vars(record)["members"] for record in caplog.records if record.levelno == logging.WARNING]
    assert reported[0] == {"plugin": "slow", "hook": "check", "cpu_ms": 50}


def test_short_calls_share_a_reading_of_the_clock() -> None:
    """It is read again after 10 ms; work between the reading and a call does not count for the call."""
    cpu, seconds, readings, seen = 0.0, 0.0, 0, list[str]()

    def clock() -> float:
        nonlocal readings
        readings += 1
        return cpu

    def work(spent: float) -> tuple[()]:
        nonlocal cpu, seconds
        cpu, seconds = cpu + spent, seconds + spent
        return ()

    timed = Door(clock, wall=lambda: seconds)
    timed.observers.append(lambda plugin, _: seen.append(plugin))
    for _ in range(9):
        timed.call("quick", "check", lambda: work(0.001), door.findings)
    assert readings == 1
    timed.call("nearly", "check", lambda: work(0.0495), door.findings)
    assert readings == 1
    timed.call("slow", "check", lambda: work(0.051), door.findings)
    assert seen == ["slow"]
