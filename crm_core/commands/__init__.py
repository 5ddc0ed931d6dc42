"""Commands on tenants: the same code in the running server and in the ``crm`` process itself.

A command gets the use cases and plain arguments. It is a coroutine function with a plain result, or an async generator
of items. ``crm_core.cli`` calls them by name, over the private socket if a server has locked the tenants folder.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import import_module
from typing import Any, Final

from crm_core.errors import SetupError
from crm_core.services import Services

Result = dict[str, Any] | AsyncIterator[dict[str, Any]]
Command = Callable[..., Awaitable[Result] | AsyncIterator[dict[str, Any]]]

GROUPS: Final = frozenset({"history", "keys", "log", "store", "tenant", "token", "user"})  # the modules with COMMANDS


async def perform(services: Services, name: str, arguments: dict[str, Any]) -> Result:
    """Run a command by its name, ``group.action``. Raises SetupError for an unknown one, and the command's errors.

    Those of a stream are raised by its iteration.
    """
    group, _, action = name.partition(".")
    commands: dict[str, Command] = import_module(f"{__name__}.{group}").COMMANDS if group in GROUPS else {}
    if action not in commands:
        raise SetupError([f"the running server has no command {name}: it is of another version; restart it"])
    outcome = commands[action](services, **arguments)
    return outcome if isinstance(outcome, AsyncIterator) else await outcome
