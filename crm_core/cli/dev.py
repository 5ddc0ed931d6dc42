"""``crm serve --dev``: tracebacks of plugins in the terminal, and a restart after each change of a file."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import entry_points
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import click

from crm_core.errors import SetupError
from crm_core.model.waiting import set_within

if TYPE_CHECKING:
    from crm_core.settings.instance import InstanceSettings

_SECONDS: Final = 0.5  # between two checks of the files
_ENDINGS: Final = (".py", ".po", ".html", ".css", ".js", ".txt")


def refuse_unsafe(settings: InstanceSettings) -> None:
    """Refuse an instance that others may reach: unfinished plugins run in it. Raises UsageError."""
    if settings.listen.unix is not None or not _is_loopback(settings.listen.host):
        raise click.UsageError(f"--dev serves on a loopback address such as 127.0.0.1:8000, not on {settings.listen}.")
    if settings.public_url is not None and not _is_loopback(urlsplit(settings.public_url).hostname or ""):
        raise click.UsageError("--dev is not for an instance with a public_url, which others reach.")
    if settings.trusted_proxies:
        raise click.UsageError("--dev is not for an instance behind trusted_proxies, through which others reach it.")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def print_failure(plugin: str, hook: str, error: BaseException) -> None:
    """Print the traceback of a plugin's error. It may contain data of the request, so only the terminal gets it."""
    click.echo(f"The plugin {plugin} failed in {hook}:", err=True)
    traceback.print_exception(error)


class Watch:
    """The files of crm-core, of the plugins and instance.yaml, from when they were loaded."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._known = self._look()
        self.changed = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Stop the server after the first change."""
        while not await set_within(stop, _SECONDS):
            if self._has_changed():
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def wait(self) -> None:
        """Wait for a change."""
        click.echo("crm serve --dev waits for a change.", err=True)
        while not self._has_changed():
            time.sleep(_SECONDS)

    def start_again(self) -> None:
        """Replace this process with a new one."""
        click.echo(f"{self.changed} changed. Loading again.", err=True)
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 -- this very command

    def _has_changed(self) -> bool:
        before, now = self._known, self._look()
        self.changed = next((path for path in {**before, **now} if before.get(path) != now.get(path)), "")
        return bool(self.changed)

    def _look(self) -> Mapping[str, tuple[int, int]]:
        marks = {}
        for path in self._files():
            with suppress(OSError):  # removed in the meantime
                status = path.stat()
                marks[str(path)] = (status.st_mtime_ns, status.st_size)
        return marks

    def _files(self) -> Iterator[Path]:
        yield self._config / "instance.yaml"
        for folder in self._plugin_folders():
            yield from (*folder.glob("*.py"), *folder.glob("translations/*.po"))
        for package in {"crm_core", *(point.value.partition(".")[0] for point in entry_points(group="crm"))}:
            spec = importlib.util.find_spec(package)
            if spec and not spec.submodule_search_locations and spec.origin:
                yield Path(spec.origin)  # a distribution may be one module
            for place in spec.submodule_search_locations or () if spec else ():
                for path, _, names in os.walk(place):
                    yield from (Path(path, name) for name in names if name.endswith(_ENDINGS))

    def _plugin_folders(self) -> tuple[Path, ...]:
        from crm_core.settings.instance import load_instance

        try:
            return load_instance(self._config / "instance.yaml", environ=os.environ).plugins.folders
        except SetupError:  # the server reports it
            return ()
