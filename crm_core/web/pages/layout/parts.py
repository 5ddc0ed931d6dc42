"""Small values that several pages show: links, facts, states, options, notices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Option(NamedTuple):
    """An option of a select."""

    value: str
    text: str


@dataclass(frozen=True, slots=True)
class PageLink:
    """A way on."""

    href: str
    text: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact with its name; ``code``: shown as code."""

    name: str
    text: str
    code: bool = False


class Mark(NamedTuple):
    """A state: its tone, icon and word, always all three."""

    tone: str
    icon: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLinks:
    """Ways to the neighbouring pages, empty where there are none."""

    previous: str
    next: str
    back: str = "Previous"
    forth: str = "Next"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageNotice:
    """Something to say at the head of a page; ``href`` and ``link`` lead on."""

    tone: str
    icon: str
    title: str
    text: str = ""
    href: str = ""
    link: str = ""
