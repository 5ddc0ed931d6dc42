"""Tokens: stored form, wire form, and the rules for input."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec

from crm_core.errors import Finding, InvalidRecord
from crm_core.model.caller import OPERATOR
from crm_core.model.times import from_wire, is_moment, to_wire
from crm_core.plugin.storage import Document, DocumentAt, Expectation, Put, StorageBackend

TOKENS: Final = "tokens"


class ApiToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token as stored, without its text. Times are RFC 3339; ``expires_at`` None: never."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: str
    created_by: str = OPERATOR  # tokens of versions that did not store it were all made on the machine
    expires_at: str | None = None
    revoked_at: str | None = None

    def state(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """Whether the token works, and if not, why."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and from_wire(self.expires_at) <= now else "active"


class TokenOverview(msgspec.Struct, frozen=True, kw_only=True):
    """A token as callers see it. ``last_used_at`` is accurate to an hour; None: not used yet."""

    id: str
    name: str
    state: Literal["active", "expired", "revoked"]
    scopes: tuple[str, ...]
    created_at: str
    created_by: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None


class TokenInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body that creates a token over the API."""

    scopes: Annotated[list[str], msgspec.Meta(min_length=1, max_length=200, description="a list of 1 to 200 scopes")]
    name: str | None = None
    expires_at: (
        Annotated[
            str,
            msgspec.Meta(
                description="null for never, or a time such as 2027-02-01T00:00:00Z",
                extra={"check": is_moment},
                extra_json_schema={"format": "date-time"},
            ),
        ]
        | None
    ) = None


class CreatedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token with its text, which is shown once."""

    token: str
    id: str
    scopes: tuple[str, ...]
    expires_at: str | None

    @classmethod
    def of(cls, text: str, token: ApiToken) -> CreatedToken:
        """The answer to the caller who creates a token."""
        return cls(token=text, id=token.id, scopes=token.scopes, expires_at=token.expires_at)

    def __repr__(self) -> str:
        return f"CreatedToken({self.id})"  # its text stays out of logs and traces


class TokenList(msgspec.Struct, frozen=True, kw_only=True):
    """Every token of a tenant, the oldest first."""

    items: list[TokenOverview]


def read_token(document: Document) -> ApiToken:
    """A token from its document."""
    return msgspec.json.decode(document.body, type=ApiToken)


async def revoked_with(
    backend: StorageBackend, tenant: str, actor: str, now: datetime
) -> tuple[tuple[Expectation, ...], tuple[Put, ...]]:
    """The expectations and puts of a unit that also revokes every token that ``actor`` made."""
    made = [(document, read_token(document)) async for document in backend.documents(tenant, TOKENS)]
    theirs = [(document, token) for document, token in made if token.created_by == actor and token.revoked_at is None]
    return (
        tuple(DocumentAt(TOKENS, document.id, document.revision) for document, _ in theirs),
        tuple(revoked(token, now)[1] for _, token in theirs),
    )


def revoked(token: ApiToken, now: datetime) -> tuple[ApiToken, Put]:
    """The revoked token, and its put without the index by which requests find it."""
    token = msgspec.structs.replace(token, revoked_at=to_wire(now))
    return token, Put(TOKENS, token.id, msgspec.json.encode(token))


def checked_name(name: str) -> str:
    """The name. Raises InvalidRecord."""
    if len(name) > 200 or not (name.isprintable() or name == ""):
        message = "The name must be up to 200 printable characters on one line."
        raise InvalidRecord(message, errors=[Finding("/name", "invalid_value", message)])
    return name


def checked_expiry(expires_at: datetime | None, now: datetime) -> str | None:
    """The expiry as stored. Raises InvalidRecord if it has passed."""
    if expires_at is None:
        return None
    if expires_at <= now:
        message = "The expiry is in the past. Enter a later time."
        raise InvalidRecord(message, errors=[Finding("/expires_at", "invalid_value", message)])
    return to_wire(expires_at)
