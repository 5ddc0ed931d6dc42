"""The language of pages and emails: sentences are written in English and looked up in a catalogue where they are shown.

``current`` looks up messages, ``catalogue`` reads a file of messages, ``languages`` finds all files.
The API, logs and commands stay English.
"""

from __future__ import annotations

from crm_core.language.catalogue import ENGLISH, Language, gettext_noop
from crm_core.language.current import (
    current,
    gettext,
    label_of,
    localized,
    ngettext,
    noun,
    set_language,
    single_periods,
    using_language,
)
from crm_core.language.languages import Languages

__all__ = [
    "ENGLISH",
    "Language",
    "Languages",
    "current",
    "gettext",
    "gettext_noop",
    "label_of",
    "localized",
    "ngettext",
    "noun",
    "set_language",
    "single_periods",
    "using_language",
]
