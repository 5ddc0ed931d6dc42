"""Everything the plugins of a process registered: payload types, schemes, backends and record types by name.

Built once at start. A name that two plugins bring, one that is reserved and one of the wrong form are reported
together, each with its owners, and nothing starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

from crm_core.errors import CrmError, SetupError
from crm_core.model.keys import KeyKind
from crm_core.model.names import is_section_name
from crm_core.plugin.door import Door
from crm_core.plugin.host import PluginHost
from crm_core.plugin.payload import PayloadType
from crm_core.plugin.payload_calls import PayloadCalls
from crm_core.plugin.record_type import RecordType
from crm_core.plugin.scheme_calls import SchemeCalls
from crm_core.plugin.signature import SignatureScheme
from crm_core.plugin.storage import StorageBackend

# Names that routes below sync, and members of bootstrap, have taken.
RESERVED_PAYLOAD_TYPES = frozenset(
    {"health", "history", "instance", "last_sync", "limits", "log", "modules", "role", "sections", "subscription"}
    | {"tenant", "user"}
)
# Names that routes and operations of the API (get_user), and pages of the workspace, have taken.
RESERVED_RECORD_TYPES = frozenset(
    {"account", "api", "auth", "bootstrap", "changes", "events", "forgot", "frame", "login", "logout", "mail"}
    | {"password", "picture", "settings", "subscription", "sync", "token", "tokens", "user", "users", "v1"}
)


@dataclass(frozen=True, kw_only=True)
class Registry:
    """Everything registered, by name; ``owners`` says which plugin brought it, by (kind, name)."""

    payload_types: Mapping[str, PayloadType]
    schemes: Mapping[str, SignatureScheme]
    backends: Mapping[str, type[StorageBackend]]
    record_types: Mapping[str, RecordType]
    owners: Mapping[tuple[str, str], str]
    door: Door

    @cached_property
    def calls(self) -> PayloadCalls:
        """The payload types, called through the door."""
        return PayloadCalls(
            self.payload_types, {name: self.owners["payload type", name] for name in self.payload_types}, self.door
        )

    @cached_property
    def scheme_calls(self) -> SchemeCalls:
        """The signature schemes, called through the door."""
        return SchemeCalls({name: self.owners["signature scheme", name] for name in self.schemes}, self.door)

    @cached_property
    def sections(self) -> Mapping[str, PayloadType]:
        """The payload types that have a section."""
        return {name: one for name, one in self.payload_types.items() if one.SECTION is not None}

    def brought(self) -> dict[str, list[tuple[str, str]]]:
        """The items of each plugin, as (kind, name)."""
        found: dict[str, list[tuple[str, str]]] = {}
        for item, plugin in self.owners.items():
            found.setdefault(plugin, []).append(item)
        return found


def build_registry(host: PluginHost) -> Registry:
    """Collect the items of every plugin. Raises SetupError that lists every clash."""
    collector = _Collector(host)
    payload_types = collector.gather("crm_register_payload_types", "payload type", PayloadType, RESERVED_PAYLOAD_TYPES)
    schemes = collector.gather("crm_register_signature_schemes", "signature scheme", SignatureScheme)
    record_types = collector.gather("crm_register_record_types", "record type", RecordType, RESERVED_RECORD_TYPES)
    backends = collector.gather("crm_register_storage_backends", "storage backend", StorageBackend)
    collector.refuse_shared_headers(schemes.values())
    collector.refuse_unknown_kinds(schemes.values())
    if collector.problems:
        raise SetupError(collector.problems)
    return Registry(
        payload_types=payload_types,
        schemes=schemes,
        backends=backends,
        record_types=record_types,
        owners=collector.owners,
        door=host.door,
    )


class _Collector:
    """Collects what plugins bring, and everything that is wrong with it."""

    def __init__(self, host: PluginHost) -> None:
        self._host = host
        self.owners: dict[tuple[str, str], str] = {}
        self.problems: list[str] = []

    def gather(
        self, hook: str, kind: str, expected: type[Any], reserved: frozenset[str] = frozenset()
    ) -> dict[str, Any]:
        """All items of one kind by NAME, sorted."""
        found: dict[str, Any] = {}
        try:
            brought = list(self._host.call(hook, list))
        except CrmError as error:
            cause = error.__cause__
            self.problems.append(f"{error.detail} It raised {type(cause).__name__}: {cause}.")
            return found
        for owner, item in brought:
            problem = self._unfit(item, kind, expected, reserved)
            if problem is None and item.NAME in found:
                first = self.owners[kind, item.NAME]
                problem = f"the {kind} {item.NAME} is registered by {first} already; disable one of the two plugins"
            if problem is not None:
                self.problems.append(f"plugin {owner}: {problem}.")
                continue
            found[item.NAME] = item
            self.owners[kind, item.NAME] = owner
        return dict(sorted(found.items()))

    def refuse_shared_headers(self, schemes: Iterable[SignatureScheme]) -> None:
        """Refuse two schemes that share a header: a request could mean either."""
        taken: dict[str, str] = {}
        for scheme in schemes:
            for header in scheme.HEADERS:
                if header in taken:
                    owner = self.owners["signature scheme", scheme.NAME]
                    self.problems.append(
                        f"plugin {owner}: the header {header} of {scheme.NAME} belongs to {taken[header]} already."
                    )
                taken.setdefault(header, scheme.NAME)

    def refuse_unknown_kinds(self, schemes: Iterable[SignatureScheme]) -> None:
        """A scheme that names its kinds of keys wrongly could be handed any key, or none."""
        kinds = get_args(KeyKind)
        for scheme in schemes:
            named: Any = scheme.KEY_KINDS
            if not isinstance(named, tuple) or not named or not all(kind in kinds for kind in named):
                owner = self.owners["signature scheme", scheme.NAME]
                self.problems.append(
                    f"plugin {owner}: KEY_KINDS of {scheme.NAME} is a tuple of {' or '.join(kinds)}; "
                    f"{named!r:.80} is not."
                )

    @staticmethod
    def _unfit(item: Any, kind: str, expected: type[Any], reserved: frozenset[str]) -> str | None:
        fits = issubclass(item, expected) if isinstance(item, type) else isinstance(item, expected)
        wants_class = expected is StorageBackend
        if not fits or isinstance(item, type) is not wants_class:
            form = "classes" if wants_class else "objects"
            return f"a {kind} hook returns {form} of crm_core.plugin's {expected.__name__}, not {item!r:.80}"
        name = getattr(item, "NAME", None)
        if not isinstance(name, str) or not is_section_name(name):
            return f"the NAME of a {kind} is 1 to 64 of a-z, 0-9, _ and -, from a letter; {name!r:.80} is not"
        if name in reserved:
            return f"{name} is a reserved name; call the {kind} something else"
        return None
