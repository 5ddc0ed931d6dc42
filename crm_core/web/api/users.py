"""The routes of users: list, detail, create, update, for those who hold ``users.manage``."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlencode

from quart import Response, request

from crm_core.access.user import USERS, StoredUser, words
from crm_core.errors import InvalidParameter
from crm_core.model.caller import Caller
from crm_core.plugin.query import PageQuery
from crm_core.plugin.storage import IndexValue
from crm_core.services import Services
from crm_core.web.answers import answer, encoded, tagged
from crm_core.web.api import users_schemas as schemas
from crm_core.web.callers import caller_of
from crm_core.web.operations import BASE, Operation
from crm_core.web.reading import parameters, read_json, whole_number
from crm_core.workspace import require_scope
from crm_core.workspace.cursors import Cursors

_LIMIT: Final = 256 * 1024
_FLAGS: Final = {"true": True, "false": False}
_TAG: Final = re.compile(r'"([0-9]{1,15})"')
_CACHING: Final = {"Cache-Control": "private, no-cache", "Vary": "Authorization, Cookie"}


def operations(services: Services) -> list[Operation]:
    """Every operation of users."""
    cursors = Cursors(services.settings.secret_keys)

    async def listed(tenant: str) -> Response:
        await _manager(services, tenant)
        query, bound = _query(cursors, tenant)
        users, page = await services.users.page(tenant, query)
        following = None if page.next is None else cursors.make(bound, page.next)
        items = [stored.to_wire() for stored in users]
        return answer({"items": items, "next_cursor": following, "total": page.total}, headers=_link(following))

    async def detail(tenant: str, id: str) -> Response:  # noqa: A002 -- the wire's word
        await _manager(services, tenant)
        parameters(())
        stored = await services.users.get(tenant, id)
        return tagged(encoded(stored.to_wire()), _etag(stored), _CACHING)

    async def create(tenant: str) -> Response:
        caller = await _manager(services, tenant)
        parameters(())
        stored = await services.users.create(tenant, await read_json(_LIMIT), caller)
        where = _address(services, tenant, stored)
        return answer(stored.to_wire(), 201, {"Location": where, "ETag": _etag(stored)})

    async def update(tenant: str, id: str) -> Response:  # noqa: A002 -- the wire's word
        caller = await _manager(services, tenant)
        parameters(())
        patch = await read_json(_LIMIT, schemas.MERGE_PATCH)
        stored = await services.users.update(tenant, id, patch, caller, revision=_wanted_revision())
        return answer(stored.to_wire(), headers={"ETag": _etag(stored)})

    return [
        Operation(method="GET", path=f"{BASE}/users", handler=listed, **schemas.LIST),
        Operation(method="POST", path=f"{BASE}/users", handler=create, **schemas.CREATE),
        Operation(method="GET", path=f"{BASE}/users/{{id}}", handler=detail, **schemas.DETAIL),
        Operation(method="PATCH", path=f"{BASE}/users/{{id}}", handler=update, **schemas.UPDATE),
    ]


async def _manager(services: Services, tenant: str) -> Caller:
    caller = await caller_of(services, tenant)
    require_scope(await services.views.of(tenant), caller, scope=None, key=schemas.MANAGE)
    return caller


def _query(cursors: Cursors, tenant: str) -> tuple[PageQuery, str]:
    """What the query asks for, and what its cursor is bound to."""
    sent = parameters([parameter.name for parameter in schemas.PARAMETERS])
    limit = whole_number("limit", sent.pop("limit", None), default=50, most=200)
    cursor = sent.pop("cursor", None)
    total = _flag("total", sent.pop("total", "false"))
    sort = sent.get("sort", "created_at")
    if sort.removeprefix("-") not in schemas.SORTABLE:
        raise InvalidParameter(
            f"sort is one of {', '.join(schemas.SORTABLE)}, with - for descending.", parameter="sort"
        )
    filters: list[tuple[str, IndexValue]] = []
    if "role" in sent:
        filters.append(("role", sent["role"]))
    if "disabled" in sent:
        filters.append(("disabled", _flag("disabled", sent["disabled"])))
    bound = f"{tenant} users {encoded(sorted(sent.items())).decode()}"
    after = None if cursor is None else cursors.read(bound, cursor)
    query = PageQuery(
        collection=USERS,
        sort=sort.removeprefix("-"),
        descending=sort.startswith("-"),
        filters=tuple(filters),
        words=words(sent.get("q", "")),
        after=None if after is None else (after[0], after[1]),
        limit=limit,
        total=total,
    )
    return query, bound


def _flag(name: str, text: str) -> bool:
    if text not in _FLAGS:
        raise InvalidParameter(f"{name} is true or false.", parameter=name)
    return _FLAGS[text]


def _wanted_revision() -> int | None:
    """The revision that If-Match names; None where any will do. One that we never told matches none."""
    header = request.headers.get("If-Match")
    if header is None or header.strip() == "*":
        return None
    found = _TAG.fullmatch(header.strip())
    return int(found.group(1)) if found else -1


def _etag(stored: StoredUser) -> str:
    return f'"{stored.revision}"'


def _address(services: Services, tenant: str, stored: StoredUser) -> str:
    base = BASE.replace("{instance}", services.settings.instance).replace("{tenant}", tenant)
    return f"{base}/users/{stored.user.id}"


def _link(following: str | None) -> dict[str, str]:
    if following is None:
        return {}
    query = urlencode({**request.args, "cursor": following})
    return {"Link": f'<{request.path}?{query}>; rel="next"'}
