"""Inviting users, and sending them links to set a password."""

from __future__ import annotations

from collections.abc import Mapping

from crm_core.access.signin import INVITATION, RESET
from crm_core.access.user import StoredUser
from crm_core.errors import CrmError, Finding, InvalidRecord, LimitReached, PermissionDenied
from crm_core.language import gettext, localized, using_language
from crm_core.mail import DeliveryError, Email, MailBrand, invitation, password_reset
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.layout.names import user_name
from crm_core.web.pages.layout.parts import PageLink, PageNotice, failure
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.layout.rights import reason_in_words
from crm_core.web.pages.mail.sender import sender_of
from crm_core.web.pages.page_answers import page, redirect
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.form_fields import Field
from crm_core.web.pages.users.signing_in import RESET_HOURS
from crm_core.web.pages.users.user_admin import PasswordLink, role_options, users_page


async def invite_form(context: PageContext) -> Response:
    """The invitation form."""
    return await _form(context, {}, None)


async def invite(context: PageContext) -> Response:
    """Create a user without a password and send a link to choose one."""
    form = {name: value.strip() for name, value in (await request.form).items()}
    data = {name: form[name] for name in ("email", "name", "role") if form.get(name)}
    try:
        stored = await context.services.users.create(context.tenant, data, context.caller)
    except (InvalidRecord, LimitReached, PermissionDenied) as error:
        return await _form(context, form, error)
    return await _send_link(context, stored)


async def send_link(context: PageContext, id: str) -> Response:  # noqa: A002 -- the wire's word
    """Send a user a link to reset the password, or to choose the first one."""
    return await _send_link(context, await context.services.users.get(context.tenant, id))


async def _form(context: PageContext, form: Mapping[str, str], error: CrmError | None) -> Response:
    errors = {one.pointer.removeprefix("/"): _sentence(one) for one in error.errors} if error else {}
    fields = (
        Field(
            name="email", label=gettext("Email"), kind="email", value=form.get("email", ""), required=True,
            longest=254, error=errors.get("email", ""), auto="off",
        ),
        Field(
            name="name", label=gettext("Name"), value=form.get("name", ""), longest=200, error=errors.get("name", ""),
            hint=gettext("As colleagues see it"), auto="off",
        ),
        Field(
            name="role", label=gettext("Role"), kind="select", value=form.get("role") or "agent",
            options=tuple(role_options(context, "")), error=errors.get("role", ""),
        ),
    )  # fmt: skip
    problem = None
    if error is not None:
        text = "" if errors else reason_in_words(context.workspace, error.detail)
        problem = failure(gettext("The invitation was not sent."), text)
    emailed = gettext("We email the user a link. It works once and expires in {days} days.", days=INVITATION.days)
    shown = gettext("This workspace has no mail server yet. You get the link and pass it on yourself.")
    view = PageView(
        "invite.html",
        crumbs=(PageLink(f"{context.root}/users", gettext("Users")),),
        problem=problem,
        fields=fields,
        foot=emailed if sender_of(context.site, context.workspace).can_send else shown,
    )
    return await page(context, "users", view, error.status if error else 200)


def _sentence(finding: Finding) -> str:
    if finding.pointer == "/email" and finding.code != "taken":
        return gettext("Enter an email address such as ada@example.com.")
    return localized(finding.message)


async def _send_link(context: PageContext, stored: StoredUser) -> Response:
    """Email the link; if that is not possible, show it to the admin.

    Raises:
        PermissionDenied: the admin may not manage this user.
    """
    user, sender = stored.user, sender_of(context.site, context.workspace)
    lifetime = INVITATION if user.password is None else RESET
    link = await context.services.signin.link(context.tenant, user.id, lifetime, by=context.caller)
    if not sender.can_send:
        return await _show_link(
            context, stored, link, gettext("No email was sent: this workspace has no mail server yet.")
        )
    url = context.lasting_address(f"/password/{link}")
    if url is None:
        reason = gettext(
            "No email was sent: this instance does not know its own web address. Ask your operator to set public_url."
        )
        return await _show_link(context, stored, link, reason)
    try:
        with using_language(context.site.language_of(context.workspace, user.language)):
            await sender.send(_email(context, sender.brand, stored, url), user.email)
    except DeliveryError as error:
        fix = gettext("We try again for about 20 minutes.") if error.will_retry else gettext(error.fix)
        return await _show_link(
            context, stored, link, gettext("The email was not sent. {what} {fix}", what=gettext(error.what), fix=fix)
        )
    return redirect(context, f"/users/{user.id}", gettext("Email sent to {email}", email=user.email))


def _email(context: PageContext, brand: MailBrand, stored: StoredUser, url: str) -> Email:
    name = user_name(stored.user)
    if stored.user.password is None:
        return invitation(brand, name=name, by=context.caller.name, url=url, days=INVITATION.days)
    return password_reset(brand, name=name, url=url, hours=RESET_HOURS)


async def _show_link(context: PageContext, stored: StoredUser, link: str, reason: str) -> Response:
    path, user = f"/password/{link}", stored.user
    url = context.lasting_address(path) or context.address(path)
    lifetime = gettext("{days} days", days=INVITATION.days)
    if user.password is not None:
        lifetime = gettext("{hours} hours", hours=RESET_HOURS)
    text = gettext(
        "Send it to {name} yourself. It works once and expires in {lifetime}.",
        name=user_name(user),
        lifetime=lifetime,
    )
    notice = PageNotice(tone="warn", icon="mail", title=gettext("Pass this link on."), text=reason)
    return await users_page(context, stored, notice, link=PasswordLink(gettext("Link to choose a password"), text, url))
