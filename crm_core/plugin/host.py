"""Finding plugins and calling their hooks: a typed front over pluggy's manager, one for each process or test.

Installed plugins arrive through the entry-point group ``crm``, lone files through the folders of instance.yaml; both
walk the same ``register``. One that cannot be used is listed as a Plugin with its error, so that it can be named, and
takes no part. Nothing here knows what the hooks return: that is the registry.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from functools import cache, partial
from importlib.machinery import SourceFileLoader
from importlib.metadata import Distribution, EntryPoint, entry_points
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Literal, TypeVar

import msgspec
import pluggy

from crm_core.plugin import specs
from crm_core.plugin.door import Check, Door, OnFailure, said, said_at
from crm_core.plugin.hook_functions import hook_functions, problem_of

T = TypeVar("T")
State = Literal["active", "disabled", "broken"]


class Plugin(msgspec.Struct, frozen=True):
    """A plugin as operators see it: ``name`` is its package or file, ``hooks`` what it implements."""

    name: str
    version: str
    state: State
    error: str | None = None
    hooks: tuple[str, ...] = ()

    def described(self, items: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """The plugin as commands and operators show it; ``items``: the kind and name of each thing that it brings."""
        return {
            "name": self.name,
            "version": self.version,
            "kind": ", ".join(sorted({kind for kind, _ in items})) or "hooks",
            "brings": [name for _, name in items],
            "state": self.state,
            "error": self.error,
        }


class PluginHost:
    """The plugins of one process. ``disabled``: names of plugins that are listed but not imported.

    ``on_failure`` receives the errors that plugins raise, also while they are imported.
    """

    def __init__(self, disabled: Iterable[str] = (), on_failure: OnFailure | None = None) -> None:
        self._manager = pluggy.PluginManager(specs.PROJECT)
        self._manager.add_hookspecs(specs)
        self._disabled = frozenset(disabled)
        self._plugins: dict[str, Plugin] = {}
        self._files: dict[str, Path] = {}
        self._functions: dict[str, list[pluggy.HookImpl]] = {}  # of each hook that was called, in order
        self._on_failure = on_failure
        self.door = Door(on_failure=on_failure)

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """Every plugin found, by name, in any state."""
        return tuple(self._plugins[name] for name in sorted(self._plugins))

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders of the active plugins' code, each once, by the name of the plugin."""
        active = (self._files.get(plugin.name) for plugin in self.plugins if plugin.state == "active")
        return tuple(dict.fromkeys(file.parent for file in active if file is not None))

    @property
    def broken(self) -> tuple[Plugin, ...]:
        """The plugins that cannot be used; a server does not start with one that is not disabled."""
        return tuple(plugin for plugin in self.plugins if plugin.state == "broken")

    def load_entry_points(self, found: Iterable[EntryPoint] | None = None) -> None:
        """Load installed plugins, one by one, so that one that raises stops no other."""
        for point in installed() if found is None else found:
            name = point.value.partition(":")[0].partition(".")[0]
            self._load(name, _version(point.dist), point.load)

    def load_folder(self, folder: Path) -> None:
        """Load every lone ``.py`` file of a folder, by name; tests are skipped."""
        for path in sorted(folder.glob("*.py")):
            if path.name.startswith("test_") or path.name == "conftest.py":
                continue
            self._load(path.stem, "", partial(_import_file, path))

    def register(self, module: object, name: str, version: str = "") -> None:
        """Add a plugin; one whose name is taken, or with a hook that could not be called, is listed as broken."""
        if name in self._plugins:
            other = f": {self._files[name]}" if name in self._files else ""
            remedy = "a package has one entry point, and every lone file a different name"
            self._break(name, version, f"another plugin has this name{other}; {remedy}")
            return
        hooks = tuple(hook_functions(module))
        error = next((problem for one in hooks if (problem := problem_of(one))), None)
        if error is None and not hooks:
            error = "it implements no hook; mark its hook functions with crm_core.plugin.hookimpl"
        names = {one.hook for one in hooks}
        error = error or self._refused(module, name, names)
        if error is not None:
            self._break(name, version, error)
            return
        self._plugins[name] = Plugin(name, version, "active", hooks=tuple(sorted(names)))
        if file := getattr(module, "__file__", None):
            self._files[name] = Path(file)

    def call(self, hook: str, check: Check[list[T]], /, **arguments: Any) -> Iterator[tuple[str, T]]:
        """The items that each plugin returns from a hook, as (plugin, item), one plugin at a time; None: no items.

        Raises PluginFailed, which names the plugin that raised, or returned what ``check`` does not let pass.
        """
        for plugin, answer in self.answers(hook, check, **arguments):
            for item in answer():
                yield plugin, item

    def answers(
        self, hook: str, check: Check[list[T]], /, **arguments: Any
    ) -> Iterator[tuple[str, Callable[[], list[T]]]]:
        """Each plugin with a hook, and how to call it, ``tryfirst`` first. The call raises as ``call`` does."""
        if hook not in self._functions:
            found = getattr(self._manager.hook, hook).get_hookimpls()
            self._functions[hook] = sorted(found, key=lambda one: (one.trylast, not one.tryfirst))
        for implementation in self._functions[hook]:
            wanted = {name: arguments[name] for name in implementation.argnames}
            function = partial(implementation.function, **wanted)
            plugin = implementation.plugin_name
            yield plugin, partial(self.door.call, plugin, hook, function, partial(_items, check))

    def fail(self, name: str, error: str) -> None:
        """Record that what an active plugin registered cannot be used."""
        if self._plugins[name].state == "active":
            self._break(name, self._plugins[name].version, error)

    def _refused(self, module: object, name: str, hooks: set[str]) -> str | None:
        """Register with pluggy; why it refuses the plugin, or passes over one of its hooks in silence."""
        self._functions.clear()
        try:
            self._manager.register(module, name)
        except pluggy.PluginValidationError as error:
            return str(error).splitlines()[-1]
        except Exception as error:  # noqa: BLE001 -- pluggy looks at foreign objects, which may raise anything
            return said(error)
        lost = hooks - {caller.name for caller in self._manager.get_hookcallers(module) or ()}
        if not lost:
            return None
        self._manager.unregister(module, name)
        return f"{min(lost)} would never be called; write it as a plain function, with def"

    def _load(self, name: str, version: str, load: Callable[[], object]) -> None:
        """Import a plugin and register it, unless it is disabled; without a ``version`` the module's own counts."""
        if name in self._disabled:
            self._plugins[name] = Plugin(name, version, "disabled")
            return
        try:
            # Standard output is the command's own, such as JSON.
            with redirect_stdout(sys.stderr), self.door.running_as(name, "import"):
                module = load()
            version = version or str(getattr(module, "__version__", ""))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 -- foreign code is imported here; it may raise anything
            if self._on_failure is not None:
                self._on_failure(name, "import", error)
            self._break(name, version, f"importing it raised {said_at(error)}")
        else:
            self.register(module, name, version)

    def _break(self, name: str, version: str, error: str) -> None:
        self._plugins[name] = Plugin(name, version, "broken", error if error.endswith(("?", ".")) else f"{error}.")


@cache  # reading the metadata of all packages takes some 10 ms, and plugins are loaded at a start only
def installed() -> tuple[EntryPoint, ...]:
    """The entry points of installed plugins, as they are when a process first asks."""
    return tuple(entry_points(group=specs.PROJECT))


@cache  # it is parsed again each time
def _version(dist: Distribution | None) -> str:
    return dist.version if dist else ""


def _items(check: Check[list[T]], answer: Any) -> list[T]:
    return [] if answer is None else check(answer)


class _AsItIs(SourceFileLoader):
    """Compiles a file whenever it is imported. A compiled one fits any edit of the same size in the same second."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _import_file(path: Path) -> ModuleType:
    name = f"crm_folder_plugin_{path.stem}"
    loader = _AsItIs(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None  # as there is a loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # message types are resolved through it
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
