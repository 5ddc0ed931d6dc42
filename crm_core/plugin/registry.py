"""Everything the plugins of a process registered: payload types, schemes, backends and record types by name.

Built once at start. A name that two plugins bring, one that is reserved and one of the wrong form are reported
together, each with its owners, and nothing starts.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from functools import cached_property
from typing import Any

import msgspec

from crm_core.errors import PluginFailed, SetupError
from crm_core.model.fields import prepare
from crm_core.plugin.door import Door, said_at
from crm_core.plugin.faults import faults_of, name_of
from crm_core.plugin.host import PluginHost
from crm_core.plugin.payload import PayloadType
from crm_core.plugin.payload_calls import PayloadCalls
from crm_core.plugin.record_type import RecordType
from crm_core.plugin.scheme_calls import SchemeCalls
from crm_core.plugin.signature import SignatureScheme
from crm_core.plugin.storage import StorageBackend
from crm_core.plugin.watching import printed, watched


class Registry(msgspec.Struct, frozen=True, kw_only=True, dict=True):
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
        return self.calls.sections

    def brought(self) -> dict[str, list[tuple[str, str]]]:
        """The items of each plugin, as (kind, name)."""
        return _by_plugin(self.owners)


class UnfitPlugins(SetupError):
    """Faults of what plugins register. ``brought``: the other items of each plugin, as (kind, name)."""

    def __init__(self, problems: Iterable[str], brought: Mapping[str, list[tuple[str, str]]]) -> None:
        super().__init__(problems)
        self.brought = brought


def build_registry(host: PluginHost) -> Registry:
    """Collect the items of every plugin. Raises UnfitPlugins that lists every fault."""
    collector = _Collector(host)
    with watched(host.door, printed):
        payload_types = collector.gather("crm_register_payload_types", "payload type", PayloadType)
        schemes = collector.gather("crm_register_signature_schemes", "signature scheme", SignatureScheme)
        record_types = collector.gather("crm_register_record_types", "record type", RecordType)
        backends = collector.gather("crm_register_storage_backends", "storage backend", StorageBackend)
    collector.refuse_shared_headers(schemes.values())
    collector.refuse_dangling_references(record_types)
    if collector.problems:
        raise UnfitPlugins(collector.problems, _by_plugin(collector.owners))
    prepare(one.SECTION for one in payload_types.values() if one.SECTION is not None)
    prepare(one.RECORD for one in record_types.values())
    return Registry(
        payload_types=payload_types,
        schemes=schemes,
        backends=backends,
        record_types=record_types,
        owners=collector.owners,
        door=host.door,
    )


def _by_plugin(owners: Mapping[tuple[str, str], str]) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for item, plugin in owners.items():
        found.setdefault(plugin, []).append(item)
    return found


class _Collector:
    """Collects what plugins bring, and everything that is wrong with it; such a plugin is no longer active."""

    def __init__(self, host: PluginHost) -> None:
        self._host = host
        self._refused: set[str] = set()
        self.owners: dict[tuple[str, str], str] = {}
        self.problems: list[str] = []

    def gather(self, hook: str, kind: str, expected: type[Any]) -> dict[str, Any]:
        """All items of one kind by NAME, sorted."""
        found: dict[str, Any] = {}
        for owner, answer in self._host.answers(hook, list):
            try:
                with redirect_stdout(sys.stderr):  # standard output is the command's own
                    items = answer()
            except PluginFailed as error:
                self._refuse(owner, f"{hook} failed: it raised {said_at(error.__cause__ or error)}")
                continue
            for item in items:
                faults = faults_of(item, kind, expected)
                if not faults and item.NAME in found:
                    other = self.owners[kind, item.NAME]
                    remedy = "give one another NAME" if other == owner else "disable one of the two plugins"
                    faults = [f"the {kind} {item.NAME} is registered by {other} already; {remedy}"]
                for fault in faults:
                    self._refuse(owner, fault)
                if faults:
                    self._refused.add(name_of(item))
                else:
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
                    self._refuse(owner, f"the header {header} of {scheme.NAME} belongs to {taken[header]} already")
                taken.setdefault(header, scheme.NAME)

    def refuse_dangling_references(self, record_types: Mapping[str, RecordType]) -> None:
        """Refuse references to types that no plugin brings; one that was refused itself is named already.

        While a plugin is disabled the type may be one of that plugin: then only records that refer to it are refused.
        """
        if any(plugin.state == "disabled" for plugin in self._host.plugins):
            return
        for name, record_type in record_types.items():
            for reference in record_type.REFERENCES:
                if reference.record_type not in {*record_types, *self._refused}:
                    self._refuse(
                        self.owners["record type", name],
                        f"the member {reference.member} of {name} refers to {reference.record_type}, which no plugin "
                        "brings; correct the name, or install the plugin",
                    )

    def _refuse(self, plugin: str, fault: str) -> None:
        self._host.fail(plugin, fault)
        self.problems.append(f"plugin {plugin}: {fault}.")
