"""Sentences of the API with values in them that pages show too: recognized, and shown in the user's language.

Sentences without values need no entry: they are looked up as they are.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from crm_core.language.catalogue import gettext_noop

SENTENCES: Final = (
    gettext_noop("The plan includes {limit} users, and all are in use. Ask your operator to raise the limit."),
    gettext_noop("The plan includes {limit} {name}, and all are in use. Ask your operator to raise the limit."),
    gettext_noop("There are {number} active tokens, the most there can be. Revoke some first."),
    gettext_noop("The role {title} includes {keys}, which your role lacks. Ask an admin whose role includes it."),
    gettext_noop("The scope {scope} needs {key}, which your role lacks. Ask an admin whose role includes it."),
    gettext_noop("The plan of this workspace does not include {key}."),
    gettext_noop("Your role or assignment does not include {key}; an admin can change that."),
    gettext_noop("Your role does not include {key}; an admin can change that."),
)

_PLACE: Final = re.compile(r"\\{([a-z_]+)\\}")


@cache
def pattern_of(sentence: str) -> re.Pattern[str]:
    """What matches a sentence that is filled in, with a group for each of its values."""
    return re.compile(_PLACE.sub(r"(?P<\1>.+?)", re.escape(sentence)), re.DOTALL)
