"""Sentences of the API that pages show too: recognized in English, and shown in the user's language.

A name in braces matches any text. The text stays as it is, unless its name is in ``LOOKED_UP``. Plugins have their
sentences in their catalogues.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from crm_core.language.catalogue import gettext_noop
from crm_core.language.push_sentences import PUSH_SENTENCES

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
    gettext_noop("This number is too large. Enter a smaller one."),
    gettext_noop("This must be the id of a record."),
    gettext_noop("This must be one of {choices}."),
    gettext_noop("This must be {what}."),
    gettext_noop("This value does not fit."),
    gettext_noop("This value does not fit; see the documentation."),
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
    gettext_noop("The newest edit of {name} was not loaded; the version before it is in effect: {problem}"),
    gettext_noop("{places}: the operator's log and crm config check say why"),
    gettext_noop(
        "This server's clock has stepped back: it is behind its own log. Check its time service. If the clock was "
        "ahead before and is right now, pushes with the keys used meanwhile are refused as possible replays: give the "
        "platform a new key with crm keys rotate {tenant}."
    ),
    gettext_noop(
        "The newest {number} attempts had signatures that do not match {keys}, and none was verified since. If they "
        "are the platform's, compare the key's fingerprint on both sides, or find the cause with crm explain."
    ),
    gettext_noop(
        "The newest {number} signed attempts failed verification, and none has passed since. If they are the "
        "platform's, this is why: {what}"
    ),
    gettext_noop(
        "The signature was not made with this key over these bytes. Check the bytes of the key, and that you send what "
        "you sign. crm explain finds the cause."
    ),
    gettext_noop("The request is not signed. Send the headers of one signature scheme."),
    gettext_noop("This tenant has no key of version {version}. Sign with expected_key of sync health."),
    gettext_noop("No key of this tenant is active now."),
    gettext_noop("The body names another tenant than the address."),
    gettext_noop("The data is not valid. See errors for every place and its fix."),
    gettext_noop("The record is not valid. `errors` lists every problem."),
    gettext_noop("The user is not valid. `errors` lists every problem."),
    gettext_noop("This user is being changed by others right now. Send the request again."),
    gettext_noop("This token is being changed by others right now. Send the request again."),
    gettext_noop("Your account was changed at the same time. Send the request again."),
    gettext_noop("There is no token with this id. `crm token list` shows the existing ones."),
    gettext_noop("Too many people are signing in to this account. Try again."),
    gettext_noop("The server has too few threads right now. Try again."),
    gettext_noop("Too many others are writing right now. Send the request again."),
    gettext_noop("The connection to the storage broke. Read the record, then send the request again."),
    gettext_noop("The connection to the storage broke during the write. Check whether it was done, then repeat it."),
    gettext_noop("The name must be up to 200 printable characters on one line."),
    gettext_noop("The expiry is in the past. Enter a later time."),
    gettext_noop("Enter a name of up to {number} characters."),
    gettext_noop("This view has too many filters. Remove some of them."),
    gettext_noop("You have {number} views of this list. Remove one of them first."),
    gettext_noop("Someone else changed this record. Read it, merge, and send its new revision."),
    gettext_noop("There is no such record, so it has no revision that could match."),
    gettext_noop("This would erase more than {number} records. Erase some of those that refer to it first."),
    gettext_noop("Other records refer to this one, archived ones included. Erase them first, or send cascade=true."),
    gettext_noop("There is no record with this id in {type}. Create or restore it first."),
    gettext_noop("Another record of this type has this external id. Use PUT to update that one."),
    gettext_noop(
        "{name} has this `{member}`, and no two records of the type may. Send another value, or change that record."
    ),
    gettext_noop("Item {number} names this record already. Send one of the two in another batch."),
    gettext_noop("There is no record with this id. Leave `id` out to create one."),
    gettext_noop("The module {name} is not available here ({reason})."),
    gettext_noop("The name server did not answer in time."),
    gettext_noop("It offers STARTTLS."),
    gettext_noop("It offers no sign-in at all."),
    gettext_noop("It offers {names}."),
    *PUSH_SENTENCES,
    gettext_noop("text of 1 to 200 characters on one line"),
    gettext_noop("text of up to 2,000 characters, no control characters"),
    gettext_noop("text of up to 10,000 characters, no control characters"),
    gettext_noop("an email address such as info@example.com"),
    gettext_noop("a telephone number such as +49 30 1234-56 ext. 7, up to 40 characters with a digit among them"),
    gettext_noop("an ISO 4217 code such as EUR"),
    gettext_noop('an amount as text such as "1250.00", up to 12 digits before the point and 4 behind it'),
    gettext_noop("a time with its zone such as 2026-11-24T02:00:00Z"),
    gettext_noop("the id of a record, a UUID in lower case"),
    gettext_noop("a list of up to 50 texts"),
    gettext_noop("1 to 64 letters, digits, `_.-`"),
    gettext_noop("an object of up to 100 members, their names of 1 to 64 letters, digits, `_.-`"),
    gettext_noop("a text of up to 2,000 characters, a number (integers up to 2^53-1), true or false"),
    gettext_noop("a date such as 2026-11-24"),
    gettext_noop("a password of {least} to {most} characters"),
    gettext_noop("text"),
    gettext_noop("a whole number"),
    gettext_noop("a number"),
    gettext_noop("an object"),
    gettext_noop("a list"),
    gettext_noop("a whole number, 0 or more"),
    gettext_noop("the name of a module"),
    gettext_noop("a feature key such as customers.create"),
    gettext_noop("a feature key, or customers.* for all of a module"),
    gettext_noop("a feature key, customers.* for all of a module, or *.view for an action of all modules"),
    gettext_noop("an icon name of A-Z a-z 0-9 _ and -"),
    gettext_noop("a time in UTC such as 2027-01-31T00:00:00Z"),
    gettext_noop("a BCP 47 language tag such as en-GB"),
    gettext_noop("an IANA time zone such as Europe/Berlin"),
    gettext_noop("a date pattern such as YYYY-MM-DD"),
    gettext_noop("a time of day such as 09:30"),
    gettext_noop("a host name or address, without a scheme or a port"),
    gettext_noop("a port from 1 to 65535"),
    gettext_noop("whole seconds from 1 to 300"),
    gettext_noop("text of 1 to 1,000 characters, no control characters"),
    gettext_noop("an https URL of up to 2,048 characters"),
    gettext_noop("an https URL or a data:image of up to 64 KiB"),
    gettext_noop("a color, exactly #rrggbb"),
    gettext_noop("1 day"),
    gettext_noop("{number} days"),
    gettext_noop("1 hour"),
    gettext_noop("{number} hours"),
    gettext_noop("1 minute"),
    gettext_noop("{number} minutes"),
    gettext_noop("1 second"),
    gettext_noop("{number} seconds"),
)
EXPECTATIONS: Final = (
    gettext_noop("true"),
    gettext_noop("false"),
    gettext_noop("null"),
    gettext_noop("text of at least 1 character"),
    gettext_noop("text of at most 1 character"),
    gettext_noop("text of at least {number} characters"),
    gettext_noop("text of at most {number} characters"),
    gettext_noop("a list of at least 1 item"),
    gettext_noop("a list of at most 1 item"),
    gettext_noop("a list of at least {number} items"),
    gettext_noop("a list of at most {number} items"),
    gettext_noop("an object of at least 1 member"),
    gettext_noop("an object of at most 1 member"),
    gettext_noop("an object of at least {number} members"),
    gettext_noop("an object of at most {number} members"),
    gettext_noop("{what} of at least {number}"),
    gettext_noop("{what} of at most {number}"),
    gettext_noop("{what} or {other}"),
    gettext_noop("{what}, {other}"),
)
"""Expectations of ``crm_core.model.fields``, composed of a kind, its limits and others that fit too."""
LOOKED_UP: Final = frozenset({"what", "other", "span", "age", "side", "state", "problem", "place", "why"})
NEEDED: Final = frozenset({"what", "other"})
"""Values without which a sentence stays English, or it would be half translated."""

_PLACE: Final = re.compile(r"\\{([a-z_]+)\\}")


@cache
def pattern_of(sentence: str) -> re.Pattern[str]:
    """A pattern that matches the filled-in sentence, with a group for each value."""
    seen: set[str] = set()

    def group(match: re.Match[str]) -> str:
        name = match[1]
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return f"(?P<{name}>.+?)"

    return re.compile(_PLACE.sub(group, re.escape(sentence)), re.DOTALL)
