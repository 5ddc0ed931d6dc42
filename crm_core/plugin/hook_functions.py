"""The hook functions of a plugin, and why one of them could not be called.

pluggy passes over some of these mistakes in silence, and leaves others to the first call.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from crm_core.plugin import specs

_MARK: Final = f"{specs.PROJECT}_impl"


class HookFunction(NamedTuple):
    """A function that ``hookimpl`` marked: the hook that it implements, and the options of the mark."""

    hook: str
    function: Any
    options: Mapping[str, Any]


def hook_functions(module: object) -> Iterator[HookFunction]:
    """The marked functions of a plugin."""
    for name in dir(module):
        try:
            function = getattr(module, name, None)
            options = getattr(function, _MARK, None)
        except Exception:  # noqa: BLE001, S112 -- a proxy, such as Flask's request, may raise anything
            continue
        if isinstance(options, dict):  # those of sqlalchemy.func and of mocks have every attribute
            yield HookFunction(options.get("specname") or name, function, options)


def problem_of(one: HookFunction) -> str | None:
    """Why a marked function is no hook function, as half a sentence; None if it is one."""
    hook, function, options = one
    if not callable(getattr(specs, hook, None)) or not hook.startswith("crm_"):
        known = [name for name in dir(specs) if name.startswith("crm_")]
        meant = get_close_matches(hook, known, n=1)
        return f"there is no hook {hook}" + (f"; did you mean {meant[0]}?" if meant else "; specs.py lists them")
    if not inspect.isroutine(function):
        return f"{hook} is a {type(function).__name__}, which would never be called; write it as a function, with def"
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return f"{hook} is async; hooks are synchronous, what they return may do its work asynchronously"
    if options.get("wrapper") or options.get("hookwrapper"):
        return f"{hook} is a wrapper; each plugin is called by itself, so there is nothing to wrap"
    return _lost_argument(hook, function)


def _lost_argument(hook: str, function: Any) -> str | None:
    """Why an argument of the hook would not arrive. pluggy passes those that are plain and have no default."""
    passed = inspect.signature(getattr(specs, hook)).parameters
    for name, parameter in _parameters(function).items():
        if name == "self" and name not in passed:
            return f"{hook} is a method of a class; let the entry point name an object of the class"
        plain = parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.default is parameter.empty
        if name in passed and not plain:
            return f"{hook} would never receive {name}; write it as a plain parameter, without default, / and *"
        if name not in passed and plain:
            return f"{hook} has no argument {name}; it has {', '.join(passed) or 'none'}"
    return None


def _parameters(function: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except ValueError:  # of a compiled module
        return {}
