"""The documented operations of users."""

from __future__ import annotations

from typing import Final

from crm_core import errors
from crm_core.access.user import UserAnswer, UserInput, UserPage, UserPatch
from crm_core.web.api.parameters import BOOLEAN, CURSOR, IF_NONE_MATCH, MERGE_PATCH, UUID, whole
from crm_core.web.operations import BASE, Body, Operation, Parameter, Reply

MANAGE: Final = "users.manage"
_LIMIT: Final = 256 * 1024
SORTABLE: Final = ("created_at", "email", "name", "role")
PARAMETERS: Final = (
    Parameter(name="limit", description="Users of a page, 1 to 200; 50 unless given.", schema=whole(1, 200)),
    CURSOR,
    Parameter(
        name="sort",
        description="The order, created_at unless given; with `-` before it, descending.",
        schema={"type": "string", "enum": [sign + name for name in SORTABLE for sign in ("", "-")]},
    ),
    Parameter(name="q", description="Beginnings of words in name and email address."),
    Parameter(name="role", description="Only users of this role."),
    Parameter(name="disabled", description="Only users who are, or are not, disabled.", schema=BOOLEAN),
    Parameter(name="total", description="Also count the whole selection.", schema=BOOLEAN),
)
_WRITES: Final = (errors.InvalidRecord, errors.LoginThrottled, errors.StorageFull)

LIST: Final = Operation(
    method="GET",
    path=f"{BASE}/users",
    name="list_users",
    summary="List users.",
    tag="users",
    key=MANAGE,
    parameters=PARAMETERS,
    replies={200: Reply(description="A page of users.", schema=UserPage, headers=("Link",))},
    errors=(errors.InvalidCursor,),
)
CREATE: Final = Operation(
    method="POST",
    path=f"{BASE}/users",
    name="create_user",
    summary="Create a user.",
    description=(
        "Without a password the user cannot sign in until one is chosen by an invitation. A role with a core key that "
        "the caller lacks is 403 `permission_denied`."
    ),
    tag="users",
    key=MANAGE,
    body=Body(schema=UserInput, limit=_LIMIT, example={"email": "ada@example.com", "role": "agent"}),
    replies={201: Reply(description="The user.", schema=UserAnswer, headers=("Location", "ETag"))},
    errors=(*_WRITES, errors.LimitReached),
)
DETAIL: Final = Operation(
    method="GET",
    path=f"{BASE}/users/{{id}}",
    name="get_user",
    summary="Read a user.",
    path_schemas={"id": UUID},
    tag="users",
    key=MANAGE,
    parameters=(IF_NONE_MATCH,),
    replies={
        200: Reply(description="The user.", schema=UserAnswer, headers=("ETag",)),
        304: Reply(description="Not changed."),
    },
    errors=(errors.NotFound,),
)
UPDATE: Final = Operation(
    method="PATCH",
    path=f"{BASE}/users/{{id}}",
    name="update_user",
    summary="Change a user.",
    path_schemas={"id": UUID},
    description=(
        "A JSON merge patch (RFC 7396). A new password, and being disabled, end all sign-ins of the user. A user or a "
        "role with a core key that the caller lacks, and the caller's own role, assignment and `disabled`, are 403 "
        "`permission_denied`."
    ),
    tag="users",
    key=MANAGE,
    parameters=(
        Parameter(
            name="If-Match",
            description="The ETag that the user must still have, or `*`; else 412 `revision_mismatch`.",
            where="header",
        ),
    ),
    body=Body(schema=UserPatch, limit=_LIMIT, media_types=MERGE_PATCH, example={"role": "manager"}),
    replies={200: Reply(description="The user.", schema=UserAnswer, headers=("ETag",))},
    errors=(*_WRITES, errors.NotFound, errors.RevisionMismatch),
)
