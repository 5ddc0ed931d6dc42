"""Users as they are kept, told and checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import msgspec

from crm_core.access.passwords import Password
from crm_core.errors import Finding
from crm_core.model.caller import Caller
from crm_core.model.catalog import Catalog, Roles
from crm_core.model.fields import convert, step
from crm_core.model.permissions import SUPER_ADMIN
from crm_core.model.text_types import Email, Line
from crm_core.plugin.storage import Document, IndexValue, Put
from crm_core.settings.places import hint

USERS = "users"
READ_ONLY = ("id", "revision")
_WORD = re.compile(r"\w+")


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user as kept. ``password`` is argon2's text, None until one was chosen.

    ``epoch`` counts what ends all sign-ins at once: a new password, and being disabled. ``assignment`` None:
    everything that the role gives. Times are RFC 3339.
    """

    id: str
    email: str
    name: str | None = None
    role: str
    assignment: tuple[str, ...] | None = None
    disabled: bool = False
    password: str | None = None
    epoch: int = 0
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
        """The members that a merge patch (RFC 7396) changes; what is null is left out."""
        members = {
            "email": self.email,
            "name": self.name,
            "role": self.role,
            "assignment": None if self.assignment is None else list(self.assignment),
            "disabled": self.disabled,
        }
        return {name: value for name, value in members.items() if value is not None}

    def put(self) -> Put:
        """The user as the store takes it, with all that users are found, filtered and sorted by."""
        indexes: dict[str, IndexValue] = {
            "email": folded(self.email),
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
        """The form that the wire shows."""
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

    def caller(self, session: str) -> Caller:
        """The user as somebody who asks."""
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
    tuple[Pattern, ...],
    msgspec.Meta(max_length=500, description="null for everything, or up to 500 patterns"),
]


class UserInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The members of a user that can be written; ``password`` is never told again."""

    email: Email
    role: Role
    name: Line | None = None
    assignment: Assignment | None = None
    disabled: bool = False
    password: Password | None = None


class UserPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a merge patch of a user can hold, for the documentation."""

    email: Email | msgspec.UnsetType = msgspec.UNSET
    role: Role | msgspec.UnsetType = msgspec.UNSET
    name: Line | msgspec.UnsetType | None = msgspec.UNSET
    assignment: Assignment | msgspec.UnsetType | None = msgspec.UNSET
    disabled: bool | msgspec.UnsetType = msgspec.UNSET
    password: Password | msgspec.UnsetType = msgspec.UNSET


class UserAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A user as the API tells it."""

    id: str
    email: str
    name: str | None
    role: str
    assignment: list[str] | None
    disabled: bool
    revision: int


class UserPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of users; ``total`` is null unless it was asked for."""

    items: list[UserAnswer]
    next_cursor: str | None
    total: int | None


def read_user(document: Document) -> StoredUser:
    """A user from its document."""
    return StoredUser(msgspec.json.decode(document.body, type=User), document.revision)


def folded(email: str) -> str:
    """An address in the form by which two are the same."""
    return email.strip().lower()


def words(text: str) -> tuple[str, ...]:
    """The folded words of a text, for searching."""
    return tuple(sorted(set(_WORD.findall(text.casefold()))))


def read_input(data: Any, below: User | None, catalog: Catalog, roles: Roles) -> tuple[UserInput | None, list[Finding]]:
    """Checked input, and all that is wrong with it. What stays as it is in ``below`` is not looked at again."""
    found, findings = convert(data, UserInput)
    told = [_read_only(finding) for finding in findings]
    if isinstance(data, dict):
        ill_formed = {finding.pointer for finding in told}
        told += [one for one in _meaning(data, below, catalog, roles) if one.pointer not in ill_formed]
    return (None if told else found), told


def _read_only(finding: Finding) -> Finding:
    name = finding.pointer.removeprefix("/")
    if finding.code == "unknown_member" and name in READ_ONLY:
        return Finding(finding.pointer, "read_only", f"`{name}` is kept by the server; leave it out.")
    return finding


def _meaning(data: dict[str, Any], below: User | None, catalog: Catalog, roles: Roles) -> Iterator[Finding]:
    role, assignment, password = data.get("role"), data.get("assignment"), data.get("password")
    if isinstance(role, str) and role not in roles and (below is None or role != below.role):
        yield Finding("/role", "invalid_value", f"There is no role {role[:60]!a}; {hint(role[:60], roles)}")
    kept = None if below is None else below.assignment
    if isinstance(assignment, list | tuple) and kept != tuple(map(str, assignment)):
        yield from _patterns(assignment, catalog)
    if isinstance(password, str) and password.lower() == str(data.get("email")).lower():
        yield Finding("/password", "invalid_value", "The password must not be the e-mail address.")


def _patterns(patterns: Iterable[Any], catalog: Catalog) -> Iterator[Finding]:
    known = {*catalog.keys, *(f"{name}.*" for name in catalog.modules)}
    known |= {f"*.{key.partition('.')[2]}" for key in catalog.keys}
    for at, pattern in enumerate(patterns):
        if isinstance(pattern, str) and pattern not in known:
            told = f"{pattern[:80]!a} is no key or pattern of this instance's modules; {hint(pattern[:80], known)}"
            yield Finding(f"/assignment{step(at)}", "invalid_value", told)
