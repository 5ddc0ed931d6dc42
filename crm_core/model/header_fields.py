"""The header fields of a request, by name."""

from __future__ import annotations

import msgspec

from crm_core.model.recent import cached


class HeaderFields(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A value with ``headers``: (lower-case name, value) in their order."""

    headers: tuple[tuple[str, str], ...]

    @cached
    def last(self) -> dict[str, str]:
        """The last value of each header by name."""
        return dict(self.headers)

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a header, in order."""
        if name not in self.last:
            return ()
        if len(self.last) == len(self.headers):  # no header is repeated
            return (self.last[name],)
        return tuple([value for header, value in self.headers if header == name])
