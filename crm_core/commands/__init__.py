"""Commands on tenants: the same code in the running server and in the ``crm`` process itself.

A command gets the use cases and plain arguments and returns a plain result, or a stream of items. ``crm_core.cli``
calls them by name, over the private socket if a server has locked the tenants folder.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from crm_core.errors import SetupError
from crm_core.services import Services

Result = dict[str, Any] | AsyncIterator[dict[str, Any]]
Command = Callable[..., Awaitable[Result]]


def known() -> dict[str, Command]:
    """Every command by name: ``group.action``."""
    from crm_core.commands import history, keys, log, store, tenant, token, user

    return {
        f"{module.__name__.rpartition('.')[2]}.{name}": command
        for module in (history, keys, log, store, tenant, token, user)
        for name, command in module.COMMANDS.items()
    }


async def perform(services: Services, name: str, arguments: dict[str, Any]) -> Result:
    """Run a command. Raises SetupError for an unknown one, and the command's errors."""
    command = known().get(name)
    if command is None:
        raise SetupError([f"the running server has no command {name}: it is of another version; restart it"])
    return await command(services, **arguments)
