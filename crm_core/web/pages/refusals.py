"""Refusals as pages: what is not possible, why, who can change it, and a link that leads on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from crm_core.errors import CrmError, ModuleUnavailable, ServerError, StorageUnavailable
from crm_core.language import gettext, gettext_noop
from crm_core.web.pages.anonymous_context import AnonymousContext
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.layout.frame import title_of
from crm_core.web.pages.layout.parts import PageLink
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.layout.rights import reason_in_words
from crm_core.web.pages.page_answers import page
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.tenant_context import TenantContext
from crm_core.web.pages.unavailable import unavailable
from crm_core.web.pages.unsaved import UnsavedInput
from crm_core.workspace import Workspace

_TITLES: Final[Mapping[str, tuple[str, str]]] = {
    "module_unavailable": (gettext_noop("This module is not part of your workspace"), "lock"),
    "feature_unavailable": (gettext_noop("Your plan does not include this"), "lock"),
    "permission_denied": (gettext_noop("You do not have permission"), "lock"),
    "subscription_suspended": (gettext_noop("Your subscription is suspended"), "pause"),
    "limit_reached": (gettext_noop("You have reached a limit of your plan"), "lock"),
    "not_unique": (gettext_noop("Another record has this value"), "info"),
    "csrf_failed": (gettext_noop("This form has expired"), "clock"),
    "unauthenticated": (gettext_noop("You are signed out"), "lock"),
    "not_found": (gettext_noop("Not found"), "search"),
    "invalid_parameter": (gettext_noop("This address is not valid"), "search"),
    "unknown_parameter": (gettext_noop("This address is not valid"), "search"),
    "invalid_cursor": (gettext_noop("This page of the list has expired"), "clock"),
    "storage_full": (gettext_noop("The storage is full"), "alert"),
    "payload_too_large": (gettext_noop("This form is too long"), "alert"),
}
_NEXT_STEPS: Final[Mapping[str, str]] = {
    "csrf_failed": gettext_noop("Check it and save it again."),
    "unauthenticated": gettext_noop("Sign in in a new tab, then save it again here."),
    "not_found": gettext_noop("The record no longer exists. Copy your input if you need it."),
    "storage_unavailable": gettext_noop("Wait a moment, then save it again."),
}
_OF_LISTS: Final = ("invalid_parameter", "unknown_parameter", "invalid_cursor")
_NO_RECORD: Final = "There is no record with this id."  # as the API says it
_ONCE_CHANGED: Final = gettext_noop("Once an admin or your platform operator has changed that, save it again.")
_REASONS: Final[Mapping[str, str]] = {
    "disabled": gettext_noop("Your platform operator has disabled it."),
    "not_in_plan": gettext_noop("Your plan does not include it."),
    "not_in_catalog": gettext_noop("This instance does not have it."),
    "section_unreadable": gettext_noop(
        "The settings of your workspace cannot be read. Your platform operator can push them again."
    ),
}


async def refusal(context: PageContext, error: CrmError, unsaved: UnsavedInput | None = None) -> Response:
    """The page of a refusal, with its own status and the input that it refused."""
    (title, icon), text, module = _headed(error), _text(context, error), ""
    away = PageLink(f"{context.root}/", gettext("Go to the dashboard"))
    if error.detail == _NO_RECORD:
        text = gettext("This record does not exist, or it has been erased.")
    if error.detail == _NO_RECORD or error.code in _OF_LISTS:
        name = request.sent.path.removeprefix(f"{context.root}/").partition("/")[0]
        if record_type := context.services.registry.record_types.get(name):
            module = name
            back = gettext("Back to {title}", title=context.title_of(record_type))
            away = PageLink(f"{context.root}/{name}", back)
    elif error.code == "revision_mismatch":
        away = PageLink(request.sent.path.rpartition("/")[0], gettext("Look at it again"))
    view = PageView(
        "refusal.html",
        title=title,
        text=text,
        icon=icon,
        away=away,
        code=error.code,
        request_id=request.sent.request_id,
        unsaved=unsaved,
        next_step=_next_step(error),
        again=error.detail != _NO_RECORD,
    )
    return await page(context, module, view, error.status)


def anonymous_refusal(context: AnonymousContext, error: CrmError, unsaved: UnsavedInput | None = None) -> Response:
    """The page of a refusal without a signed-in user."""
    view = PageView(
        "anonymous_refusal.html",
        title=_headed(error)[0],
        text=_text(context, error),
        away=None if unsaved else PageLink(f"{context.root}/login", gettext("Sign in")),
        code=error.code,
        request_id=request.sent.request_id,
        unsaved=unsaved,
        next_step=_next_step(error),
        again=True,
    )
    return context.page(view, error.status)


def _headed(error: CrmError) -> tuple[str, str]:
    """Title and icon of a refusal."""
    title, icon = _TITLES.get(error.code, (error.title, "alert" if isinstance(error, ServerError) else "info"))
    return gettext(unavailable().title if isinstance(error, StorageUnavailable) else title), icon


def _next_step(error: CrmError) -> str:
    """What to do before the input is saved again."""
    return gettext(_NEXT_STEPS.get(error.code, _ONCE_CHANGED))


def _text(context: TenantContext, error: CrmError) -> str:
    if isinstance(error, ModuleUnavailable):
        reason = reason_text(context.workspace, str(error.evidence.get("reason")))
        return reason + " " + gettext("Its data is not lost.")
    if error.code == "csrf_failed":
        return gettext("Nothing was changed. Go back, reload the page and try again.")
    if error.code == "unauthenticated":
        return gettext("Your sign-in has ended, so nothing was changed.")
    if error.code == "not_unique":
        return gettext("Nothing was changed. Change the other record first, or enter another value.")
    if error.code == "invalid_cursor":
        return gettext("Open the list again from its first page.")
    return reason_in_words(context.workspace, error.detail)


def reason_text(workspace: Workspace, reason: str) -> str:
    """Why a module is not available, in a sentence."""
    kind, _, needed = reason.partition(":")
    if kind == "requires":
        state = workspace.modules.states.get(needed)
        return gettext("It needs {needed}, which is not available.", needed=title_of(state) if state else needed)
    return gettext(_REASONS.get(kind, gettext_noop("It is currently not available.")))
