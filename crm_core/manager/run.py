"""The manager as a program."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from crm_core.manager.app import Manager
from crm_core.manager.limits import DEADLINES, Timeouts
from crm_core.manager.relay import Relay
from crm_core.manager.roster import InstanceRoster
from crm_core.server.limits import Deadlines
from crm_core.server.serve import serve


async def manage(
    path: Path,
    *,
    ready: Callable[[str], None],
    now: Callable[[], datetime],
    new_request_id: Callable[[], str],
    timeouts: Timeouts | None = None,
    deadlines: Deadlines | None = None,
    exit_seconds: float | None = None,
) -> None:
    """Serve the instances of a file (instances.yaml) until SIGTERM or SIGINT, then finish requests in progress.

    ``ready`` gets the address once requests are accepted, ``exit_seconds`` is as in ``serve``. Needs the main thread.

    Raises SetupError if the file does not load or the address cannot be used.
    """
    timeouts = timeouts or Timeouts()
    roster = InstanceRoster(path, timeouts, now)
    relay = Relay(timeouts)
    await serve(
        Manager(roster, relay, new_request_id),
        listen=str(roster.settings.listen),
        ready=ready,
        deadlines=deadlines or DEADLINES,
        exit_seconds=exit_seconds,
        on_stop=relay.stop,
        on_hangup=roster.reload,
        new_request_id=new_request_id,
        lifespan=roster.active(),
    )
