"""The caller of a request: a token of an external system or a user, without any secret."""

from __future__ import annotations

from typing import Literal

import msgspec

OPERATOR = "operator"
"""The actor in records and logs for an operator, who uses the ``crm`` command on the machine."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A caller with a valid credential. Tokens have ``scopes``; users have ``role``, ``email``, ``assignment``.

    ``language``: the user's choice for pages.
    ``session``: the id of the sign-in that a user's credential belongs to, None for tokens.
    ``revision``: of the stored token or user, so that what is derived from it can be cached until it changes.
    ``seen``: revision and epoch of the workspace when a request looked the caller up; None: not known.
    """

    kind: Literal["token", "user"]
    id: str
    name: str
    revision: int
    scopes: frozenset[str] = frozenset()
    role: str = ""
    email: str = ""
    assignment: tuple[str, ...] | None = None
    session: str | None = None
    language: str | None = None
    seen: tuple[int, str] | None = None

    @property
    def actor(self) -> str:
        """The caller in records and logs: ``token:{id}`` or ``user:{id}``."""
        return f"{self.kind}:{self.id}"


def actor_of(by: Caller | None) -> str:
    """The actor of a caller; None is an operator on the machine."""
    return OPERATOR if by is None else by.actor
