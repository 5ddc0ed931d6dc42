"""The sentences of a page for which the store does not answer, by the act that the browser's request wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from crm_core.language import gettext, gettext_noop
from crm_core.web.pages.browser import request


class Unavailable(NamedTuple):
    """A refused act, and what to do; ``page``: the page that leads on, the one of the request itself if it is None."""

    title: str
    text: str
    page: str | None = None


_READING: Final = Unavailable(
    gettext_noop("This page cannot be shown at the moment"),
    gettext_noop(
        "Its data cannot be read now. Try again in a moment. If it stays like this, contact your platform operator."
    ),
)
_WRITING: Final = Unavailable(
    gettext_noop("Changes cannot be saved at the moment"),
    gettext_noop("Go back to your input, wait a moment, then save it again."),
    "",
)
_FORMS: Final[Mapping[str, Unavailable]] = {
    "login": Unavailable(
        gettext_noop("You cannot sign in at the moment"),
        gettext_noop(
            "Your email address and password are not checked yet. Wait a moment, then sign in again. "
            "If it stays like this, contact your platform operator."
        ),
        "/login",
    ),
    "logout": Unavailable(
        gettext_noop("You are still signed in"),
        gettext_noop("Your sign-in cannot be ended at the moment. Go back, wait a moment, then sign out again."),
        "/",
    ),
    "forgot": Unavailable(
        gettext_noop("No link can be sent at the moment"),
        gettext_noop("Wait a moment, then request it again."),
        "/forgot",
    ),
}
"""Of forms that save no record, by the end of their address."""


def unavailable() -> Unavailable:
    """The sentences for the current request, to be translated; the empty page is what the browser still has."""
    sent = request.sent
    if sent.method != "POST":
        return _READING
    return _FORMS.get(sent.path.rpartition("/")[2], _WRITING)


def input_stays() -> tuple[str, str]:
    """Title and text of a form whose input was not saved and is shown again."""
    text = gettext("Your input stays here. Save it again in a moment, or contact your platform operator.")
    return f"{gettext(_WRITING.title)}.", text
