"""The rules of a record type itself: its computed members and its own findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from inspect import signature
from typing import Any, Final

import msgspec

from crm_core.errors import Finding, PluginFailed
from crm_core.model.fields import convert, step
from crm_core.model.folded_text import is_visible
from crm_core.model.frozen import frozen
from crm_core.model.stored_values import as_stored
from crm_core.plugin import door as checks
from crm_core.plugin.door import Door
from crm_core.plugin.record_type import RecordType
from crm_core.server_log import ServerLog

_log = ServerLog("crm.records")
_MOST: Final = 2**63 - 1  # of the integers that stores find and sort by
_TEXTS: Final = frozenset({"text", "paragraphs"})  # of which a name may be made


class OwnRules:
    """Functions of a record type; ``complete`` and ``check`` get copies. ``owner``: its plugin, named if they fail."""

    def __init__(self, record_type: RecordType, owner: str, door: Door) -> None:
        self._type = record_type
        self._owner = owner
        self._door = door
        self.completes = type(record_type).complete is not RecordType.complete
        self._checks = type(record_type).check is not RecordType.check
        self._integers = [member.name for member in record_type.members if member.kind == "integer"]
        self._reported = False
        self._takes_before = len(signature(record_type.check).parameters) > 1

    def upgraded(self, members: dict[str, Any], schema: int) -> dict[str, Any] | None:
        """The members of a record of another schema in the present one; None if the type cannot read them."""
        reason = f"The plugin reads up to schema version {self._type.SCHEMA_VERSION}."
        if schema < self._type.SCHEMA_VERSION:
            try:
                found = self._door.call(
                    self._owner, "upgrade", partial(self._type.upgrade, members, schema), checks.mapping
                )
            except PluginFailed as error:
                reason = error.operator_detail
            else:
                if as_stored(found, self._type.RECORD) is not None:
                    return found
                finding = convert(found, self._type.RECORD)[1][0]
                reason = f"upgrade returned a record that does not fit: {finding.pointer}: {finding.message}"
        if not self._reported:  # once: there may be very many
            self._reported = True
            kind = self._type.NAME
            _log.error("records_unreadable", plugin=self._owner, record_type=kind, schema=schema, reason=reason)
        return None

    def completed(self, merged: dict[str, Any], current: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The record with its computed members, and the same as JSON. Raises PluginFailed."""
        function = partial(self._type.complete, self._copy(merged), self._before(current))
        record = self._door.call(
            self._owner, "complete", function, lambda found: checks.instance(found, self._type.RECORD)
        )
        return record, msgspec.to_builtins(record)

    def nameless(
        self, merged: dict[str, Any], current: Mapping[str, Any], findings: Sequence[Finding]
    ) -> list[Finding]:
        """That ``complete`` finds no name for a record whose members ``findings`` refuse. Raises PluginFailed."""
        if not self.completes:
            return []
        wrong = {finding.pointer[1:].partition("/")[0] for finding in findings}
        rest = {name: value for name, value in merged.items() if name not in wrong}
        rest |= {each.name: "x" for each in self._type.members if each.name in wrong and each.kind in _TEXTS}
        if convert(rest, self._type.RECORD)[1]:
            return []
        return missing_name(self.completed(rest, current)[1], findings)

    def findings(self, merged: dict[str, Any], current: Mapping[str, Any]) -> list[Finding]:
        """The type's own findings; integers that no store can find are refused before. Raises PluginFailed."""
        beyond = [
            Finding(step(name), "invalid_value", "This number is too large. Enter a smaller one.")
            for name in self._integers
            if isinstance(number := merged.get(name), int)
            and not -_MOST - 1 <= number <= _MOST
            and number != current.get(name)
        ]
        if beyond or not self._checks:
            return beyond
        before = (self._before(current),) if self._takes_before else ()
        function = partial(self._type.check, self._copy(merged), *before)
        return self._door.call(self._owner, "check", function, checks.findings)

    def _copy(self, data: Mapping[str, Any]) -> Any:
        return as_stored(frozen(data), self._type.RECORD)

    def _before(self, current: Mapping[str, Any]) -> Any:
        """The stored record; None for a new one."""
        return self._copy(current) if current else None


def missing_name(record: Mapping[str, Any], findings: Sequence[Finding]) -> list[Finding]:
    """That a completed record has no name that shows something, unless a finding is about its name."""
    if is_visible(record["name"] or "") or any(finding.pointer == "/name" for finding in findings):
        return []
    return [Finding("/name", "missing_member", "`name` is missing; add it.")]
