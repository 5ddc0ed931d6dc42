"""API tokens: the list with their last use, creating one, which shows it once, and revoking."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Final

import msgspec

from crm_core.access.delegation import require_may_give
from crm_core.access.scopes import SYNC_SCOPES
from crm_core.access.token import TokenOverview
from crm_core.errors import CrmError, Finding, InvalidRecord, LimitReached, PermissionDenied
from crm_core.language import gettext, gettext_noop, localized, ngettext
from crm_core.model.times import from_wire
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.layout.formats import Moment
from crm_core.web.pages.layout.parts import Mark, Option, PageLink, failure
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.layout.rights import reason_in_words
from crm_core.web.pages.page_answers import page, redirect
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.form_fields import Field

_SOON: Final = timedelta(days=14)
_LIFETIMES: Final = {
    "30": gettext_noop("In 30 days"),
    "90": gettext_noop("In 90 days"),
    "365": gettext_noop("In 1 year"),
    "": gettext_noop("Never"),
}  # by days
_ACTIONS: Final = {
    "read": gettext_noop("Read"),
    "write": gettext_noop("Write"),
    "delete": gettext_noop("Archive"),
    "erase": gettext_noop("Erase"),
}
_SYNC: Final = dict(
    zip(
        SYNC_SCOPES,
        (gettext_noop("Read health"), gettext_noop("Read attempts and history"), gettext_noop("Restore revisions")),
        strict=True,
    )
)


class TokenRow(msgspec.Struct, frozen=True, kw_only=True):
    """A token in the list. ``revoke``: the address that asks before revoking it, empty if the user may not."""

    name: str
    scopes: tuple[str, ...]
    used: Moment | None
    expires: Moment | None
    mark: Mark | None
    by: str
    made: Moment
    revoke: str


class ScopeBox(msgspec.Struct, frozen=True, kw_only=True):
    """A scope that can be given; ``locked``: the user lacks its right."""

    scope: str
    label: str
    checked: bool
    locked: bool


class ScopeRow(msgspec.Struct, frozen=True):
    """The scopes of a record type, one for each column."""

    title: str
    boxes: tuple[ScopeBox, ...]


class NewToken(msgspec.Struct, frozen=True):
    """A token that was just created, with its text, which no other page shows."""

    name: str
    text: str
    about: str

    def __repr__(self) -> str:
        return f"NewToken({self.name})"  # its text stays out of logs and traces


class RevokeQuestion(msgspec.Struct, frozen=True):
    """The token that is about to be revoked."""

    action: str
    name: str
    used: Moment | None


async def tokens(context: PageContext) -> Response:
    """The tokens, and the form for a new one; ``?revoke=ID`` asks whether to revoke that one."""
    return await _page(context)


async def create(context: PageContext) -> Response:
    """Create a token and show it, once."""
    form = await request.form
    name, days, scopes = form.get("name", "").strip(), form.get("expires", ""), dict.fromkeys(form.getlist("scope"))
    try:
        _require_complete(name, days, scopes)
        expires_at = context.services.now() + timedelta(days=int(days)) if days else None
        text, token = await context.services.tokens.create(
            context.tenant, scopes=scopes, by=context.caller, name=name, expires_at=expires_at
        )
    except (InvalidRecord, LimitReached, PermissionDenied) as error:
        return await _page(context, error=error, name=name, days=days, scopes=scopes)
    until = context.formats.day(expires_at.date()).full if expires_at else None
    about = gettext("{scopes}; it does not expire.", scopes=", ".join(token.scopes))
    if until:
        about = gettext("{scopes}; until {day}.", scopes=", ".join(token.scopes), day=until)
    return await _page(context, created=NewToken(name, text, about))


def _require_complete(name: str, days: str, scopes: Collection[str]) -> None:
    """Refuse a form that leaves something out. Raises InvalidRecord."""
    findings = []
    if not name:
        findings.append(Finding("/name", "missing_member", gettext("Enter a name.")))
    if days not in _LIFETIMES:
        findings.append(Finding("/expires", "invalid_value", gettext("Choose when it expires.")))
    if not scopes:
        findings.append(Finding("/scopes", "missing_member", gettext("Choose at least one scope.")))
    if findings:
        raise InvalidRecord(errors=findings)


async def revoke(context: PageContext, id: str) -> Response:  # noqa: A002 -- the wire's word
    """Revoke a token."""
    token = await context.services.tokens.revoke(context.tenant, id, by=context.caller)
    return redirect(context, "/tokens", gettext("{name} is revoked", name=token.name or gettext("Token")))


async def _page(
    context: PageContext,
    *,
    error: CrmError | None = None,
    created: NewToken | None = None,
    name: str = "",
    days: str = "90",
    scopes: Collection[str] = (),
) -> Response:
    found = await context.services.tokens.overview(context.tenant)
    active = [token for token in found if token.state == "active"]
    ended = len(found) - len(active)
    every = request.args.get("ended") == "true"
    listed = sorted(found if every else active, key=lambda one: one.last_used_at or one.created_at, reverse=True)
    errors = {finding.pointer.split("/")[1]: localized(finding.message) for finding in error.errors} if error else {}
    records, columns = tuple(_records(context, scopes)), tuple(map(gettext, _ACTIONS.values()))
    sync = tuple(_box(context, scope, gettext(label), scopes) for scope, label in _SYNC.items())
    other = PageLink(
        "?" if every else "?ended=true",
        gettext("Hide ended tokens") if every else gettext("Show {ended} ended", ended=ended),
    )
    view = PageView(
        "tokens.html",
        sub=gettext(
            "{active} active, {ended} ended · a token acts for the workspace, not for a person",
            active=len(active),
            ended=ended,
        ),
        notice=failure(
            gettext("The token was not created."), "" if errors else reason_in_words(context.workspace, error.detail)
        )
        if error
        else None,
        created=created,
        question=_question(context, active),
        rows=tuple([row async for row in _rows(context, listed)]),
        other=other if ended else None,
        fields=_fields(name, days, errors),
        columns=columns,
        records=records,
        sync=sync,
        scopes_error=errors.get("scopes", ""),
        locked=any(box.locked for row in (*records, ScopeRow("", sync)) for box in row.boxes),
    )
    return await page(context, "tokens", view, error.status if error else 200)


async def _rows(context: PageContext, listed: Iterable[TokenOverview]) -> AsyncIterator[TokenRow]:
    for token in listed:
        may_revoke = token.state == "active" and _may_give(context, token.scopes)
        yield TokenRow(
            name=token.name or gettext("No name"),
            scopes=token.scopes,
            used=context.formats.moment(token.last_used_at),
            expires=context.formats.moment(token.expires_at),
            mark=_mark(context, token),
            by=await context.names.actor(token.created_by),
            made=context.formats.moment(token.created_at),
            revoke=f"?revoke={token.id}" if may_revoke else "",
        )


def _mark(context: PageContext, token: TokenOverview) -> Mark | None:
    """A state that needs attention; None for a token that works for some time."""
    formats, now = context.formats, context.services.now()
    if token.state != "active":
        at = formats.moment(token.revoked_at or token.expires_at)
        day = at.short if at else ""
        ended = gettext("Revoked {day}", day=day) if token.state == "revoked" else gettext("Expired {day}", day=day)
        return Mark("bad", "x", ended)
    left = None if token.expires_at is None else from_wire(token.expires_at) - now
    if left is None or left > _SOON:
        return None
    text = ngettext("In {n} day", "In {n} days", left.days) if left.days else gettext("Today")
    return Mark("warn", "clock", text)


def _question(context: PageContext, active: Iterable[TokenOverview]) -> RevokeQuestion | None:
    """The question before a token is revoked, if the address names one that the user may revoke."""
    asked = next((token for token in active if token.id == request.args.get("revoke")), None)
    if asked is None or not _may_give(context, asked.scopes):
        return None
    used = context.formats.moment(asked.last_used_at)
    return RevokeQuestion(f"{context.root}/tokens/{asked.id}/revoke", asked.name or gettext("this token"), used)


def _fields(name: str, days: str, errors: Mapping[str, str]) -> tuple[Field, ...]:
    return (
        Field(
            name="name", label=gettext("Name"), value=name, required=True, longest=200, auto="off",
            error=errors.get("name", ""),
            hint=gettext("It shows as the author of its changes, for example ERP (API)."),
        ),
        Field(
            name="expires", label=gettext("Expires"), kind="select", value=days, error=errors.get("expires", ""),
            options=tuple(Option(value, gettext(text)) for value, text in _LIFETIMES.items()),
        ),
    )  # fmt: skip


def _records(context: PageContext, chosen: Collection[str]) -> Iterator[ScopeRow]:
    for name, record_type in context.services.registry.record_types.items():
        title = context.title_of(record_type)
        boxes = (
            _box(context, f"{name}:{action}", f"{title}: {gettext(word).lower()}", chosen)
            for action, word in _ACTIONS.items()
        )
        yield ScopeRow(title, tuple(boxes))


def _box(context: PageContext, scope: str, label: str, chosen: Collection[str]) -> ScopeBox:
    return ScopeBox(scope=scope, label=label, checked=scope in chosen, locked=not _may_give(context, (scope,)))


def _may_give(context: PageContext, scopes: Iterable[str]) -> bool:
    """Whether the user may create and revoke a token with these scopes."""
    try:
        require_may_give(scopes, context.caller, context.workspace.roles)
    except PermissionDenied:
        return False
    return True
