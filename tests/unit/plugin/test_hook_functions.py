"""Marked functions that pluggy would never call, or would call without their arguments, are refused by name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from crm_core.plugin import hookimpl
from crm_core.plugin.host import Plugin, PluginHost


class Rule:
    """A rule as an object that can be called."""

    def __call__(self, section: str, part: Any, context: Any) -> list[str]:
        return [section, part, context]

    @hookimpl
    def crm_module_policy(self, named: object) -> list[object]:
        return [named]


def rule(section: str, part: Any, context: Any) -> list[str]:
    return [section, part, context]


def wrapper(section: str) -> Iterator[Any]:
    return (yield section)  # type: ignore[no-any-return]


def with_default(section: str, context: Any = None) -> list[str]:
    return [section, context]


def by_position(section: str, part: Any, /) -> list[str]:
    return [section, part]


def by_keyword(section: str, *, part: Any) -> list[str]:
    return [section, part]


def reported(module: object) -> Plugin:
    """The plugin of this module, as operators see it."""
    host = PluginHost()
    host.register(module, "acme")
    (only,) = host.plugins
    return only


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (hookimpl(Rule()), "is a Rule"),  # type: ignore[call-overload]
        (hookimpl(functools.partial(rule, "branding")), "is a partial"),
        (hookimpl(functools.cache(rule)), "never be called"),
        (hookimpl(wrapper=True)(wrapper), "is a wrapper"),
        (hookimpl(hookwrapper=True)(wrapper), "is a wrapper"),
        (hookimpl(with_default), "never receive context"),
        (hookimpl(by_position), "never receive section"),
        (hookimpl(by_keyword), "never receive part"),
    ],
)
def test_a_rule_that_would_never_be_asked_stops_the_start(function: Any, words: str) -> None:
    """Otherwise the plugin counts as active while pushes pass that it refuses."""
    plugin = reported(SimpleNamespace(crm_validate_payload=function))
    assert plugin.state == "broken"
    assert words in (plugin.error or "")


def test_an_object_is_a_plugin_and_its_class_is_not() -> None:
    """The methods of a class would be called without their object."""
    assert reported(Rule()).hooks == ("crm_module_policy",)
    assert "an object of the class" in (reported(Rule).error or "")


def test_a_function_may_have_another_name_than_its_hook() -> None:
    """``specname`` names the hook; the plugin is listed with it, and a misspelt one is refused."""
    assert reported(SimpleNamespace(mine=hookimpl(specname="crm_validate_payload")(rule))).hooks == (
        "crm_validate_payload",
    )
    plugin = reported(SimpleNamespace(mine=hookimpl(specname="crm_validate_payloads")(rule)))
    assert plugin.error == "there is no hook crm_validate_payloads; did you mean crm_validate_payload?"


class Proxy:
    """Raises for every attribute, as Flask's ``request`` does outside of a request."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)


def test_other_names_of_a_module_are_no_hooks() -> None:
    """A proxy that has every attribute, as ``sqlalchemy.func``, or raises for each, is passed over."""
    plugin = reported(SimpleNamespace(func=mock.call, request=Proxy(), crm_validate_payload=hookimpl(rule)))
    assert (plugin.state, plugin.hooks) == ("active", ("crm_validate_payload",))


def test_tryfirst_and_trylast_decide_the_order() -> None:
    """The rest are asked in the order in which they were loaded."""
    host = PluginHost()
    marks: dict[str, Callable[[Any], Any]] = {
        "last": hookimpl(trylast=True),
        "one": hookimpl,
        "first": hookimpl(tryfirst=True),
        "two": hookimpl,
    }
    for name, mark in marks.items():

        def answered(section: str) -> list[str]:
            return [section]

        host.register(SimpleNamespace(crm_validate_payload=mark(answered)), name)
    asked = host.call("crm_validate_payload", list, section="branding", part={}, context=None)
    assert [name for name, _ in asked] == ["first", "one", "two", "last"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            "class Stop(BaseException): pass\nraise Stop('no licence')",
            "raised Stop: no licence (crm_folder_plugin_bad:2).",
        ),
        (
            "class E(Exception):\n    def __str__(self): raise ValueError\nraise E",
            "raised E (crm_folder_plugin_bad:3).",
        ),
        (
            "def __getattr__(name): raise RuntimeError(name)",
            "raised RuntimeError: __version__ (crm_folder_plugin_bad:1).",
        ),
        (r"raise ValueError('bad \udcff')", r"raised ValueError: bad \udcff (crm_folder_plugin_bad:1)."),
    ],
)
def test_any_error_of_a_plugin_names_it(tmp_path: Path, source: str, words: str) -> None:
    """No traceback of foreign code ends a command, and other plugins are loaded."""
    (tmp_path / "bad.py").write_text(source)
    (tmp_path / "good.py").write_text(
        "from crm_core.plugin import hookimpl\n@hookimpl\ndef crm_register_record_types():\n    return []\n"
    )
    host = PluginHost()
    host.load_folder(tmp_path)
    assert [(one.name, one.state) for one in host.plugins] == [("bad", "broken"), ("good", "active")]
    assert (host.broken[0].error or "").endswith(words)


def test_what_is_raised_is_cut(tmp_path: Path) -> None:
    """An error that quotes megabytes of input is shown by its beginning."""
    (tmp_path / "bad.py").write_text("raise ValueError('x' * 1_000_000)")
    host = PluginHost()
    host.load_folder(tmp_path)
    assert len(host.broken[0].error or "") < 3000
