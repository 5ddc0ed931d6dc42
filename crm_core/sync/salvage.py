"""What is left of a part when everything that does not fit is taken out, so that the rest is judged in the same answer.

A payload type judges typed data; a part with one wrong member has no type. Without this a platform would learn of a bad
URL only after it had mended a misspelt member beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from crm_core.errors import Finding
from crm_core.model.diff import pointer_to
from crm_core.model.fields import convert

Path = tuple[str, ...]
_ROUNDS: Final = 8  # taking a member out may leave its object without what it needs, and so on outward


class Remains(msgspec.Struct, frozen=True):
    """A typed part without what did not fit. ``kept``: of each list that lost items, the old positions."""

    typed: Any
    kept: dict[Path, list[int]]

    def before(self, finding: Finding) -> Finding:
        """A finding on what remains as one on the part as it was sent."""
        steps = finding.pointer.split("/")[1:]
        there: list[str] = []
        for at, step in enumerate(steps):
            old = self.kept.get(tuple(steps[:at]))
            there.append(str(old[int(step)]) if old is not None and step.isdigit() and int(step) < len(old) else step)
        return msgspec.structs.replace(finding, pointer="".join(f"/{step}" for step in there))


def remains(part: Any, section: type[msgspec.Struct], findings: Iterable[Finding]) -> Remains | None:
    """What of a part fits its section; None where nothing does. ``findings``: what ``convert`` said, without prefix."""
    bad: set[Path] = set()
    for _ in range(_ROUNDS):
        bad.update(map(_culprit, findings))
        if () in bad:
            return None
        kept: dict[Path, list[int]] = {}
        typed, fresh = convert(_without(part, bad, (), (), kept), section)
        if typed is not None:
            return Remains(typed, kept)
        there = Remains(None, kept)
        findings = [there.before(finding) for finding in fresh]
    return None


def _culprit(finding: Finding) -> Path:
    """What to take out: the place itself, or where a member is missing, the object that lacks it."""
    path = tuple(finding.pointer.split("/")[1:])
    return path[:-1] if finding.code == "missing_member" else path


def _without(value: Any, bad: set[Path], old: Path, new: Path, kept: dict[Path, list[int]]) -> Any:
    """A copy less the bad places; ``old`` and ``new`` are where the value stood and where its copy stands."""
    if isinstance(value, dict):
        steps = {name: pointer_to(name)[1:] for name in value}
        return {
            name: _without(item, bad, (*old, steps[name]), (*new, steps[name]), kept)
            for name, item in value.items()
            if (*old, steps[name]) not in bad
        }
    if isinstance(value, list):
        positions = [at for at in range(len(value)) if (*old, str(at)) not in bad]
        if len(positions) < len(value):
            kept[new] = positions
        return [_without(value[at], bad, (*old, str(at)), (*new, str(here)), kept) for here, at in enumerate(positions)]
    return value
