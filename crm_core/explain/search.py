"""The search for the causes of a wrong signature.

Schemes sign by HMAC-SHA256 (RFC 2104) over a text that they can show. So a guess is a key and a text, and it is right
if its MAC is in the request's signature headers. Single causes are tried before pairs.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from datetime import datetime
from itertools import islice

import msgspec

from crm_core.errors import CrmError
from crm_core.explain.addresses import AddressNames, other_addresses
from crm_core.explain.bodies import other_bodies
from crm_core.explain.cause import Cause
from crm_core.explain.keys import other_secrets
from crm_core.explain.texts import other_texts, spellings
from crm_core.model.keys import Key, Roster
from crm_core.plugin.scheme_calls import SchemeCalls
from crm_core.plugin.signature import Presented, SignatureScheme, SignedRequest

_MOST_PAIRED = 400  # guesses of one kind that are combined with those of another
_MOST_SECRETS = 5000  # of all tenants

Guessed = tuple[tuple[Cause, ...], bytes]


class Search(msgspec.Struct, frozen=True):
    """One request's signature. ``keys``: those that it could mean, in any state, of a kind that the scheme verifies."""

    calls: SchemeCalls
    scheme: SignatureScheme
    request: SignedRequest
    presented: Presented
    keys: tuple[Key, ...]

    def causes(self, roster: Roster, names: AddressNames, now: datetime) -> tuple[Cause, ...] | None:
        """The fewest causes that explain the signature: empty if it is right, None if no cause is found."""
        keys = tuple(key for key in self.keys if key.kind == "secret")
        secrets: list[Guessed] = [((), key.material) for key in keys]
        others = other_secrets(roster, self.request.tenant, keys, now)
        secrets += [((cause,), secret) for cause, secret in islice(others, _MOST_SECRETS)]
        texts = list(self._texts(names))
        plain_secrets, plain_texts = secrets[: len(keys)], texts[:1]
        pairs = (texts[:_MOST_PAIRED], secrets[:_MOST_PAIRED])
        for guesses in ((plain_texts, plain_secrets), (texts, plain_secrets), (plain_texts, secrets), pairs):
            causes = self._first(*guesses)
            if causes is not None:
                return causes
        return None

    def right_text(self) -> bytes:
        """The text that the signature should cover; empty if the scheme shows none."""
        return self._text(self.request, self.presented)

    def bodies(self) -> Iterator[Cause]:
        """For a scheme that signs a digest of the body: the causes that make the digest right."""
        for cause, body in other_bodies(self.request.body):
            request = msgspec.structs.replace(self.request, body=body)
            if any(self.calls.matches(self.scheme, request, self.presented, key) for key in self.keys):
                yield cause

    def _texts(self, names: AddressNames) -> Iterator[Guessed]:
        """The right text first, then those of each cause."""
        right = self.right_text()
        yield (), right
        for cause, text in other_texts(right, self.request.body, self.presented):
            yield (cause,), text
        for cause, body in other_bodies(self.request.body):
            yield (cause,), self._text(msgspec.structs.replace(self.request, body=body), self.presented)
        for cause, request, presented in other_addresses(self.request, self.presented, names):
            yield (cause,), self._text(request, presented)

    def _text(self, request: SignedRequest, presented: Presented) -> bytes:
        """The signed text; empty if the scheme cannot make one of this request."""
        try:
            return self.calls.signed_text(self.scheme, request, presented) or b""
        except CrmError:
            return b""

    def _first(self, texts: list[Guessed], secrets: list[Guessed]) -> tuple[Cause, ...] | None:
        """The causes of the first text and secret whose MAC is in the signature headers."""
        headers = "\n".join(value for name in self.scheme.HEADERS for value in self.request.all(name))
        for in_text, text in texts:
            for in_secret, secret in secrets:
                for in_spelling, mac in spellings(hmac.digest(secret, text, "sha256")):
                    if mac in headers:
                        return (*in_secret, *in_text, *((in_spelling,) if in_spelling else ()))
        return None
