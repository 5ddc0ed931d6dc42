"""Who is asking: a token of an external system or a user, as a value without any secret."""

from __future__ import annotations

from typing import Literal

import msgspec

OPERATOR = "operator"
"""How records name an operator on the machine itself, who works with the ``crm`` command."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A caller whose credential was good. Tokens have ``scopes``; users have ``role``, ``email``, ``assignment``.

    ``language``: that which the user chose for pages.
    ``session``: the id of the sign-in that a user's credential belongs to, None for tokens.
    ``revision``: of the stored token or user, so that what is derived from it can be cached until it changes.
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

    @property
    def actor(self) -> str:
        """How logs and records name the caller: ``token:{id}`` or ``user:{id}``."""
        return f"{self.kind}:{self.id}"


def actor_of(by: Caller | None) -> str:
    """How logs and records name the caller; None is an operator on the machine."""
    return OPERATOR if by is None else by.actor
