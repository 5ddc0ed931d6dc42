"""Sentences of the API that pages show too: recognized in English, and shown in the user's language.

A name in braces matches any text. The text stays as it is, unless its name is in ``LOOKED_UP``. A sentence without one
needs no pattern: catalogues have it as it is written where it is said. Plugins have their sentences in theirs.
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
    gettext_noop("`{name}` must show something. Enter a text."),
    gettext_noop("This must be one of {choices}."),
    gettext_noop("This must be {what}."),
    gettext_noop("Unknown member. Known members: {known}."),
    gettext_noop("`{name}` is missing; add it."),
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
    gettext_noop("This tenant has no key of version {version}. Sign with expected_key of sync health."),
    gettext_noop("Enter a name of up to {number} characters."),
    gettext_noop("You have {number} views of this list. Remove one of them first."),
    gettext_noop("This would erase more than {number} records. Erase some of those that refer to it first."),
    gettext_noop("There is no record with this id in {type}. Create or restore it first."),
    gettext_noop(
        "{name} has this `{member}`, and no two records of the type may. Send another value, or change that record."
    ),
    gettext_noop("Item {number} names this record already. Send one of the two in another batch."),
    gettext_noop("The module {name} is not available here ({reason})."),
    gettext_noop("It offers {names}."),
    gettext_noop("Unknown payload type {name}. Known types: {known}."),
    gettext_noop("Send the body as {type}, in one Content-Type field."),
    gettext_noop("Send {type} in UTF-8."),
    gettext_noop("The body is over {limit} bytes; send less in one request."),
    gettext_noop("The request has headers of {names}. Send those of one scheme."),
    gettext_noop("The scheme {name} is not accepted for this tenant. Use {allowed}."),
    gettext_noop("The header {name} is missing; send every header of one signature scheme."),
    gettext_noop("The header {name} appears {number} times; send it once."),
    gettext_noop("No key of this tenant may be used with the scheme {name}."),
    gettext_noop("The key of version {version} is a {kind} key, which {name} cannot use. Use another scheme."),
    gettext_noop("The key of version {version} may not be used with the scheme {name}. Use {allowed}."),
    gettext_noop("The key of version {version} may not be used from this address."),
    gettext_noop("The key of version {version} may not push {section}; it may push {allowed}."),
    gettext_noop("The key of version {version} is {state}. Sign with expected_key of sync health."),
    gettext_noop("staged"),
    gettext_noop("expired"),
    gettext_noop("revoked"),
    gettext_noop(
        "The request's clock is {number} seconds {side} this server's. At most {behind} seconds behind and {ahead} "
        "ahead are accepted. Set the clock that is wrong."
    ),
    gettext_noop("The timestamp {number} looks like milliseconds. Send seconds."),
    gettext_noop("The signature expired at {number}, before it arrived. Sign again, with a later end."),
    gettext_noop("behind"),
    gettext_noop(
        "Key version {version} has signed pushes with later timestamps, whose nonces have been forgotten: this request "
        "could be a replay. If the clocks were ahead then and are right now, ask the operator to rotate the key: crm "
        "keys rotate {tenant}."
    ),
    gettext_noop("Request {id} already used this nonce. Sign again with a new one."),
    gettext_noop(
        "Request {id} already used this nonce and was accepted. If you sent it again, nothing is left to do. Sign a "
        "new push with a new nonce."
    ),
    gettext_noop("A repeat of request {id}, which was accepted; nothing was changed."),
    gettext_noop("The body is not UTF-8: byte {at} does not fit."),
    gettext_noop("The body is not JSON: {problem} at character {at}."),
    gettext_noop("The body nests deeper than {number} levels."),
    gettext_noop("The member {name} appears twice in one object; send it once."),
    gettext_noop("Send a whole number from 1 to {most}."),
    gettext_noop("Send text of up to {most} characters."),
    gettext_noop("The scheme {name} does not sign the instance. Add instance to the body."),
    gettext_noop("Request {id} sent this exact body before. There is nothing left to do."),
    gettext_noop("The version must exceed {highest}, the highest accepted; it is {version}. Send a higher one."),
    gettext_noop("The push contains no section. Send at least one of {known}."),
    gettext_noop("Unknown section. Known sections: {known}."),
    gettext_noop("Unknown section {name}. Known sections: {known}."),
    gettext_noop("More errors follow. Fix the first {number}."),
    gettext_noop(
        "The catalog no longer has the module `{name}`, so this has no effect. Add it to modules.yaml, or push without "
        "it."
    ),
    gettext_noop("The module {name} is removed; its {number} records stay and return with it."),
    gettext_noop(
        "The sections {winner} and {loser} give different values for {place}; that of {winner} applies, since what "
        "denies wins, else the first by name. Push one of them without it."
    ),
    gettext_noop("The section {section} names {names}, unknown to {file}. Add it there, or push {section} without it."),
    gettext_noop(
        "The section {section} is stored, but no plugin brings its payload type. Its data stays stored. Install or "
        "enable the plugin."
    ),
    gettext_noop(
        "The plugin {name} cannot read the stored section {place}: {problem} Push the section whole (strategy "
        "replace), restore a revision, or install a version of the plugin that reads it."
    ),
    gettext_noop("It was stored with schema version {version}, and the plugin reads up to {present}."),
    gettext_noop("Its method {name} failed."),
    gettext_noop("The history of {section} has no revision {revision}. Its list shows the stored ones."),
    gettext_noop("The payload type can no longer read this revision. {problem} Restore a newer one."),
    gettext_noop("The URL is longer than {most} characters; shorten it."),
    gettext_noop("{problem} The last one failed with {code}."),
    gettext_noop("{section}, member {member}"),
    gettext_noop("{name} is not a JSON number."),
    gettext_noop("{names} changed, so the stored secret is not used. Push the section with its secret."),
    gettext_noop("{name} must be a number of at most {most} plain digits, without sign or leading zero."),
    gettext_noop("a password of {least} to {most} characters"),
    gettext_noop("text"),
    gettext_noop("{number} days"),
    gettext_noop("{number} hours"),
    gettext_noop("{number} minutes"),
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
