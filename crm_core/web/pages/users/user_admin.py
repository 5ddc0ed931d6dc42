"""The users of a workspace: the list, the rights of one user, and changes to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from crm_core.access.delegation import may_manage
from crm_core.access.user import USERS, StoredUser, User, terms
from crm_core.errors import InvalidRecord, RevisionMismatch
from crm_core.language import gettext, label_of, ngettext
from crm_core.model.text_types import plain_integer
from crm_core.plugin.query import PageQuery
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.layout.names import user_name
from crm_core.web.pages.layout.parts import Option, PageNotice, failure
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.page_answers import page, redirect
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.users.rights_grid import RightsGrid, assignment_of, narrowed
from crm_core.web.pages.users.signing_in import first_message

_SHOWN: Final = 100


class UserRow(msgspec.Struct, frozen=True):
    """A user in the list."""

    href: str
    name: str
    note: str
    current: bool


class SelectedUser(msgspec.Struct, frozen=True, kw_only=True):
    """The user whose rights are shown. ``locked``: why the viewer cannot change the user, or empty."""

    href: str
    name: str
    note: str
    role: str
    revision: int
    locked: str
    disabled: bool
    narrowed: bool
    foot: str
    reset_text: str


class PasswordLink(msgspec.Struct, frozen=True):
    """A link that the admin passes on, because no email was sent."""

    title: str
    text: str
    url: str


async def users(context: PageContext, id: str | None = None) -> Response:  # noqa: A002 -- the wire's word
    """The users, and the rights of the selected one."""
    return await users_page(context, await context.services.users.get(context.tenant, id or context.caller.id))


async def set_role(context: PageContext, id: str) -> Response:  # noqa: A002 -- the wire's word
    """Give a user another role."""
    return await _change(context, id, {"role": (await request.form).get("role", "")}, gettext("Role changed"))


async def set_assignment(context: PageContext, id: str) -> Response:  # noqa: A002 -- the wire's word
    """Narrow a user to some features of the role, or lift that."""
    form = await request.form
    stored = await context.services.users.get(context.tenant, id)
    everything = form.get("everything") == "true"
    assignment = None if everything else assignment_of(context.workspace, stored.user, form.getlist("key"))
    done = gettext("Rights changed. The change applies from the user's next click.")
    return await _change(context, id, {"assignment": assignment}, done)


async def set_disabled(context: PageContext, id: str) -> Response:  # noqa: A002 -- the wire's word
    """Disable a user and end every session, or enable the user again."""
    disabled = (await request.form).get("disabled") == "true"
    done = gettext("Disabled, and signed out everywhere") if disabled else gettext("This user can sign in again")
    return await _change(context, id, {"disabled": disabled}, done)


async def _change(context: PageContext, user_id: str, patch: Mapping[str, object], done: str) -> Response:
    users = context.services.users
    number = plain_integer((await request.form).get("revision", ""), least=1, most=2**53)
    try:
        await users.update(context.tenant, user_id, dict(patch), context.caller, revisions=[number or -1])
    except (InvalidRecord, RevisionMismatch) as error:
        notice = failure(gettext("Nothing was changed."), first_message(error))
        return await users_page(context, await users.get(context.tenant, user_id), notice, status=error.status)
    return redirect(context, f"/users/{user_id}", done)


async def users_page(
    context: PageContext,
    selected: StoredUser,
    notice: PageNotice | None = None,
    *,
    link: PasswordLink | None = None,
    status: int = 200,
) -> Response:
    """The page with the list of users and the rights of the selected one."""
    q = request.args.get("q", "")[:200]
    query = PageQuery(collection=USERS, sort="name", terms=terms(q), limit=_SHOWN, total=True)
    found, users = await context.services.users.page(context.tenant, query)
    total, limit = users.total or 0, context.workspace.entitlements.limits.get(USERS)
    number = context.formats.number
    sub = gettext("{total} in all", total=number(total))
    if q:
        sub = ngettext("{n} match", "{n} matches", total, n=number(total))
    elif limit is not None:
        sub = gettext("{total} of {limit} included in your plan", total=number(total), limit=number(limit))
    view = PageView(
        "users.html",
        sub=sub,
        q=q,
        more=gettext("The first {shown} of {total}. Search to find others.", shown=_SHOWN, total=number(total))
        if total > len(found)
        else "",
        people=tuple(_row(context, stored.user, selected) for stored in found),
        user=_selected(context, selected),
        roles=tuple(role_options(context, selected.user.role)),
        grid=RightsGrid(context.workspace, selected.user).groups(),
        notice=notice,
        link=link,
    )
    return await page(context, "users", view, status)


def role_options(context: PageContext, current: str) -> Iterator[Option]:
    """The roles that the viewer can give, and the current one."""
    for name, role in context.workspace.roles.items():
        if name == current or may_manage(name, context.caller, context.workspace.roles):
            yield Option(name, label_of(role.title))


def _row(context: PageContext, user: User, selected: StoredUser) -> UserRow:
    role = context.workspace.roles.get(user.role)
    parts = [label_of(role.title) if role else gettext("Unknown role: {role}", role=user.role)]
    if user.id == context.caller.id:
        parts.append(gettext("you"))
    if user.disabled:
        parts.append(gettext("disabled"))
    elif user.password is None:
        parts.append(gettext("invited {day}", day=context.formats.moment(user.created_at).short))
    removed = narrowed(context.workspace, user)
    if removed:
        parts.append(ngettext("{n} feature removed", "{n} features removed", removed))
    href = f"{context.root}/users/{user.id}"
    return UserRow(href, user_name(user), ", ".join(parts), user.id == selected.user.id)


def _selected(context: PageContext, stored: StoredUser) -> SelectedUser:
    user, locked = stored.user, _locked(context, stored.user)
    at, is_new = context.formats.moment(user.updated_at), user.password is None
    return SelectedUser(
        href=f"{context.root}/users/{user.id}",
        name=user_name(user),
        note=f"{user.email} · {gettext('last changed {day}', day=at.short)}",
        role=user.role,
        revision=stored.revision,
        locked=locked,
        disabled=user.disabled,
        narrowed=user.assignment is not None,
        foot=locked or gettext("Changes apply from the user's next click."),
        reset_text=gettext("Send the invitation again") if is_new else gettext("Send a password link"),
    )


def _locked(context: PageContext, user: User) -> str:
    if user.id == context.caller.id:
        return gettext("You cannot change your own role or access. Ask another admin.")
    if may_manage(user.role, context.caller, context.workspace.roles):
        return ""
    return gettext(
        "This user's role has administration rights that yours lacks. Ask an admin whose role includes them."
    )
