"""Small values that several pages show: links, facts, states, options, notices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

import msgspec

from crm_core.language import gettext


class Option(NamedTuple):
    """An option of a select."""

    value: str
    text: str


class PageLink(msgspec.Struct, frozen=True):
    """A link."""

    href: str
    text: str


def with_query(path: str, parameters: Mapping[str, str]) -> str:
    """The address of a page with these parameters; without a question mark if there are none."""
    return f"{path}?{urlencode(parameters)}" if parameters else path


class PeriodLink(msgspec.Struct, frozen=True):
    """A period that a page can show."""

    href: str
    text: str
    current: bool


class Fact(msgspec.Struct, frozen=True):
    """A fact with its name; ``code``: shown as code."""

    name: str
    text: str
    code: bool = False


class Mark(NamedTuple):
    """A state: its tone, icon and word, always all three."""

    tone: str
    icon: str
    text: str

    @property
    def translated(self) -> Mark:
        """A constant with its word in the current language."""
        return self._replace(text=gettext(self.text))


class PageLinks(msgspec.Struct, frozen=True, kw_only=True):
    """Links to the neighboring pages, empty if there is none. ``back`` and ``forth``: their texts if not the usual."""

    previous: str
    next: str
    back: str = ""
    forth: str = ""


class PageNotice(msgspec.Struct, frozen=True, kw_only=True):
    """A notice at the head of a page; ``href`` and ``link`` lead on, in a new tab if ``apart``."""

    tone: str
    icon: str
    title: str
    text: str = ""
    href: str = ""
    link: str = ""
    apart: bool = False


def failure(title: str, text: str = "") -> PageNotice:
    """The notice that something was not done."""
    return PageNotice(tone="bad", icon="alert", title=title, text=text)
