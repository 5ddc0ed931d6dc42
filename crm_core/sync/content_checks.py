"""Checks 10 to 15: whether what the platform sent may be applied to the workspace as it is. Each raises its refusal."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from crm_core.errors import (
    DuplicatePayload,
    Finding,
    InvalidEnvelope,
    InvalidPayload,
    ModuleBlocked,
    ModuleUnsupported,
    SecretRequired,
    StaleVersion,
    TenantMismatch,
    TypeMismatch,
)
from crm_core.model.diff import pointer_to
from crm_core.model.envelope import Envelope, read_envelope
from crm_core.model.frozen import frozen
from crm_core.model.keys import Key, TenantRoster
from crm_core.model.secret_members import secret_members, value_at
from crm_core.model.strict_json import loads
from crm_core.plugin.host import PluginHost
from crm_core.plugin.payload import PayloadContext, PayloadType
from crm_core.plugin.policy import ModuleRefusal, NamedModule, PolicyContext
from crm_core.plugin.registry import Registry
from crm_core.plugin.storage import StorageBackend
from crm_core.sync.outcome import PartShape, SectionOutcome, outcome_of
from crm_core.sync.push_request import Attempt
from crm_core.sync.signature_checks import PAYLOAD_CLAIM, Original, section_not_allowed
from crm_core.workspace import Workspace

_CORE_LIMITS = frozenset({"users"})  # what the core itself counts
_PAYLOAD_TYPE = "payload type"


def readable_push(attempt: Attempt, payload_type: PayloadType) -> Envelope:
    """Check 10: strict JSON, a whole envelope, and body and address agree.

    Raises MalformedJson, InvalidEnvelope, TenantMismatch, TypeMismatch.
    """
    attempt.envelope = envelope = read_envelope(loads(attempt.body))
    if envelope.instance is None and attempt.scheme is not None and not attempt.scheme.SIGNS_INSTANCE:
        told = f"The scheme {attempt.scheme.NAME} does not sign the instance; name it in the body."
        raise InvalidEnvelope(told, errors=[Finding("/instance", "missing_member", told)])
    if envelope.tenant != attempt.push.tenant:
        raise TenantMismatch("The body is for another tenant than the address.")
    if envelope.instance not in (None, attempt.instance):
        raise TenantMismatch("The body is for another instance than the address.")
    if envelope.type != payload_type.NAME:
        raise TypeMismatch("The body is of another payload type than the address.")
    return envelope


def parts_of(envelope: Envelope, payload_type: PayloadType, registry: Registry) -> tuple[PartShape, ...]:
    """The sections that a push speaks of; a part that is null counts as absent. Raises PluginFailed."""
    carries = payload_type.SECTION is None
    try:
        split = dict(payload_type.split(frozen(envelope.data)))
    except Exception as error:  # foreign code may raise anything; it is named
        raise registry.failed(_PAYLOAD_TYPE, payload_type.NAME, "split") from error
    return tuple(
        PartShape(name, "/data" + pointer_to(name) if carries else "/data", frozen(part))
        for name, part in split.items()
        if part is not None or not carries
    )


def holds_secrets(parts: Iterable[PartShape], sections: Mapping[str, PayloadType]) -> bool:
    """Whether any part holds a value where its section has a secret, or is of a section that nobody knows."""
    return any(
        part.section not in sections
        or any(value_at(part.data, m.path) is not None for m in secret_members(sections[part.section].SECTION))
        for part in parts
    )


def sections_allowed(key: Key, parts: Iterable[PartShape], sections: Mapping[str, PayloadType]) -> None:
    """Check 10, last part: every section is one that the key may push. Raises TypeNotAllowed."""
    for part in parts:
        if part.section in sections and not key.admits(part.section):
            raise section_not_allowed(key, part.section)


async def new_payload(backend: StorageBackend, tenant: str, fingerprints: Iterable[str]) -> None:
    """Check 11. Raises DuplicatePayload with the request that applied these bytes."""
    for fingerprint in fingerprints:
        evidence = await backend.claim(tenant, PAYLOAD_CLAIM, fingerprint)
        if evidence is not None:
            raise duplicate(evidence)


def duplicate(evidence: bytes) -> DuplicatePayload:
    """The refusal of a payload that was applied, with the request that did."""
    original = msgspec.json.decode(evidence, type=Original)
    return DuplicatePayload(
        f"These very bytes were applied by request {original.request_id}; there is nothing left to do.",
        original=original.shown(),
    )


def version_above_floor(
    envelope: Envelope, parts: Iterable[PartShape], workspace: Workspace, roster: TenantRoster
) -> None:
    """Check 12. Raises StaleVersion with the floor of every section of the push."""
    revoked = {key.version for key in roster.keys.values() if key.revoked}
    floors = {
        part.section: section.floor(revoked) if (section := workspace.sections.get(part.section)) else 0
        for part in parts
    }
    highest = max(floors.values(), default=0)
    if envelope.version <= highest:
        raise StaleVersion(
            f"The version {envelope.version} does not exceed {highest}, the highest applied; send a higher one.",
            current=floors,
        )


def outcomes_of(
    envelope: Envelope, parts: tuple[PartShape, ...], workspace: Workspace, sections: Mapping[str, PayloadType]
) -> list[SectionOutcome]:
    """The outcome of each part, in order, with what is wrong with it. Raises InvalidPayload where there is no part."""
    if not parts:
        told = f"The push holds no section; send at least one of {', '.join(sections)}."
        raise InvalidPayload(told, errors=[Finding("/data", "missing_member", told)])
    unknown = [
        Finding(part.pointer, "unknown_member", f"There is no such section here; known are {', '.join(sections)}.")
        for part in parts
        if part.section not in sections
    ]
    outcomes = [
        outcome_of(
            part.section,
            part.data,
            prefix=part.pointer,
            strategy=envelope.strategy,
            payload_type=sections[part.section],
            before=workspace.sections.get(part.section),
        )
        for part in parts
        if part.section in sections
    ]
    if unknown:
        raise InvalidPayload(_SEE_ERRORS, errors=[*unknown, *_findings(outcomes)])
    return outcomes


def contexts_of(
    outcomes: Iterable[SectionOutcome], workspace: Workspace, registry: Registry, options: Mapping[str, msgspec.Struct]
) -> dict[str, PayloadContext]:
    """What payload types and validators may look at, by section."""
    shared = PayloadContext(
        catalog=workspace.catalog,
        roles=frozenset(workspace.roles),
        options=None,
        limits=frozenset(registry.record_types) | _CORE_LIMITS,
        current=frozen({name: one.data for name, one in workspace.sections.items()}),
    )
    return {outcome.name: msgspec.structs.replace(shared, options=options.get(outcome.name)) for outcome in outcomes}


def schema_fits(
    outcomes: list[SectionOutcome], contexts: Mapping[str, PayloadContext], registry: Registry
) -> list[Finding]:
    """Check 13: everything that types and payload types find, at once; the warnings.

    Raises InvalidPayload, SecretRequired, PluginFailed.
    """
    found = list(_findings(outcomes))
    for outcome in outcomes:
        found += [finding.under(outcome.prefix) for finding in _validated(outcome, contexts[outcome.name], registry)]
    refused = [finding for finding in found if not finding.warning]
    required = [name for outcome in outcomes for name in outcome.required]
    if required and len(refused) == len(required):
        raise SecretRequired(required[0], refused[0].message, errors=refused)
    if refused:
        raise InvalidPayload(_SEE_ERRORS, errors=refused)
    return [finding for finding in found if finding.warning]


def modules_permitted(
    outcomes: list[SectionOutcome], workspace: Workspace, registry: Registry, host: PluginHost
) -> None:
    """Check 14: what the push names is known here and not blocked.

    Raises ModuleBlocked, ModuleUnsupported, PluginFailed.
    """
    named = tuple(_named(outcomes, registry))
    context = PolicyContext(workspace.tenant, workspace.catalog)
    refusals = [refusal for _, refusal in host.call("crm_module_policy", ModuleRefusal, named=named, context=context)]
    blocked = [Finding(r.pointer, ModuleBlocked.code, r.message) for r in refusals if r.kind == "blocked"]
    if blocked:
        raise ModuleBlocked(blocked[0].message, errors=blocked)
    if refusals:
        unsupported = [Finding(r.pointer, ModuleUnsupported.code, r.message) for r in refusals]
        raise ModuleUnsupported(unsupported[0].message, errors=unsupported)


def validators_content(
    outcomes: list[SectionOutcome], contexts: Mapping[str, PayloadContext], host: PluginHost
) -> list[Finding]:
    """Check 15: what validator hooks find, all together; the warnings. Raises InvalidPayload, PluginFailed."""
    found: list[Finding] = []
    for outcome in outcomes:
        part, context = outcome.data, _own(contexts[outcome.name])
        answers = host.call("crm_validate_payload", Finding, section=outcome.name, part=part, context=context)
        found += [finding.under(outcome.prefix) for _, finding in answers]
    refused = [finding for finding in found if not finding.warning]
    if refused:
        raise InvalidPayload(_SEE_ERRORS, errors=refused)
    return [finding for finding in found if finding.warning]


_SEE_ERRORS = "The data does not fit; errors names every place and how to mend it."


def _findings(outcomes: Iterable[SectionOutcome]) -> Iterator[Finding]:
    for outcome in outcomes:
        yield from outcome.findings


def _own(context: PayloadContext) -> PayloadContext:
    """The context with a copy of the options: their type is a plugin's, and may allow changes."""
    return msgspec.structs.replace(context, options=copy.deepcopy(context.options))


def _validated(outcome: SectionOutcome, context: PayloadContext, registry: Registry) -> list[Finding]:
    """What a payload type finds on a part, or on what remains of it where it does not fit as a whole."""
    payload_type, left, context = registry.sections[outcome.name], outcome.remains, _own(context)
    try:
        if outcome.typed is not None:
            return list(payload_type.validate(outcome.typed(), context))
        return [] if left is None else [left.before(one) for one in payload_type.validate(left.typed, context)]
    except Exception as error:  # foreign code may raise anything; it is named
        raise registry.failed(_PAYLOAD_TYPE, payload_type.NAME, "validate") from error


def _named(outcomes: Iterable[SectionOutcome], registry: Registry) -> Iterator[NamedModule]:
    for outcome in outcomes:
        payload_type = registry.sections[outcome.name]
        assert outcome.typed is not None
        try:
            for pointer, name in payload_type.modules(outcome.typed()):
                yield NamedModule(outcome.prefix + pointer, name)
        except Exception as error:  # foreign code may raise anything; it is named
            raise registry.failed(_PAYLOAD_TYPE, payload_type.NAME, "modules") from error
