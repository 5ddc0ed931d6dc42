"""The facts of stored sections that health needs, small enough to be stored for a closed tenant."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from crm_core.errors import PluginFailed
from crm_core.model.patterns import module_of
from crm_core.plugin.payload_calls import PayloadCalls
from crm_core.plugin.unit import Document
from crm_core.workspace.reading import Reading, SectionFault, read_section
from crm_core.workspace.section import Acceptance
from crm_core.workspace.snapshot import newest_acceptance, read_sections


class Named(msgspec.Struct, frozen=True):
    """The modules and roles that a section names."""

    modules: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


class SectionFacts(msgspec.Struct, frozen=True):
    """``last_accepted``: the newest push or restore of any section; ``named``: by section; ``faults``: of sections."""

    last_accepted: Acceptance | None = None
    named: Mapping[str, Named] = {}
    faults: tuple[SectionFault, ...] = ()


_decoder = msgspec.json.Decoder(SectionFacts)


def facts_of(readings: Mapping[str, Reading], calls: PayloadCalls) -> SectionFacts:
    """The facts of a workspace's sections."""
    named = {name: _named(one, calls) for name, one in readings.items() if one.section is not None}
    faults = tuple(one.fault for one in readings.values() if one.fault is not None)
    return SectionFacts(newest_acceptance(one.stored for one in readings.values()), named, faults)


def facts_of_documents(documents: tuple[Document, ...], calls: PayloadCalls) -> SectionFacts:
    """The facts of stored sections. Raises MsgspecError if one is no section at all."""
    stored = read_sections(documents)
    return facts_of({name: read_section(section, calls) for name, section in sorted(stored.items())}, calls)


def digest_of(calls: PayloadCalls) -> Callable[[tuple[Document, ...]], bytes]:
    """How to encode the facts of sections, for the summary of a closed tenant; empty if they cannot be read."""

    def digest(documents: tuple[Document, ...]) -> bytes:
        try:
            return msgspec.json.encode(facts_of_documents(documents, calls))
        except msgspec.MsgspecError:
            return b""

    return digest


def read_facts(digest: bytes) -> SectionFacts:
    """The facts in a digest. Raises MsgspecError if the sections could not be read."""
    return _decoder.decode(digest)


def _named(reading: Reading, calls: PayloadCalls) -> Named:
    try:
        keys = calls.modules(calls.sections[reading.stored.name], reading.part())
    except PluginFailed:
        keys = []  # health must not fail because of a plugin
    said = reading.meaning.entitlements
    modules = sorted({name for _, key in keys if (name := module_of(key))})
    return Named(tuple(modules), tuple(sorted(said.roles)) if said is not None else ())
