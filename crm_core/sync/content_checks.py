"""The checks of a verified push before it is applied: envelope, versions, schema, policy. Each raises its refusal."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

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
from crm_core.model.entitlements import combine
from crm_core.model.envelope import Envelope, read_envelope
from crm_core.model.frozen import FrozenDict, frozen
from crm_core.model.keys import Key, TenantRoster
from crm_core.model.modules import derive_modules
from crm_core.model.patterns import module_of
from crm_core.model.recent import once
from crm_core.model.secret_members import may_have_secret, secret_members, without_secrets
from crm_core.model.strict_json import loads
from crm_core.plugin.door import findings
from crm_core.plugin.host import PluginHost
from crm_core.plugin.payload import PayloadContext, PayloadType
from crm_core.plugin.payload_calls import PayloadCalls
from crm_core.plugin.policy import NamedModule, PolicyContext, refusals
from crm_core.plugin.registry import Registry
from crm_core.sync.outcome import PartShape, SectionOutcome, outcome_of
from crm_core.sync.push_request import Attempt
from crm_core.sync.signature_checks import Original, section_not_allowed
from crm_core.workspace import Workspace

_CORE_LIMITS = frozenset({"users"})  # what the core itself counts
_SEE_ERRORS = "The data is not valid. See errors for every place and its fix."
_GONE = "The catalog no longer has the module `{}`, so this has no effect. Add it to modules.yaml, or push without it."


def readable_push(attempt: Attempt, payload_type: PayloadType) -> Envelope:
    """The envelope, from strict JSON, for this address.

    Raises MalformedJson, InvalidEnvelope, TenantMismatch, TypeMismatch.
    """
    attempt.envelope = envelope = read_envelope(loads(attempt.body))
    if envelope.instance is msgspec.UNSET and attempt.scheme is not None and not attempt.scheme.SIGNS_INSTANCE:
        message = f"The scheme {attempt.scheme.NAME} does not sign the instance. Add instance to the body."
        raise InvalidEnvelope(message, errors=[Finding("/instance", "missing_member", message)])
    if envelope.tenant != attempt.push.tenant:
        raise TenantMismatch("The body names another tenant than the address.")
    if envelope.instance not in (msgspec.UNSET, attempt.instance):
        raise TenantMismatch("The body names another instance than the address.")
    if envelope.type != payload_type.NAME:
        raise TypeMismatch("The body names another payload type than the address.")
    return envelope


def parts_of(envelope: Envelope, payload_type: PayloadType, registry: Registry) -> tuple[PartShape, ...]:
    """The parts of a push by section; a part that is null counts as absent. Raises PluginFailed."""
    carries = payload_type.SECTION is None
    split = registry.calls.split(payload_type, frozen(envelope.data))
    return tuple(
        PartShape(name, "/data" + pointer_to(name) if carries else "/data", frozen(part))
        for name, part in split.items()
        if part is not None or not carries
    )


def has_secrets(parts: Iterable[PartShape], sections: Mapping[str, PayloadType]) -> bool:
    """Whether any part may have a secret of its section, or its section is unknown."""
    return any(
        part.section not in sections or may_have_secret(part.data, sections[part.section].SECTION) for part in parts
    )


def sections_allowed(key: Key, parts: Iterable[PartShape], sections: Mapping[str, PayloadType]) -> None:
    """Refuse a section that the key may not push. Raises TypeNotAllowed."""
    for part in parts:
        if part.section in sections and not key.admits(part.section):
            raise section_not_allowed(key, part.section)


def new_payload(evidence: Iterable[bytes | None], envelope: Envelope, floors: Mapping[str, int]) -> None:
    """Refuse a payload that was accepted before, while its version counts in every section.

    After a reset or a revoked key it may be sent again. Raises DuplicatePayload with the request that brought it.
    """
    for each in evidence:
        if each is not None and envelope.version <= min(floors.values(), default=0):
            raise duplicate(Original.read(each))


def duplicate(original: Original) -> DuplicatePayload:
    """The refusal of a payload that was accepted before, with the request that brought it."""
    return DuplicatePayload(
        f"Request {original.request_id} sent this exact body before. There is nothing left to do.",
        original=original.to_wire(),
    )


def floors_of(parts: Iterable[PartShape], workspace: Workspace, roster: TenantRoster) -> dict[str, int]:
    """The highest version that counts, of each section of a push."""
    found = {part.section: workspace.sections.get(part.section) for part in parts}
    return {name: 0 if one is None else one.floor(roster.revoked) for name, one in found.items()}


def version_above_floor(envelope: Envelope, floors: dict[str, int]) -> None:
    """Refuse a version at or below a floor. Raises StaleVersion with the floor of every section of the push."""
    highest = max(floors.values(), default=0)
    if envelope.version <= highest:
        raise StaleVersion(
            f"The version must exceed {highest}, the highest accepted; it is {envelope.version}. Send a higher one.",
            current=floors,
        )


def outcomes_of(
    envelope: Envelope, parts: tuple[PartShape, ...], workspace: Workspace, sections: Mapping[str, PayloadType]
) -> list[SectionOutcome]:
    """The outcome of each part, in order, with its findings. Raises InvalidPayload if parts are missing or unknown."""
    if not parts:
        message = f"The push contains no section. Send at least one of {', '.join(sections)}."
        raise InvalidPayload(message, errors=[Finding("/data", "missing_member", message)])
    outcomes, unknown = [], []
    for part in parts:
        if part.section not in sections:
            message = f"Unknown section. Known sections: {', '.join(sections)}."
            unknown.append(Finding(part.pointer, "unknown_member", message))
            continue
        before = workspace.sections.get(part.section)
        outcome = outcome_of(
            part.section,
            part.data,
            prefix=part.pointer,
            strategy=envelope.strategy,
            payload_type=sections[part.section],
            before=before,
            unreadable=before is not None and part.section not in workspace.readable,
        )
        outcomes.append(outcome)
    if unknown:
        raise InvalidPayload(_SEE_ERRORS, errors=[*unknown, *_findings(outcomes)])
    return outcomes


def contexts_of(
    outcomes: list[SectionOutcome], workspace: Workspace, registry: Registry, options: Mapping[str, msgspec.Struct]
) -> dict[str, PayloadContext]:
    """The contexts that payload types and validators receive, by section."""
    current = {name: one.data for name, one in workspace.readable.items()}
    valid = [outcome for outcome in outcomes if outcome.typed is not None]
    shared = PayloadContext(
        catalog=workspace.catalog,
        roles=frozenset(workspace.roles),
        options=None,
        limits=frozenset(registry.record_types) | _CORE_LIMITS,
        current=FrozenDict(current),  # the data of each is frozen
        proposed=FrozenDict(current | {outcome.name: outcome.data for outcome in valid}),
        available_modules=once(partial(_available, valid, workspace, registry.calls)),
    )
    return {
        outcome.name: msgspec.structs.replace(
            shared,
            options=options.get(outcome.name),
            secrets=frozenset((*outcome.new_secrets, *outcome.old_secrets)),
        )
        for outcome in outcomes
    }


def _available(outcomes: list[SectionOutcome], workspace: Workspace, calls: PayloadCalls) -> frozenset[str]:
    """The modules that would be available. Raises PluginFailed."""
    said = {name: reading.meaning.entitlements for name, reading in workspace.readings.items()}
    for outcome in outcomes:
        payload_type = calls.sections[outcome.name]
        bare = without_secrets(outcome.data, secret_members(payload_type.SECTION))
        part = partial(msgspec.convert, frozen(bare), payload_type.SECTION)
        said[outcome.name] = calls.entitlements(payload_type, part)
    combined = combine((name, one) for name, one in sorted(said.items()) if one is not None)
    replaced = {outcome.name for outcome in outcomes}
    unreadable = any("entitlements" in one.withholds for one in workspace.faults if one.section not in replaced)
    states = derive_modules(workspace.catalog, combined.entitlements, unreadable=unreadable).states
    return frozenset(name for name, state in states.items() if state.reason is None)


def schema_fits(
    outcomes: list[SectionOutcome], contexts: Mapping[str, PayloadContext], registry: Registry
) -> list[Finding]:
    """Refuse with everything that schemas and payload types find; return the warnings.

    Raises InvalidPayload, SecretRequired, PluginFailed.
    """
    found = list(_findings(outcomes))
    for outcome in outcomes:
        validated = _validated(outcome, contexts[outcome.name], registry)
        found += [_unless_left(finding, outcome).under(outcome.prefix) for finding in validated]
    if not found:
        return []
    refused = [finding for finding in found if not finding.warning]
    required = [name for outcome in outcomes for name in outcome.required]
    if required and len(refused) == len(required):
        raise SecretRequired(required[0], refused[0].message, errors=refused)
    if refused:
        raise InvalidPayload(_SEE_ERRORS, errors=refused)
    return [finding for finding in found if finding.warning]


def modules_permitted(
    outcomes: list[SectionOutcome], workspace: Workspace, registry: Registry, host: PluginHost
) -> list[Finding]:
    """Refuse modules that are unknown or blocked; return the warnings.

    Names that a merge leaves as they are were judged when they were pushed.
    Raises ModuleBlocked, ModuleUnsupported, PluginFailed.
    """
    every = [(outcome, pointer, name) for outcome in outcomes for pointer, name in _modules_named(outcome, registry)]
    named = tuple([NamedModule(outcome.prefix + at, name) for outcome, at, name in every if not outcome.leaves(at)])
    context = PolicyContext(workspace.tenant, workspace.catalog)
    found = [refusal for _, refusal in host.call("crm_module_policy", refusals, named=named, context=context)]
    if blocked := [Finding(r.pointer, ModuleBlocked.code, r.message) for r in found if r.kind == "blocked"]:
        raise ModuleBlocked(blocked[0].message, errors=blocked)
    if found:
        unsupported = (Finding(r.pointer, ModuleUnsupported.code, r.message) for r in found)
        raise ModuleUnsupported(found[0].message, errors=unsupported)
    if not every:
        return []
    gone = [(outcome.prefix + at, module_of(name)) for outcome, at, name in every if outcome.leaves(at)]
    first = {module: at for at, module in reversed(gone) if module and module not in workspace.catalog.modules}
    return [Finding(at, ModuleUnsupported.code, _GONE.format(module), warning=True) for module, at in first.items()]


def validators_content(
    outcomes: list[SectionOutcome], contexts: Mapping[str, PayloadContext], host: PluginHost
) -> list[Finding]:
    """Refuse with everything that validator hooks find; return the warnings. Raises InvalidPayload, PluginFailed."""
    found: list[Finding] = []
    for outcome in outcomes:
        part, context = outcome.data, _own(contexts[outcome.name])
        answers = host.call("crm_validate_payload", findings, section=outcome.name, part=part, context=context)
        found += [finding.under(outcome.prefix) for _, finding in answers]
    if not found:
        return []
    refused = [finding for finding in found if not finding.warning]
    if refused:
        raise InvalidPayload(_SEE_ERRORS, errors=refused)
    return [finding for finding in found if finding.warning]


def _findings(outcomes: Iterable[SectionOutcome]) -> Iterator[Finding]:
    for outcome in outcomes:
        yield from outcome.findings


def _own(context: PayloadContext) -> PayloadContext:
    """The context with its own copy of the options: their type is a plugin's, and may allow changes."""
    if context.options is None:
        return context
    return msgspec.structs.replace(context, options=copy.deepcopy(context.options))


def _validated(outcome: SectionOutcome, context: PayloadContext, registry: Registry) -> list[Finding]:
    """The findings of a payload type on a part, or on its valid members if it is not valid as a whole."""
    payload_type, salvaged = registry.sections[outcome.name], outcome.salvaged
    if type(payload_type).validate is PayloadType.validate:
        return []
    context = _own(context)
    if outcome.typed is not None:
        return registry.calls.validate(payload_type, outcome.typed(), context)
    if salvaged is None:
        return []
    found = registry.calls.validate(payload_type, salvaged.typed, context)
    return [salvaged.as_sent(finding) for finding in found]


def _unless_left(finding: Finding, outcome: SectionOutcome) -> Finding:
    """A finding of today's catalog on something that a merge leaves as it is only warns."""
    if finding.from_catalog and outcome.leaves(finding.pointer):
        return msgspec.structs.replace(finding, warning=True)
    return finding


def _modules_named(outcome: SectionOutcome, registry: Registry) -> list[tuple[str, str]]:
    """The pointers and names of the modules and keys in a section as the push leaves it."""
    payload_type = registry.sections[outcome.name]
    if type(payload_type).modules is PayloadType.modules:
        return []
    assert outcome.typed is not None
    return registry.calls.modules(payload_type, outcome.typed())
