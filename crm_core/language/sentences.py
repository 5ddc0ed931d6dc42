"""Sentences of the API that pages show too: recognized in English, and shown in the user's language.

A place in braces matches any text; it stays as it is, only ``{what}`` is looked up as well.
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
    gettext_noop("The subscription is suspended: records can be read, not written."),
    gettext_noop("The current password is wrong."),
    gettext_noop("Too many people are signing in right now. Try again in a second."),
    gettext_noop("Too many failed sign-ins for this account or from this address. Wait, then try again."),
    gettext_noop("This link was used, has expired, or is incomplete. Request a new one."),
    gettext_noop("Only a super admin can make or change a super admin. Ask one."),
    gettext_noop("Someone else changed this user. Read it again, then repeat your change."),
    gettext_noop("Someone else changed this user at the same time. Send the request again."),
    gettext_noop("This is the last super admin who can sign in. Make another one first."),
    gettext_noop("Another user has this email address. Enter a different one."),
    gettext_noop("The password must not be the email address."),
    gettext_noop("There is no user with this id."),
    gettext_noop("There is no record with this id."),
    gettext_noop("This record is archived. Restore it to change it."),
    gettext_noop("`{name}` must show something. Enter a text."),
    gettext_noop("This must be the id of a record."),
    gettext_noop("This must be one of {choices}."),
    gettext_noop("This must be {what}."),
    gettext_noop("This value does not fit."),
    gettext_noop("Unknown member. Known members: {known}."),
    gettext_noop("`{name}` is missing; add it."),
    gettext_noop("The receiver is off for the whole instance: sync.enabled is false in instance.yaml."),
    gettext_noop("The receiver is off for this tenant: it has no entry in keys.yaml, or one that says sync: disabled."),
    gettext_noop("No key is active now, so every push is refused. Add a key to keys.yaml, or fix the dates of one."),
    gettext_noop("The last {number} verified pushes all failed ({codes}). See the sync log for the reasons."),
    gettext_noop(
        "There are records of the type {type}, which no plugin brings. They stay stored. Install or enable it."
    ),
    gettext_noop("A push is expected every {span}, but none was accepted yet."),
    gettext_noop("A push is expected every {span}; the last was accepted {age} ago."),
    gettext_noop("text of 1 to 200 characters on one line"),
    gettext_noop("text of up to 2,000 characters, no control characters"),
    gettext_noop("text of up to 10,000 characters, no control characters"),
    gettext_noop("an email address such as info@example.com"),
    gettext_noop("a telephone number such as +49 30 1234-56 ext. 7, up to 40 characters with a digit among them"),
    gettext_noop("an ISO 4217 code such as EUR"),
    gettext_noop("a date such as 2026-11-24"),
    gettext_noop("a password of {least} to {most} characters"),
)

_PLACE: Final = re.compile(r"\\{([a-z_]+)\\}")


@cache
def pattern_of(sentence: str) -> re.Pattern[str]:
    """What matches a sentence that is filled in, with a group for each of its values."""
    return re.compile(_PLACE.sub(r"(?P<\1>.+?)", re.escape(sentence)), re.DOTALL)
