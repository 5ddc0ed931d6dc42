from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from crm_core.access import signed as signed_module
from crm_core.access.signed import SignedTexts
from crm_core.errors import Unauthenticated

KEYS = (b"the-newest-secret-key-of-32-bytes", b"an-older-secret-key-of-32-bytes!!")
HOUR = timedelta(hours=1)


def respelled(text: str) -> Iterator[str]:
    """Other spellings whose signature decodes to the same bytes, and texts that parsers like to trim."""
    for more in ("!", "!" * 1000, "=", "==", " ", "\n", "\u00fc", "*="):
        yield text + more
        yield text[:-5] + more + text[-5:]
    yield " " + text
    # The last of 43 characters has two bits that decoding ignores.
    yield from (text[:-1] + chr(ord(text[-1]) + more) for more in (1, 2, 3) if text[-1].isalpha())


async def refused(work: Any) -> None:
    with pytest.raises(Unauthenticated):
        await work


def test_a_text_gives_its_parts_back_until_it_ends(clock: Any) -> None:
    """For its purpose alone; a second read, which is answered from the cache, ends at the same moment."""
    signed = SignedTexts(KEYS, clock)
    text = signed.make("csrf", "north", 7, lifetime=HOUR)
    assert [signed.read("csrf", text) for _ in range(2)] == [("north", 7)] * 2
    assert signed.read("cookie", text) is None
    clock.forward(hours=1)
    assert signed.read("csrf", text) is None


def test_a_text_has_one_spelling(clock: Any) -> None:
    """Characters that base64 skips, padding and unused bits are refused, and none of it stays in memory."""
    signed = SignedTexts(KEYS, clock)
    text = next(made for n in range(100) if (made := signed.make("csrf", n, lifetime=HOUR))[-1].isalpha())
    for other in respelled(text):
        assert signed.read("csrf", other) is None, other
    assert len(signed._verified) == 0
    assert signed.read("csrf", text) is not None


def test_a_text_longer_than_a_cookie_is_refused(clock: Any) -> None:
    """By its length alone, though its signature is right."""
    signed = SignedTexts(KEYS, clock)
    noise = "".join(hashlib.sha256(b"%d" % number).hexdigest() for number in range(150))  # hardly compressible
    text = signed.make("said", noise, lifetime=HOUR)
    assert len(text) > 4096
    assert signed.read("said", text) is None


def test_verified_texts_are_bounded_and_the_longest_unused_goes(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many good texts come, and none of them is itself in memory."""
    monkeypatch.setattr(signed_module, "_CACHED", 3)
    signed = SignedTexts(KEYS, clock)
    texts = [signed.make("csrf", number, lifetime=HOUR) for number in range(6)]
    for text in texts:
        assert signed.read("csrf", text) is not None
        assert signed.read("csrf", texts[0]) == (0,)
    assert sorted(parts for parts, _ in signed._verified.values()) == [(0,), (4,), (5,)]
    assert not any(text in repr(signed._verified) for text in texts)


async def test_credentials_have_one_spelling(access: Any) -> None:
    """Access tokens, refresh tokens, cookies, CSRF tokens, password links and API tokens alike."""
    stored = await access.user()
    session = await access.sessions.open("north", stored, "browser")
    grant, cookie = access.sessions.grant("north", session), access.sessions.cookie("north", session)
    csrf = access.sessions.csrf_token("north", session.id)
    link = await access.signin.link("north", stored.user.id, HOUR, by=None)
    token, _ = await access.tokens.create("north", scopes=["sync:read"], by=None)
    for other in respelled(grant.access_token):
        await refused(access.callers.bearer("north", other))
    for other in respelled(token):
        await refused(access.callers.bearer("north", other))
    for other in respelled(cookie):
        await refused(access.sessions.by_cookie("north", other))
    for other in respelled(link):
        await refused(access.signin.user_of_link("north", other))
    for other in respelled(grant.refresh_token):
        await refused(access.sessions.refresh("north", other))
    assert not any(access.sessions.is_csrf_token("north", session.id, other) for other in respelled(csrf))
    assert access.sessions.is_csrf_token("north", session.id, csrf)
    await access.sessions.refresh("north", grant.refresh_token)
