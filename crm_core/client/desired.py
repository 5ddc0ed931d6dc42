"""The state that a tenant should have, and the requests that bring it there, without a network.

``apply_steps`` is a generator as in ``exchange``: it requests the signed health, leaves out every section with an equal
hash, and sends the rest as one ``combined`` push.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from crm_core.client.answers import ClientError, Health, Refused, Unanswered
from crm_core.client.exchange import Platform, Steps
from crm_core.client.signing import Signer
from crm_core.client.target import Target
from crm_core.model.canonical import sha256_of
from crm_core.model.diff import Change, pointer_to, steps_of
from crm_core.model.fields import without_nulls
from crm_core.model.secret_members import SecretMember, redacted, value_at

COMBINED: Final = "combined"
_SET: Final = {"set": True}

ApplyStatus = Literal["applied", "unchanged", "previewed", "refused", "failed", "unanswered"]


class DesiredTenant(msgspec.Struct, frozen=True, kw_only=True):
    """The sections that a tenant should have, by name, with secrets in the clear; other sections stay as they are.

    ``secrets``: for a section, the RFC 6901 pointers of all its secret members, such as ``{"smtp": ["/password"]}``.
    They count as ``{"set": true}`` when hashes are compared. ``unreadable``: sections with a secret that could not be
    read, and the reason; any text replaces the secret, and the tenant fails if such a section has to be sent.
    """

    target: Target
    signer: Signer
    sections: Mapping[str, Mapping[str, Any]]
    secrets: Mapping[str, Sequence[str]] = {}
    unreadable: Mapping[str, str] = {}

    def named_secrets(self, section: str) -> list[str]:
        """The pointers of the secrets that the section's data has."""
        data = self.sections[section]
        return [at for at in self.secrets.get(section, ()) if value_at(data, steps_of(at)) is not None]

    def unnamed_secrets(self, section: str) -> list[str]:
        """The pointers of the secrets that the data leaves out."""
        named = self.named_secrets(section)
        return [at for at in self.secrets.get(section, ()) if at not in named]

    def sha256(self, section: str) -> str | None:
        """The hash that health shows once the section is as desired; None if the data has no RFC 8785 form."""
        members = [SecretMember(steps_of(at)) for at in self.named_secrets(section)]
        try:
            return sha256_of(redacted(without_nulls(dict(self.sections[section])), members))
        except ValueError:
            return None


class ApplyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to apply. ``plan``: preview only. ``drop_secrets``: also send a section that would lose a stored secret.

    ``with_secrets``: also send a section that contains a secret if its hash is equal, since a secret is not compared.
    """

    plan: bool = False
    drop_secrets: bool = False
    with_secrets: bool = False


class TenantResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result for a tenant. ``problem``: why it was not applied completely, with ``code`` and ``detail``.

    ``refused``: the receiver refused the push, or a section was withheld; ``changes`` are those of the other ones.
    ``failed``: nothing could be sent. ``revision`` is null if nothing was applied.
    """

    tenant: str
    status: ApplyStatus
    revision: int | None = None
    changes: tuple[Change, ...] = ()
    problem: Mapping[str, Any] | None = None


def apply_steps(platform: Platform, desired: DesiredTenant, options: ApplyOptions) -> Steps[TenantResult]:
    """Bring the tenant to the desired state, or preview that. Failures are results; nothing is raised."""
    tenant = desired.target.tenant
    try:
        return (yield from _applied(platform, desired, options))
    except Refused as refused:
        return TenantResult(tenant=tenant, status="refused", problem=refused.document)
    except Unanswered as error:
        return failure(tenant, str(error), "unanswered")
    except (ClientError, ValueError) as error:
        return failure(tenant, str(error))


def failure(tenant: str, detail: str, status: Literal["failed", "unanswered"] = "failed") -> TenantResult:
    """The result for a tenant to which nothing could be sent, or that gave no answer."""
    return TenantResult(tenant=tenant, status=status, problem={"code": status, "detail": detail})


def _applied(platform: Platform, desired: DesiredTenant, options: ApplyOptions) -> Steps[TenantResult]:
    health = yield from platform.versions()
    sent = {name: data for name, data in desired.sections.items() if _is_due(name, desired, health, options)}
    if reasons := [desired.unreadable[name] for name in sent if name in desired.unreadable]:
        raise ValueError("; ".join(reasons))
    withheld: dict[str, list[str]] = {}
    changes: tuple[Change, ...] = ()
    if sent and (options.plan or (not options.drop_secrets and _may_drop(sent, desired, health))):
        preview = yield from platform.push(COMBINED, sent, version=health.min_version(COMBINED, sent), preview=True)
        if not options.drop_secrets:
            withheld = _dropped_secrets(preview.changes, sent, desired)
        sent = {name: data for name, data in sent.items() if name not in withheld}
        changes = tuple(change for change in preview.changes if steps_of(change.pointer)[0] in sent)
    status: ApplyStatus = "refused" if withheld else "previewed" if sent else "unchanged"
    revision = None
    if sent and not options.plan:
        outcome = yield from platform.push(COMBINED, sent, version=health.min_version(COMBINED, sent))
        revision, changes = outcome.revision, outcome.changes
        status = "refused" if withheld else "unchanged" if outcome.status == "unchanged" else "applied"
    return TenantResult(
        tenant=desired.target.tenant,
        status=status,
        revision=revision,
        changes=changes,
        problem=_withholding(withheld) if withheld else None,
    )


def _is_due(section: str, desired: DesiredTenant, health: Health, options: ApplyOptions) -> bool:
    """Whether a section is sent: it differs, or it has a secret and secrets are sent again."""
    current = health.sections.get(section)
    if options.with_secrets and desired.named_secrets(section):
        return True
    return current is None or current.sha256 is None or current.sha256 != desired.sha256(section)


def _may_drop(sent: Iterable[str], desired: DesiredTenant, health: Health) -> bool:
    """Whether a push could drop a stored secret, which a preview shows and hashes do not."""
    return any(section in health.sections and desired.unnamed_secrets(section) for section in sent)


def _dropped_secrets(changes: Iterable[Change], sent: Iterable[str], desired: DesiredTenant) -> dict[str, list[str]]:
    """By section, the pointers of stored secrets that the push would drop."""
    dropped = {change.pointer for change in changes if change.before == _SET and change.after is None}
    by_section = {
        name: [at for unnamed in desired.unnamed_secrets(name) if (at := pointer_to(name) + unnamed) in dropped]
        for name in sent
    }
    return {name: pointers for name, pointers in by_section.items() if pointers}


def _withholding(withheld: Mapping[str, list[str]]) -> dict[str, Any]:
    sections = ", ".join(withheld)
    message = "A secret is stored here that the data does not name."
    return {
        "code": "stored_secret",
        "detail": f"Not sent: {sections}. A stored secret would be lost. Name the secret, or allow its loss.",
        "errors": [
            {"pointer": at, "code": "stored_secret", "message": message}
            for pointers in withheld.values()
            for at in pointers
        ],
    }
