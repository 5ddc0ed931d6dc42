"""Scopes of tokens: ``{record_type}:{action}`` and ``sync:health|read|admin``."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice

from crm_core.errors import Finding, InvalidRecord
from crm_core.model.permissions import SCOPE_ACTIONS
from crm_core.settings.places import hint

_CORE_KEYS = {"sync:health": "sync.view", "sync:read": "sync.view", "sync:admin": "sync.restore"}
SYNC_SCOPES = tuple(_CORE_KEYS)


def known_scopes(record_types: Iterable[str]) -> tuple[str, ...]:
    """Every scope that exists with these record types."""
    return (*SYNC_SCOPES, *(f"{name}:{action}" for name in sorted(record_types) for action in SCOPE_ACTIONS))


def core_key_for(scope: str) -> str | None:
    """The core key that a user needs for the scope's operations; None if feature keys of modules cover them."""
    return "records.erase" if scope.endswith(":erase") else _CORE_KEYS.get(scope)


def checked_scopes(scopes: Iterable[str], record_types: Collection[str]) -> tuple[str, ...]:
    """The scopes without repeats. Raises InvalidRecord with a hint for each unknown one.

    Only one more than there are known scopes is checked: one of those is unknown, and each hint costs time.
    """
    known = known_scopes(record_types)
    wanted = tuple(islice(dict.fromkeys(scopes), len(known) + 1))
    findings = [
        Finding(f"/scopes/{at}", "invalid_value", f"Unknown scope {scope[:80]!a}; {hint(scope, known)}")
        for at, scope in enumerate(wanted)
        if scope not in known
    ]
    if not wanted:
        findings.append(Finding("/scopes", "missing_member", f"Name at least one scope: {', '.join(known)}."))
    if findings:
        raise InvalidRecord(findings[0].message, errors=findings)
    return wanted
