"""The manager as a program."""

from __future__ import annotations

import resource
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from crm_core.manager.app import Manager
from crm_core.manager.limits import Timeouts
from crm_core.manager.relay import Relay
from crm_core.manager.roster import InstanceRoster
from crm_core.server.connection import Deadlines
from crm_core.server.serve import serve


async def manage(
    path: Path,
    *,
    ready: Callable[[str], None],
    now: Callable[[], datetime],
    new_request_id: Callable[[], str],
    timeouts: Timeouts | None = None,
    deadlines: Deadlines | None = None,
) -> None:
    """Serve the instances of a file (instances.yaml) until SIGTERM or SIGINT, then finish requests in progress.

    ``ready`` gets the address once requests are accepted. Needs the main thread.

    Raises: SetupError if the file does not load or the address cannot be used.
    """
    _open_files()
    timeouts = timeouts or Timeouts()
    roster = InstanceRoster(path, timeouts, now)
    relay = Relay(timeouts)
    await serve(
        Manager(roster, relay, new_request_id),
        listen=str(roster.settings.listen),
        ready=ready,
        deadlines=deadlines,
        on_stop=relay.end_streams,
        on_hangup=roster.reload,
        new_request_id=new_request_id,
    )


def _open_files() -> None:
    """Let this process have as many sockets as it may: each request takes two, and the soft limit is often 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
