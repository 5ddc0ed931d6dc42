"""The routes of users: list, detail, create, update, for callers with ``users.manage``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from crm_core import errors
from crm_core.access.user import USERS, StoredUser, UserAnswer, UserInput, UserPage, UserPatch, terms
from crm_core.plugin.query import PageQuery
from crm_core.plugin.storage import IndexValue
from crm_core.services import Services
from crm_core.web.answers import PRIVATE, Answer, answer, encoded, tagged
from crm_core.web.api.parameters import BOOLEAN, CURSOR, IF_NONE_MATCH, MERGE_PATCH, UUID, whole
from crm_core.web.operations import BASE, Body, Operation, Parameter, Reply, Route
from crm_core.web.reading import flag, read_json, whole_number
from crm_core.web.request import Request
from crm_core.workspace.cursors import Cursors

_TAG: Final = re.compile(r'"([1-9][0-9]{0,14})"')
MANAGE: Final = "users.manage"
_LIMIT: Final = 256 * 1024
_SORTABLE: Final = ("created_at", "email", "name", "role")
_PARAMETERS: Final = (
    Parameter(name="limit", description="Users of a page, 1 to 200; 50 unless given.", schema=whole(1, 200)),
    CURSOR,
    Parameter(
        name="sort",
        description="The order, created_at unless given; with `-` before it, descending.",
        schema={"type": "string", "enum": [sign + name for name in _SORTABLE for sign in ("", "-")]},
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
    parameters=_PARAMETERS,
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


def routes(services: Services) -> list[Route]:
    """Every operation of users."""
    cursors = Cursors(services.settings.secret_keys)

    async def listed(request: Request) -> Answer:
        query, bound = _query(cursors, request.tenant, request.query)
        users, page = await services.users.page(request.tenant, query)
        following = None if page.next is None else cursors.make(bound, page.next)
        found = answer({"items": [user.to_wire() for user in users], "next_cursor": following, "total": page.total})
        if following is None:
            return found
        return found.adding("Link", f'<{request.path}?{urlencode({**request.query, "cursor": following})}>; rel="next"')

    async def detail(request: Request) -> Answer:
        user = await services.users.get(request.tenant, request.path_parameters["id"])
        return tagged(request, encoded(user.to_wire()), _etag(user), PRIVATE)

    async def create(request: Request) -> Answer:
        user = await services.users.create(request.tenant, await read_json(request), request.caller)
        return answer(user.to_wire(), 201, {"Location": f"{request.path}/{user.user.id}", "ETag": _etag(user)})

    async def update(request: Request) -> Answer:
        patch, revisions = await read_json(request), _expected_revisions(request)
        id_ = request.path_parameters["id"]
        user = await services.users.update(request.tenant, id_, patch, request.caller, revisions=revisions)
        return answer(user.to_wire(), headers={"ETag": _etag(user)})

    return [
        Route(LIST, listed),
        Route(CREATE, create),
        Route(DETAIL, detail),
        Route(UPDATE, update),
    ]


def _query(cursors: Cursors, tenant: str, parameters: Mapping[str, str]) -> tuple[PageQuery, str]:
    """The page that the parameters name, and the text that its cursor belongs to."""
    limit = whole_number("limit", parameters.get("limit"), default=50, most=200)
    cursor, total = parameters.get("cursor"), flag(parameters, "total")
    sent = {name: value for name, value in parameters.items() if name not in ("limit", "cursor", "total")}
    sort = sent.get("sort", "created_at")
    if sort.removeprefix("-") not in _SORTABLE:
        raise errors.InvalidParameter(
            f"sort is one of {', '.join(_SORTABLE)}, with - for descending.", parameter="sort"
        )
    filters: list[tuple[str, tuple[IndexValue, ...]]] = []
    if "role" in sent:
        filters.append(("role", (sent["role"],)))
    if "disabled" in sent:
        filters.append(("disabled", (flag(sent, "disabled"),)))
    bound = f"{tenant} users {encoded(sorted(sent.items())).decode()}"
    after = None if cursor is None else cursors.read(bound, cursor)
    query = PageQuery(
        collection=USERS,
        sort=sort.removeprefix("-"),
        descending=sort.startswith("-"),
        filters=tuple(filters),
        terms=terms(sent.get("q", "")),
        after=None if after is None else (after[0], after[1]),
        limit=limit,
        total=total,
    )
    return query, bound


def _expected_revisions(request: Request) -> frozenset[int] | None:
    """The revisions that If-Match names; None if any will do. A tag that we never sent matches none."""
    header = request.joined_field(b"if-match")
    if header is None or header == "*":
        return None
    tags = (_TAG.fullmatch(each.strip()) for each in header.split(","))
    return frozenset(int(tag[1]) for tag in tags if tag)


def _etag(user: StoredUser) -> str:
    return f'"{user.revision}"'
