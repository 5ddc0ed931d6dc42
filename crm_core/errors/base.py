"""What all errors share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, ClassVar, Final

import msgspec

_MOST_ERRORS: Final = 1000  # that an answer lists: to list more would take seconds


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing wrong with, or worth knowing about, an input.

    ``pointer`` is an RFC 6901 pointer, ``code`` stable, ``message`` a sentence that says how to fix it.
    A ``warning`` refuses nothing. ``from_catalog``: it follows from the catalog, roles or record types, which change
    after a push; it only warns if a merge leaves the place as it is.
    """

    pointer: str
    code: str
    message: str
    warning: bool = False
    from_catalog: bool = False

    def to_wire(self) -> dict[str, str]:
        """The finding as the wire shows it."""
        return {"pointer": self.pointer, "code": self.code, "message": self.message}

    def under(self, prefix: str) -> Finding:
        """The same finding with a pointer into a document that contains this one at ``prefix``."""
        return msgspec.structs.replace(self, pointer=prefix + self.pointer)


class CrmError(Exception):
    """Base of every error that callers can see; ``evidence`` becomes further members of the problem.

    ``operator_detail``: the detail for health, commands and the server's log. It may name files and hosts, so no
    problem document has it.
    """

    status: ClassVar[int] = 500
    code: str = "internal_error"
    title: ClassVar[str] = "Internal error"
    usual_wait: ClassVar[int | None] = None  # seconds for Retry-After if the code that raises names none

    def __init_subclass__(cls, *, status: int | None = None, code: str | None = None, title: str | None = None) -> None:
        """Read status, code and title from the class line; a class without them only groups others."""
        super().__init_subclass__()
        if status is not None and code is not None and title is not None:
            cls.status, cls.code, cls.title = status, code, title

    def __init__(
        self,
        detail: str = "",
        *,
        errors: Iterable[Finding] = (),
        retry_after: int | None = None,
        operator_detail: str = "",
        **evidence: Any,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title + "."
        self.operator_detail = operator_detail or self.detail
        self.errors: tuple[Finding, ...] = first_errors(errors)
        self.retry_after = self.usual_wait if retry_after is None else retry_after
        self.evidence: Mapping[str, Any] = evidence

    def problem(self, request_id: str, instance: str | None = None) -> dict[str, Any]:
        """The members of the problem document (RFC 9457). Its type is a page of the ``instance``, if one is known."""
        members: dict[str, Any] = {
            "type": f"/i/{instance}/docs/errors#{self.code}" if instance else "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
            **self.evidence,
        }
        if self.errors:
            members["errors"] = [finding.to_wire() for finding in self.errors]
        return members


def first_errors(errors: Iterable[Finding], pointer: str = "") -> tuple[Finding, ...]:
    """The first errors, and at ``pointer`` that there are more: all would be as many as the sender likes."""
    found = tuple(islice(errors, _MOST_ERRORS + 1))
    if len(found) <= _MOST_ERRORS:
        return found
    more = Finding(pointer, "more_errors", f"More errors follow. Fix the first {_MOST_ERRORS}.")
    return (*found[:_MOST_ERRORS], more)


class SetupError(Exception):
    """Files or plugins that cannot be used; each problem is one line an admin can act on."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems: tuple[str, ...] = tuple(problems)
        super().__init__("\n".join(self.problems))
