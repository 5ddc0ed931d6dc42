"""What all errors share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import msgspec


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing wrong with, or worth knowing about, an input.

    ``pointer`` is an RFC 6901 pointer, ``code`` stable, ``message`` a sentence that says how to mend it.
    A ``warning`` refuses nothing.
    """

    pointer: str
    code: str
    message: str
    warning: bool = False

    def told(self) -> dict[str, str]:
        """The form the wire shows."""
        return {"pointer": self.pointer, "code": self.code, "message": self.message}

    def under(self, prefix: str) -> Finding:
        """The same finding seen from a document that holds this one at ``prefix``."""
        return Finding(prefix + self.pointer, self.code, self.message, self.warning)


class CrmError(Exception):
    """Base of everything the outside can be told; ``evidence`` becomes further members of the problem."""

    status: ClassVar[int] = 500
    code: str = "internal_error"
    title: ClassVar[str] = "Internal error"
    usual_wait: ClassVar[int | None] = None  # seconds to tell in Retry-After where whoever raises knows no better

    def __init_subclass__(cls, *, status: int | None = None, code: str | None = None, title: str | None = None) -> None:
        """Take what the wire shows from the class line; a class without it only groups others."""
        super().__init_subclass__()
        if status is not None and code is not None and title is not None:
            cls.status, cls.code, cls.title = status, code, title

    def __init__(
        self,
        detail: str = "",
        *,
        errors: Iterable[Finding] = (),
        retry_after: int | None = None,
        **evidence: Any,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title + "."
        self.errors: tuple[Finding, ...] = tuple(errors)
        self.retry_after = self.usual_wait if retry_after is None else retry_after
        self.evidence: Mapping[str, Any] = evidence

    def told(self, request_id: str) -> dict[str, Any]:
        """The members of the problem (RFC 9457) that tells of the error."""
        members: dict[str, Any] = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
            **self.evidence,
        }
        if self.errors:
            members["errors"] = [finding.told() for finding in self.errors]
        return members


class SetupError(Exception):
    """Files or plugins that cannot be used; each problem is one line an admin can act on."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems: tuple[str, ...] = tuple(problems)
        super().__init__("\n".join(self.problems))
