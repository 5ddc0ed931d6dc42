"""Users: stored form, wire form, and the rules for input."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Annotated, Any, Final

import msgspec

from crm_core.access.passwords import Password
from crm_core.errors import Finding
from crm_core.model.caller import Caller
from crm_core.model.catalog import Catalog, Roles
from crm_core.model.domains import comparable_address
from crm_core.model.fields import step
from crm_core.model.folded_text import composed, is_visible, one_line
from crm_core.model.permissions import SUPER_ADMIN
from crm_core.model.stored_values import convert_changed
from crm_core.model.text_types import Email, Line
from crm_core.plugin.storage import Document, IndexValue, Put, Term
from crm_core.settings.places import hint

_MOST_UNKNOWN: Final = 20  # patterns of an assignment that one answer names

USERS = "users"
READ_ONLY = ("id", "revision")
_WORD = re.compile(r"\w+")


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user as stored. ``password`` is its argon2 hash, None until one is set.

    ``language``: the BCP 47 tag that the user chose for pages and emails, None for the workspace's.
    ``epoch`` counts the changes that end all sessions: a new password, and being disabled. ``assignment`` None:
    everything that the role grants. Times are RFC 3339.
    """

    id: str
    email: str
    name: str | None = None
    role: str
    assignment: tuple[str, ...] | None = None
    disabled: bool = False
    password: str | None = None
    epoch: int = 0
    language: str | None = None
    created_at: str
    updated_at: str
    created_by: str
    updated_by: str

    def __repr__(self) -> str:
        return f"User({self.id})"  # even hashed, a password stays out of logs and traces

    @property
    def is_active_super_admin(self) -> bool:
        """Whether this user can sign in as super admin."""
        return self.role == SUPER_ADMIN and not self.disabled and self.password is not None

    def writable(self) -> dict[str, Any]:
        """The members that a merge patch (RFC 7396) can change, without nulls."""
        members = {
            "email": self.email,
            "name": self.name,
            "role": self.role,
            "assignment": None if self.assignment is None else list(self.assignment),
            "disabled": self.disabled,
        }
        return {name: value for name, value in members.items() if value is not None}

    def put(self) -> Put:
        """The user as a document with its indexes."""
        indexes: dict[str, IndexValue] = {
            "email": comparable_address(self.email),
            "name": (self.name or self.email).casefold(),
            "created_at": self.created_at,
            "role": self.role,
            "disabled": self.disabled,
            "rules": self.is_active_super_admin,
            "words": words(f"{self.name or ''} {self.email}"),
        }
        return Put(USERS, self.id, msgspec.json.encode(self), indexes)


class StoredUser(msgspec.Struct, frozen=True):
    """A user and the revision it was read or written at."""

    user: User
    revision: int

    def to_wire(self) -> dict[str, Any]:
        """The user as the API shows it."""
        user = self.user
        return {
            "id": user.id,
            "email": user.email,
            "name": user.name,
            "role": user.role,
            "assignment": user.assignment,
            "disabled": user.disabled,
            "revision": self.revision,
        }

    def caller(self, session: str, seen: tuple[int, str] | None = None) -> Caller:
        """The user as the caller of a request; ``seen``: as of ``Caller``."""
        user = self.user
        return Caller(
            kind="user",
            id=user.id,
            name=user.name or user.email,
            revision=self.revision,
            role=user.role,
            email=user.email,
            assignment=user.assignment,
            session=session,
            language=user.language,
            seen=seen,
        )


Role = Annotated[
    str, msgspec.Meta(min_length=1, max_length=63, pattern=r"\A[a-z][a-z0-9_]*\Z", description="the name of a role")
]
Pattern = Annotated[
    str,
    msgspec.Meta(
        min_length=3,
        max_length=200,
        pattern=r"\A(?:[a-z0-9_]+|\*)\.(?:[a-z0-9_]+|\*)\Z",
        description="a feature key, `module.*` or `*.action`",
    ),
]
Assignment = Annotated[
    tuple[Pattern, ...], msgspec.Meta(max_length=500, description="null for everything, or up to 500 patterns")
]


class UserInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The writable members of a user; ``password`` is never shown."""

    email: Email
    role: Role
    name: Line | None = None
    assignment: Assignment | None = None
    disabled: bool = False
    password: Password | None = None


class UserPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The members of a merge patch of a user, for OpenAPI."""

    email: Email | msgspec.UnsetType = msgspec.UNSET
    role: Role | msgspec.UnsetType = msgspec.UNSET
    name: Line | msgspec.UnsetType | None = msgspec.UNSET
    assignment: Assignment | msgspec.UnsetType | None = msgspec.UNSET
    disabled: bool | msgspec.UnsetType = msgspec.UNSET
    password: Password | msgspec.UnsetType = msgspec.UNSET


class UserAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A user as the API shows it."""

    id: str
    email: str
    name: str | None
    role: str
    assignment: list[str] | None
    disabled: bool
    revision: int


class UserPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of users; ``total`` is null unless requested."""

    items: list[UserAnswer]
    next_cursor: str | None
    total: int | None


def read_user(document: Document) -> StoredUser:
    """A user from its document."""
    return StoredUser(msgspec.json.decode(document.body, type=User), document.revision)


def words(text: str) -> tuple[str, ...]:
    """The case-folded words of a text in normal form C, for searching."""
    return tuple(sorted(set(_WORD.findall(composed(text).casefold()))))


def terms(q: str) -> tuple[Term, ...]:
    """The terms of a search: each word must begin a word of the user."""
    return tuple(Term(word) for word in words(q))


def read_input(
    data: object, before: User | None, catalog: Catalog, roles: Roles
) -> tuple[UserInput | None, list[Finding]]:
    """Validated input, or None, and every error. Values that equal those of ``before`` are not checked again."""
    converted, findings = convert_changed(data, UserInput, before and before.writable())
    errors = [_read_only(finding) for finding in findings]
    if isinstance(data, dict):
        ill_formed = {finding.pointer for finding in errors}
        errors += [error for error in _semantic_errors(data, before, catalog, roles) if error.pointer not in ill_formed]
    if errors or converted is None:
        return None, errors
    return msgspec.structs.replace(converted, name=_shown_name(converted.name)), errors


def _shown_name(name: str | None) -> str | None:
    """The name as records have theirs; one that shows nothing is none, and pages show the email address."""
    text = one_line(name or "")
    return text if is_visible(text) else None


def _read_only(finding: Finding) -> Finding:
    name = finding.pointer.removeprefix("/")
    if finding.code == "unknown_member" and name in READ_ONLY:
        return Finding(finding.pointer, "read_only", f"The server sets `{name}`. Leave it out.")
    return finding


def _semantic_errors(data: dict[str, Any], before: User | None, catalog: Catalog, roles: Roles) -> Iterator[Finding]:
    role, assignment, password = data.get("role"), data.get("assignment"), data.get("password")
    if isinstance(role, str) and role not in roles and (before is None or role != before.role):
        yield Finding("/role", "invalid_value", f"Unknown role {role[:60]!a}; {hint(role[:60], roles)}")
    unchanged = None if before is None else before.assignment
    if isinstance(assignment, list | tuple) and unchanged != tuple(map(str, assignment)):
        yield from _unknown_patterns(assignment, catalog)
    if isinstance(password, str) and comparable_address(password) == comparable_address(str(data.get("email"))):
        yield Finding("/password", "invalid_value", "The password must not be the email address.")


def _unknown_patterns(patterns: Iterable[object], catalog: Catalog) -> Iterator[Finding]:
    """A finding for each unknown pattern, up to a limit: each hint costs time, in which every other request waits."""
    known = {*catalog.keys, *(f"{name}.*" for name in catalog.modules)}
    known |= {f"*.{key.partition('.')[2]}" for key in catalog.keys}
    unknown = ((at, each) for at, each in enumerate(patterns) if isinstance(each, str) and each not in known)
    for at, pattern in islice(unknown, _MOST_UNKNOWN):
        message = f"Unknown feature key or pattern {pattern[:80]!a}; {hint(pattern[:80], known)}"
        yield Finding(f"/assignment{step(at)}", "invalid_value", message)
