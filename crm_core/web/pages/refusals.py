"""Refusals as pages: what is not possible, why, who can change it, and a link that leads on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec
from quart import Response

from crm_core.errors import CrmError, ModuleUnavailable, ServerError
from crm_core.web.framework import current_request
from crm_core.web.pages.page_answers import page
from crm_core.web.pages.unsaved import UnsavedInput

if TYPE_CHECKING:
    from crm_core.web.pages.anonymous_context import AnonymousContext
    from crm_core.web.pages.page_context import PageContext


class RefusalView(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal for its page. ``unsaved``: the input that it refused; ``next_step``: what to do before it is saved."""

    title: str
    text: str
    icon: str
    code: str
    request_id: str
    unsaved: UnsavedInput | None = None
    next_step: str = ""


_TITLES: Final[Mapping[str, tuple[str, str]]] = {
    "module_unavailable": ("This module is not part of your workspace", "lock"),
    "feature_unavailable": ("Your plan does not include this", "lock"),
    "permission_denied": ("You do not have permission", "lock"),
    "subscription_suspended": ("Your subscription is suspended", "pause"),
    "limit_reached": ("You have reached a limit of your plan", "lock"),
    "not_unique": ("Another record has this value", "info"),
    "csrf_failed": ("This form has expired", "clock"),
    "unauthenticated": ("You are signed out", "lock"),
    "not_found": ("Not found", "search"),
    "invalid_parameter": ("This address is not valid", "search"),
    "unknown_parameter": ("This address is not valid", "search"),
    "invalid_cursor": ("This page of the list has expired", "clock"),
    "storage_unavailable": ("Changes cannot be saved at the moment", "alert"),
    "storage_full": ("The storage is full", "alert"),
    "payload_too_large": ("This form is too long", "alert"),
}
_NEXT_STEPS: Final[Mapping[str, str]] = {
    "csrf_failed": "Check it and save it again.",
    "unauthenticated": "Sign in in a new tab, then save it again here.",
    "not_found": "The record no longer exists. Copy your input if you need it.",
    "storage_unavailable": "Wait a moment, then save it again.",
}
_REASONS: Final[Mapping[str, str]] = {
    "disabled": "Your platform operator has disabled it.",
    "not_in_plan": "Your plan does not include it.",
    "not_in_catalog": "This instance does not have it.",
    "section_unreadable": "The settings of your workspace cannot be read. Your platform operator can push them again.",
}


async def refusal(context: PageContext, error: CrmError, unsaved: UnsavedInput | None = None) -> Response:
    """The page of a refusal, with its own status and the input that it refused."""
    return await page(context, "refusal.html", "", described(error, unsaved), error.status)


def anonymous_refusal(context: AnonymousContext, error: CrmError, unsaved: UnsavedInput | None = None) -> Response:
    """The page of a refusal without a signed-in user."""
    return context.page("anonymous_refusal.html", described(error, unsaved), error.status)


def described(error: CrmError, unsaved: UnsavedInput | None = None) -> RefusalView:
    """The texts of a refusal's page."""
    title, icon = _TITLES.get(error.code, (error.title, "alert" if isinstance(error, ServerError) else "info"))
    return RefusalView(
        title=title,
        text=_text(error),
        icon=icon,
        code=error.code,
        request_id=current_request().request_id,
        unsaved=unsaved,
        next_step=_NEXT_STEPS.get(
            error.code, "Once an admin or your platform operator has changed that, save it again."
        ),
    )


def _text(error: CrmError) -> str:
    if isinstance(error, ModuleUnavailable):
        return reason_text(str(error.evidence.get("reason"))) + " Its data is not lost."
    if error.code == "csrf_failed":
        return "Nothing was changed. Go back, reload the page and try again."
    if error.code == "unauthenticated":
        return "Your sign-in has ended, so nothing was changed."
    if error.code == "not_unique":
        return "Nothing was changed. Change the other record first, or enter another value."
    if error.code == "invalid_cursor":
        return "Open the list again from its first page."
    return error.detail


def reason_text(reason: str) -> str:
    """Why a module is not available, in a sentence."""
    kind, _, needed = reason.partition(":")
    if kind == "requires":
        return f"It needs {needed}, which is not available."
    return _REASONS.get(kind, "It is currently not available.")
