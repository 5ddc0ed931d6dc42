"""Sentences on refused pushes and warnings, which the sync console shows in the user's language."""

from __future__ import annotations

from typing import Final

from crm_core.language.catalogue import gettext_noop

PUSH_SENTENCES: Final = (
    gettext_noop("Unknown payload type {name}. Known types: {known}."),
    gettext_noop("This instance accepts no pushes: sync.enabled is false in instance.yaml."),
    gettext_noop("This tenant accepts no pushes: its entry in keys.yaml is missing or says sync: disabled."),
    gettext_noop("Send the body as {type}, in one Content-Type field."),
    gettext_noop("Send {type} in UTF-8."),
    gettext_noop("Send the body without Content-Encoding."),
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
    gettext_noop("ahead of"),
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
    gettext_noop("Too many attempts from this address failed verification. Wait, then send the request again."),
    gettext_noop("A repeat of request {id}, which was accepted; nothing was changed."),
    gettext_noop("The body is not UTF-8: byte {at} does not fit."),
    gettext_noop("The body begins with a byte order mark; leave it out."),
    gettext_noop("The body is not JSON: {problem} at character {at}."),
    gettext_noop("The body is empty. Send JSON."),
    gettext_noop("The body nests deeper than {number} levels."),
    gettext_noop("The body must be a JSON object."),
    gettext_noop("The member {name} appears twice in one object; send it once."),
    gettext_noop("A number is too large for a double."),
    gettext_noop("A text contains U+0000, which cannot be stored; leave it out."),
    gettext_noop("A text contains half a surrogate pair, which is no character; send both halves or none."),
    gettext_noop("The envelope does not fit; see errors."),
    gettext_noop("Name the tenant in text, as in the address."),
    gettext_noop("Name the instance in text, as in the address."),
    gettext_noop("Name the payload type in text, as in the address."),
    gettext_noop("Send a whole number from 1 to {most}."),
    gettext_noop("Send an object."),
    gettext_noop("Send apply or preview."),
    gettext_noop("Send replace or merge."),
    gettext_noop("Send an RFC 3339 time in UTC, such as 2026-11-24T02:00:00Z."),
    gettext_noop("Send text of up to {most} characters."),
    gettext_noop("The scheme {name} does not sign the instance. Add instance to the body."),
    gettext_noop("The body names another instance than the address."),
    gettext_noop("The body names another payload type than the address."),
    gettext_noop("Request {id} sent this exact body before. There is nothing left to do."),
    gettext_noop("The version must exceed {highest}, the highest accepted; it is {version}. Send a higher one."),
    gettext_noop("The push contains no section. Send at least one of {known}."),
    gettext_noop("Unknown section. Known sections: {known}."),
    gettext_noop("Unknown section {name}. Known sections: {known}."),
    gettext_noop("Unknown member."),
    gettext_noop("This member is missing; add it."),
    gettext_noop("This value has the wrong type."),
    gettext_noop("This value is not valid."),
    gettext_noop("More errors follow."),
    gettext_noop("More errors follow. Fix the first {number}."),
    gettext_noop("This number is beyond 2^53 - 1. Send it as text."),
    gettext_noop(
        "The stored section cannot be read by the present version of its payload type, so nothing can be merged into "
        "it. Send the whole section with strategy replace."
    ),
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
    gettext_noop("It is a secret now, and was stored when it was none."),
    gettext_noop("Its method {name} failed."),
    gettext_noop(
        "A stored secret cannot be opened: the instance's secret_key has changed. Put the old one back as a further "
        "item of the list, or push the secret again."
    ),
    gettext_noop("The history of {section} has no revision {revision}. Its list shows the stored ones."),
    gettext_noop("The payload type can no longer read this revision. {problem} Restore a newer one."),
    gettext_noop("The URL is longer than {most} characters; shorten it."),
    gettext_noop("The URL contains a character that is not allowed in URLs; percent-encode it."),
    gettext_noop("The URL must begin with https:// and a host name."),
    gettext_noop("The host name of the URL is not valid; write it as people type it, or in its xn-- form."),
    gettext_noop("The URL must not contain a user name or password; leave out the part before the @."),
    gettext_noop("This is not a URL; write it like https://example.com/path."),
    gettext_noop("The sync log has no entry with this id. List the log to see its ids."),
    gettext_noop("Too many pushes at the same time. Send this one again."),
    gettext_noop("Too many changes at the same time. Try again."),
    gettext_noop("The store did not answer. Send the same request again."),
    gettext_noop("{problem} The last one failed with {code}."),
    gettext_noop("{section}, member {member}"),
    gettext_noop("{name} is not a JSON number."),
    gettext_noop("{names} changed, so the stored secret is not used. Push the section with its secret."),
    gettext_noop("{name} must be a number of at most {most} plain digits, without sign or leading zero."),
)
