"""The findings of a refused push as its log entry contains them: few, short, and without anything secret."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final

from crm_core.errors import Finding
from crm_core.model.log import LoggedFinding
from crm_core.model.secret_members import known_pointer, secret_members
from crm_core.plugin.payload import PayloadType
from crm_core.sync.outcome import PartShape

MOST: Final = 20
LONGEST: Final = 300
_TEXTS: Final = {
    "unknown_member": "Unknown member.",
    "missing_member": "This member is missing; add it.",
    "wrong_type": "This value has the wrong type.",
    "more_errors": "More errors follow.",
}
_ANY_TEXT: Final = "This value is not valid."


def logged_findings(
    findings: Iterable[Finding], parts: Iterable[PartShape], sections: Mapping[str, PayloadType]
) -> tuple[LoggedFinding, ...]:
    """The first findings, each text cut.

    In a section with secret members a value may be a secret in the wrong place, so there the message is
    a fixed text for each code, and the pointer ends at the last member that the section has.
    """
    secret = {
        part.pointer: section
        for part in parts
        if part.section in sections and secret_members(section := sections[part.section].SECTION)
    }
    return tuple(_logged(_guarded(finding, secret)) for finding in islice(findings, MOST))


def _guarded(finding: Finding, secret: Mapping[str, type | None]) -> Finding:
    """The finding, with nothing that was sent if it is of a section with secrets."""
    for prefix, section in secret.items():
        inner = finding.pointer.removeprefix(prefix)
        if finding.pointer.startswith(prefix) and inner[:1] in ("", "/"):
            pointer = prefix + known_pointer(section, inner)
            return Finding(pointer, finding.code, _TEXTS.get(finding.code, _ANY_TEXT))
    return finding


def _logged(finding: Finding) -> LoggedFinding:
    return LoggedFinding(finding.pointer[:LONGEST], finding.code[:LONGEST], finding.message[:LONGEST])
