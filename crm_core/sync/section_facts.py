"""The facts of stored sections that health needs, small enough to be stored for a closed tenant."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from crm_core.model.patterns import module_of
from crm_core.model.secret_members import secret_members, without_secrets
from crm_core.plugin.payload import PayloadType
from crm_core.plugin.unit import Document
from crm_core.workspace import Section
from crm_core.workspace.snapshot import Acceptance, newest_acceptance, read_sections


class Named(msgspec.Struct, frozen=True):
    """The modules and roles that a section names."""

    modules: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


class SectionFacts(msgspec.Struct, frozen=True):
    """``last_accepted``: the newest push or restore of any section; ``named``: by section."""

    last_accepted: Acceptance | None = None
    named: Mapping[str, Named] = {}


_decoder = msgspec.json.Decoder(SectionFacts)


def facts_of(sections: Mapping[str, Section], types: Mapping[str, PayloadType]) -> SectionFacts:
    """The facts of a workspace's sections."""
    named = {name: _named(section, types[name]) for name, section in sections.items() if name in types}
    return SectionFacts(newest_acceptance(sections.values()), named)


def digest_of(types: Mapping[str, PayloadType]) -> Callable[[tuple[Document, ...]], bytes]:
    """How to encode the facts of sections, for the summary of a closed tenant; empty if they cannot be read."""

    def digest(documents: tuple[Document, ...]) -> bytes:
        try:
            return msgspec.json.encode(facts_of(read_sections(documents), types))
        except msgspec.MsgspecError:
            return b""

    return digest


def read_facts(digest: bytes) -> SectionFacts:
    """The facts in a digest. Raises MsgspecError if the sections could not be read."""
    return _decoder.decode(digest)


def _named(section: Section, payload_type: PayloadType) -> Named:
    try:
        bare = without_secrets(section.data, secret_members(payload_type.SECTION))
        part = msgspec.convert(bare, payload_type.SECTION)
        modules = {module_of(name) for _, name in payload_type.modules(part)}
        said = payload_type.entitlements(part)
    except Exception:  # noqa: BLE001 -- foreign code may raise anything; health must not fail because of it
        return Named()
    return Named(tuple(sorted(filter(None, modules))), tuple(sorted(said.roles)) if said is not None else ())
