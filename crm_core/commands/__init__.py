"""What commands do to a tenant: the same code whether the running server does it or the command itself.

A command takes the use cases and plain arguments and returns a plain result, or a stream of items. ``crm_core.cli``
asks for them by name, over the private socket where a server holds the tenants folder.
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
    """Do a command. Raises SetupError for one that is not known, and what the command raises."""
    command = known().get(name)
    if command is None:
        raise SetupError([f"the running server knows no command {name}; is it of another version? Restart it."])
    return await command(services, **arguments)
