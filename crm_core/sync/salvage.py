"""Validation of an invalid part: its valid members are checked too, so that one response lists all errors.

A payload type validates typed data, which a part with an invalid member does not have. Without this a platform would
see a bad URL only after it had fixed a misspelled member next to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from crm_core.errors import Finding
from crm_core.model.diff import pointer_to
from crm_core.model.fields import convert

Path = tuple[str, ...]
_ROUNDS: Final = 8  # removing a member may make its object invalid, and so on outward


class Salvaged(msgspec.Struct, frozen=True):
    """A typed part without its invalid members. ``positions``: the old positions in each list that lost items."""

    typed: Any
    positions: dict[Path, list[int]]

    def as_sent(self, finding: Finding) -> Finding:
        """The finding with its pointer into the part as sent."""
        steps = finding.pointer.split("/")[1:]
        sent: list[str] = []
        for at, step in enumerate(steps):
            old = self.positions.get(tuple(steps[:at]))
            sent.append(str(old[int(step)]) if old is not None and step.isdigit() and int(step) < len(old) else step)
        return msgspec.structs.replace(finding, pointer="".join(f"/{step}" for step in sent))


def salvage(part: Any, section: type[msgspec.Struct], findings: Iterable[Finding]) -> Salvaged | None:
    """The valid rest of a part; None if there is none. ``findings``: those of ``convert``, without a prefix."""
    invalid: set[Path] = set()
    for _ in range(_ROUNDS):
        invalid.update(map(_invalid_path, findings))
        if () in invalid:
            return None
        positions: dict[Path, list[int]] = {}
        typed, more = convert(_without(part, invalid, (), (), positions), section)
        rest = Salvaged(typed, positions)
        if typed is not None:
            return rest
        findings = [rest.as_sent(finding) for finding in more]
    return None


def _invalid_path(finding: Finding) -> Path:
    """The path to remove: the finding's, or that of the object if a member of it is missing."""
    path = tuple(finding.pointer.split("/")[1:])
    return path[:-1] if finding.code == "missing_member" else path


def _without(value: Any, invalid: set[Path], old: Path, new: Path, positions: dict[Path, list[int]]) -> Any:
    """A copy without the invalid members; ``old`` and ``new`` are the paths of the value and of its copy."""
    if isinstance(value, dict):
        steps = {name: pointer_to(name)[1:] for name in value}
        return {
            name: _without(item, invalid, (*old, steps[name]), (*new, steps[name]), positions)
            for name, item in value.items()
            if (*old, steps[name]) not in invalid
        }
    if isinstance(value, list):
        valid = [at for at in range(len(value)) if (*old, str(at)) not in invalid]
        if len(valid) < len(value):
            positions[new] = valid
        return [
            _without(value[at], invalid, (*old, str(at)), (*new, str(here)), positions) for here, at in enumerate(valid)
        ]
    return value
