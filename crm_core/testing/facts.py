"""Shared by the suites of hooks and payload types: the facts that both get, parts to try, the form of findings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from crm_core.errors import Finding
from crm_core.plugin.payload import PayloadContext
from crm_core.settings.catalog import built_in_catalog
from crm_core.settings.roles import built_in_roles
from crm_core.testing.promises import Suite

_CODE: Final = re.compile(r"[a-z][a-z0-9_]*")
_LIMITS: Final = frozenset({"customers", "deals", "tasks", "users"})


def payload_context(options: Any = None) -> PayloadContext:
    """A context with the built-in catalog and roles, and no section pushed yet."""
    roles = frozenset(built_in_roles())
    return PayloadContext(catalog=built_in_catalog(), roles=roles, options=options, limits=_LIMITS)


class SectionSuite(Suite):
    """Cases on parts of a section. ``valid``: a part that is accepted and uses most of the members."""

    valid: ClassVar[Mapping[str, Any]]

    def parts(self) -> Iterator[dict[str, Any]]:
        """The empty part, the whole part, each member alone, and all but each member."""
        yield {}
        yield dict(self.valid)
        for name, value in self.valid.items():
            yield {name: value}
            yield {other: self.valid[other] for other in self.valid if other != name}


def check_form(finding: object) -> None:
    """A finding has a pointer, a code and a sentence."""
    assert isinstance(finding, Finding), f"findings must be Finding objects, not {finding!r}"
    assert finding.pointer == "" or finding.pointer.startswith("/"), f"not a JSON pointer: {finding}"
    assert _CODE.fullmatch(finding.code), f"a code has only a-z, 0-9 and _: {finding}"
    assert finding.message.endswith((".", "?", "!")), f"a message is a sentence: {finding}"
