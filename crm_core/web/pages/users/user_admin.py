"""Users: who is there, what each may do, inviting, and taking access away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from quart import Response, request

from crm_core.access.delegation import may_manage
from crm_core.access.signin import INVITATION, RESET
from crm_core.access.user import USERS, StoredUser, User, words
from crm_core.errors import CrmError, InvalidRecord, LimitReached, PermissionDenied, RevisionMismatch
from crm_core.mail import DeliveryError, Email, invitation, password_reset
from crm_core.model.text_types import plain_integer
from crm_core.plugin.query import PageQuery
from crm_core.web.pages.layout.parts import Option, PageLink, PageNotice
from crm_core.web.pages.mail.sender import EmailSender, sender_of
from crm_core.web.pages.page_answers import page, redirect
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.forms import Field
from crm_core.web.pages.users.rights_grid import RightGroup, assignment_of, grid_of, narrowed

_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class Person:
    """A user in the list."""

    href: str
    name: str
    note: str
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The user whose rights are shown. ``locked``: why the viewer cannot change the user; empty if they can."""

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


@dataclass(frozen=True, slots=True)
class HandedLink:
    """A link that the admin hands over, because no letter could."""

    title: str
    text: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UsersView:
    """Users for their page."""

    sub: str
    q: str
    more: str
    people: tuple[Person, ...]
    user: Chosen | None
    roles: tuple[Option, ...]
    grid: tuple[RightGroup, ...]
    notice: PageNotice | None
    link: HandedLink | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteView:
    """The invitation form."""

    sub: str
    crumbs: tuple[PageLink, ...]
    problem: PageNotice | None
    fields: tuple[Field, ...]
    foot: str


async def users(context: PageContext, id: str | None = None) -> Response:  # noqa: A002 -- the wire's word
    """The users, and the rights of the chosen one."""
    held = await context.services.users.get(context.tenant, id or context.caller.id)
    return await _page(context, held)


async def inviting(context: PageContext) -> Response:
    """The invitation form."""
    return await _invite(context, {}, None)


async def invited(context: PageContext) -> Response:
    """Make a user without a password and send the link that chooses one."""
    form = {name: value.strip() for name, value in (await request.form).items()}
    data = {name: form[name] for name in ("email", "name", "role") if form.get(name)}
    try:
        held = await context.services.users.create(context.tenant, data, context.caller)
    except (InvalidRecord, LimitReached, PermissionDenied) as error:
        return await _invite(context, form, error)
    return await _send(context, held)


async def reset_sent(context: PageContext, id: str) -> Response:  # noqa: A002 -- the wire's word
    """Send a link that sets a new password, or choose the first one."""
    return await _send(context, await context.services.users.get(context.tenant, id))


async def role_set(context: PageContext, id: str) -> Response:  # noqa: A002 -- the wire's word
    """Give a user another role."""
    return await _changed(context, id, {"role": (await request.form).get("role", "")}, "Role changed")


async def assigned(context: PageContext, id: str) -> Response:  # noqa: A002 -- the wire's word
    """Take features away from a user, or give them back."""
    form = await request.form
    held = await context.services.users.get(context.tenant, id)
    everything = form.get("everything") == "true"
    wanted = None if everything else assignment_of(context.workspace, held.user, form.getlist("key"))
    return await _changed(context, id, {"assignment": wanted}, "Rights changed; they count from the next click on")


async def disabled_set(context: PageContext, id: str) -> Response:  # noqa: A002 -- the wire's word
    """Disable a user, which ends every sign-in, or let the user in again."""
    disabled = (await request.form).get("disabled") == "true"
    said = "Disabled, and signed out everywhere" if disabled else "This user can sign in again"
    return await _changed(context, id, {"disabled": disabled}, said)


async def _changed(context: PageContext, user_id: str, patch: Mapping[str, Any], said: str) -> Response:
    number = plain_integer((await request.form).get("revision", ""), least=1, most=2**53)
    try:
        await context.services.users.update(context.tenant, user_id, dict(patch), context.caller, revision=number or -1)
    except (InvalidRecord, RevisionMismatch) as error:
        told = error.errors[0].message if error.errors else error.detail
        notice = PageNotice(tone="bad", icon="alert", title="Nothing was changed.", text=told)
        return await _page(
            context, await context.services.users.get(context.tenant, user_id), notice, status=error.status
        )
    return redirect(context, f"/users/{user_id}", said)


async def _send(context: PageContext, held: StoredUser) -> Response:
    """Send the link by letter; where none can be sent, show it to the admin. Raises PermissionDenied."""
    link, sender = await _link(context, held), sender_of(context)
    if not sender.can_send:
        return await _handed(context, held, link, "This workspace has no mail server yet, so no letter was sent.")
    user = held.user
    url = context.lasting_address(f"/password/{link}")
    if url is None:
        why = "This instance does not know its own web address: its operator sets public_url in instance.yaml."
        return await _handed(context, held, link, f"No letter was sent. {why}")
    try:
        await sender.send(_letter(context, sender, held, url), user.email)
    except DeliveryError as trouble:
        return await _handed(context, held, link, f"The letter was not delivered. {trouble.what} {trouble.fix}")
    return redirect(context, f"/users/{user.id}", f"A letter is on its way to {user.email}")


async def _link(context: PageContext, held: StoredUser) -> str:
    """The secret part of the link. Raises PermissionDenied."""
    lifetime = INVITATION if held.user.password is None else RESET
    return await context.services.signin.link(context.tenant, held.user.id, lifetime, by=context.caller)


def _letter(context: PageContext, sender: EmailSender, held: StoredUser, url: str) -> Email:
    name = held.user.name or held.user.email
    if held.user.password is None:
        return invitation(sender.brand, name=name, by=context.caller.name, url=url, days=INVITATION.days)
    return password_reset(sender.brand, name=name, url=url, hours=int(RESET.total_seconds() // 3600))


async def _handed(context: PageContext, held: StoredUser, link: str, why: str) -> Response:
    path = f"/password/{link}"
    url = context.lasting_address(path) or context.address(path)
    days = f"{INVITATION.days} days" if held.user.password is None else f"{int(RESET.total_seconds() // 3600)} hours"
    text = f"Hand it to {held.user.name or held.user.email} yourself. It works once, for {days}."
    notice = PageNotice(tone="warn", icon="mail", title="Hand this link over.", text=why)
    return await _page(context, held, notice, link=HandedLink("Link to choose a password", text, url))


async def _page(
    context: PageContext,
    held: StoredUser,
    notice: PageNotice | None = None,
    *,
    link: HandedLink | None = None,
    status: int = 200,
) -> Response:
    q = request.args.get("q", "")[:200]
    query = PageQuery(collection=USERS, sort="name", words=words(q), limit=_SHOWN, total=True)
    found, users = await context.services.users.page(context.tenant, query)
    total, limit = users.total or 0, context.workspace.entitlements.limits.get(USERS)
    plan = (context.workspace.entitlements.plan or context.workspace.catalog.default_plan).name
    number = context.formats.number
    room = f" of {number(limit)} in the plan {plan}" if limit is not None else " in all"
    view = UsersView(
        sub=f"{number(total)} match" if q else f"{number(total)}{room}",
        q=q,
        more=f"The first {_SHOWN} of {number(total)}; search to see others" if total > len(found) else "",
        people=tuple(_person(context, one, held) for one in found),
        user=_chosen(context, held),
        roles=tuple(_roles(context, held.user.role)),
        grid=grid_of(context.workspace, held.user),
        notice=notice,
        link=link,
    )
    return await page(context, "users.html", "users", view, status)


def _person(context: PageContext, held: StoredUser, chosen: StoredUser) -> Person:
    user = held.user
    role = context.workspace.roles.get(user.role)
    parts = [role.title if role else f"No such role: {user.role}"]
    if user.id == context.caller.id:
        parts.append("you")
    if user.disabled:
        parts.append("disabled")
    elif user.password is None:
        at = context.formats.moment(user.created_at)
        parts.append(f"invited {at.short}" if at else "invited")
    taken = narrowed(context.workspace, user)
    if taken:
        parts.append(f"{taken} feature{'s' if taken > 1 else ''} taken away")
    return Person(
        f"{context.root}/users/{user.id}", user.name or user.email, ", ".join(parts), user.id == chosen.user.id
    )


def _chosen(context: PageContext, held: StoredUser) -> Chosen:
    user = held.user
    locked = _locked(context, user)
    at, is_new = context.formats.moment(user.updated_at), user.password is None
    return Chosen(
        href=f"{context.root}/users/{user.id}",
        name=user.name or user.email,
        note=user.email + (f" · last changed {at.short}" if at else ""),
        role=user.role,
        revision=held.revision,
        locked=locked,
        disabled=user.disabled,
        narrowed=user.assignment is not None,
        foot=locked or "Changes apply from the user's next click.",
        reset_text="Send the invitation again" if is_new else "Send a password link",
    )


def _locked(context: PageContext, user: User) -> str:
    if user.id == context.caller.id:
        return "You cannot change your own role or access. Ask another admin."
    if may_manage(user.role, context.caller, context.workspace.roles):
        return ""
    return "This user's role has administration rights that yours lacks. Ask an admin whose role includes them."


def _roles(context: PageContext, current: str) -> Iterator[Option]:
    """The roles that the user can give, and the current one."""
    for name, role in context.workspace.roles.items():
        if name == current or may_manage(name, context.caller, context.workspace.roles):
            yield Option(name, role.title)


async def _invite(context: PageContext, form: Mapping[str, str], error: CrmError | None) -> Response:
    wrong = {finding.pointer.removeprefix("/"): finding.message for finding in error.errors} if error else {}
    roles = tuple(_roles(context, ""))
    fields = (
        Field(
            name="email", label="Mail address", kind="email", value=form.get("email", ""), required=True,
            longest=254, error=wrong.get("email", ""), auto="off",
        ),
        Field(
            name="name", label="Name", value=form.get("name", ""), longest=200, error=wrong.get("name", ""),
            hint="As colleagues will see it", auto="off",
        ),
        Field(
            name="role", label="Role", kind="select", value=form.get("role") or "agent", options=roles,
            error=wrong.get("role", ""),
        ),
    )  # fmt: skip
    sender = sender_of(context)
    problem = None
    if error is not None:
        problem = PageNotice(tone="bad", icon="alert", title=f"{error.title}.", text="" if wrong else error.detail)
    by_mail = "A letter with a link goes out through your own mail server. It works once, for 7 days."
    by_hand = "This workspace has no mail server yet: you get the link to hand over yourself."
    view = InviteView(
        sub="The new user chooses a password by a link",
        crumbs=(PageLink(f"{context.root}/users", "Users"),),
        problem=problem,
        fields=fields,
        foot=by_mail if sender.can_send else by_hand,
    )
    return await page(context, "invite.html", "users", view, error.status if error else 200)
