"""Calls of signature schemes: what they receive, and what they may return and raise."""

from __future__ import annotations

from typing import Any

import pytest

from crm_core.errors import CrmError, KeyInactive, PluginFailed, SignatureMalformed, SignatureMissing
from crm_core.model.keys import Key
from crm_core.plugin.door import Door
from crm_core.plugin.scheme_calls import REFUSALS, SchemeCalls
from crm_core.plugin.signature import Presented, SignatureScheme, SignedRequest, read_timestamp

REQUEST = SignedRequest(
    method="POST", path="/", query=None, authority="crm.example", headers=(), body=b"{}", instance="eu1",
    tenant="north", payload_type="branding",
)  # fmt: skip
PRESENTED = Presented(timestamp=1, nonce="n" * 16, key_version=2, expires=3)
SECRET = Key(version=2, material=b"secret")
PUBLIC = Key(version=3, material=b"public", kind="public")


class Scripted(SignatureScheme):
    """A scheme that returns or raises what a test sets, and records what it receives."""

    NAME, HEADERS, SIGNS_INSTANCE, KEY_KINDS = "scripted", ("x-mac",), True, ("secret", "public")

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.received: tuple[Any, ...] = ()

    def _answered(self, *received: Any) -> Any:
        self.received = received
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def read(self, request: SignedRequest) -> Presented:
        return self._answered(request)  # type: ignore[no-any-return]

    def matches(self, request: SignedRequest, presented: Presented, key: bytes) -> bool:
        return self._answered("matches", request, presented, key)  # type: ignore[no-any-return]

    def matches_public(self, request: SignedRequest, presented: Presented, key: bytes) -> bool:
        return self._answered("matches_public", request, presented, key)  # type: ignore[no-any-return]


@pytest.fixture
def calls() -> SchemeCalls:
    return SchemeCalls({"scripted": "acme"}, Door())


@pytest.mark.parametrize("presented", [PRESENTED, Presented(timestamp=1, nonce="n")])
def test_a_scheme_reads_the_request(calls: SchemeCalls, presented: Presented) -> None:
    """It receives the request, and its claims come back; those that a scheme does not make may be absent."""
    scheme = Scripted(presented)
    assert calls.read(scheme, REQUEST) is presented
    assert scheme.received == (REQUEST,)


@pytest.mark.parametrize(("key", "method"), [(SECRET, "matches"), (PUBLIC, "matches_public")])
def test_keys_of_each_kind_go_to_their_own_method(calls: SchemeCalls, key: Key, method: str) -> None:
    """With the request, its claims and the bytes of the key, and the answer is the scheme's."""
    for answer in (True, False):
        scheme = Scripted(answer)
        assert calls.matches(scheme, REQUEST, PRESENTED, key) is answer
        assert scheme.received == (method, REQUEST, PRESENTED, key.material)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"timestamp": 1, "nonce": "n"},
        Presented(timestamp=True, nonce="n"),
        Presented(timestamp=1.5, nonce="n"),  # type: ignore[arg-type]
        Presented(timestamp=1, nonce=b"n"),  # type: ignore[arg-type]
        Presented(timestamp=1, nonce="n", key_version="2"),  # type: ignore[arg-type]
        Presented(timestamp=1, nonce="n", expires=3.5),  # type: ignore[arg-type]
        ValueError(),
        KeyInactive("Not for a scheme to say."),
    ],
)
def test_what_are_no_claims_is_a_failure_of_the_plugin(calls: SchemeCalls, answer: Any) -> None:
    """The plugin is named with its method, so that no push is refused for a reason that is not the sender's."""
    with pytest.raises(PluginFailed) as failed:
        calls.read(Scripted(answer), REQUEST)
    assert failed.value.evidence == {"plugin": "acme", "hook": "read"}


@pytest.mark.parametrize("answer", [1, None, "yes", ValueError(), KeyInactive("Not for a scheme to say.")])
def test_what_is_no_truth_value_is_a_failure_of_the_plugin(calls: SchemeCalls, answer: Any) -> None:
    """A match is True and nothing that only counts as true."""
    with pytest.raises(PluginFailed) as failed:
        calls.matches(Scripted(answer), REQUEST, PRESENTED, PUBLIC)
    assert failed.value.evidence == {"plugin": "acme", "hook": "matches_public"}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_the_refusals_of_a_scheme_reach_the_sender(calls: SchemeCalls, refusal: type[CrmError]) -> None:
    """Of reading and of matching alike."""
    scheme = Scripted(refusal("Sign again."))
    with pytest.raises(refusal):
        calls.read(scheme, REQUEST)
    with pytest.raises(refusal):
        calls.matches(scheme, REQUEST, PRESENTED, SECRET)


@pytest.mark.parametrize(
    ("kinds", "schemes", "may"),
    [
        (("public",), None, True),
        (("secret",), None, False),
        (("public",), frozenset({"scripted"}), True),
        (("public",), frozenset({"other"}), False),
    ],
)
def test_a_scheme_may_use_keys_of_its_kinds_that_no_entry_narrows(
    kinds: tuple[Any, ...], schemes: frozenset[str] | None, may: bool
) -> None:
    """Both must fit: the kind, and the schemes that the roster allows the key."""

    class Narrow(Scripted):
        KEY_KINDS = kinds

    assert Narrow(None).may_use(Key(version=3, material=b"public", kind="public", schemes=schemes)) is may


def test_headers_are_there_once() -> None:
    """A header that is absent is not read as empty."""
    with pytest.raises(SignatureMissing, match="x-mac"):
        REQUEST.one("x-mac")


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("1", 1), ("9" * 15, 10**15 - 1)])
def test_a_timestamp_is_plain_digits(text: str, number: int) -> None:
    """Zero and the longest number are read; a sign, a leading zero, other digits and a longer number are not."""
    assert read_timestamp(text, "X-Stamp") == number
    for wrong in ("", "00", "01", "+1", "-1", "1.0", " 1", "\u0661", "9" * 16):
        with pytest.raises(SignatureMalformed, match="X-Stamp must be a number of at most 15 plain digits"):
            read_timestamp(wrong, "X-Stamp")


class Text(str):
    """A text as libraries for markup return it, which no JSON encoder takes."""

    __slots__ = ()


class OwnRefusal(SignatureMalformed):
    """A refusal with a status and a code that no receiver documents."""

    status, code = 200, "fine"


@pytest.mark.parametrize(
    "claims",
    [
        {"timestamp": 2**53},
        {"timestamp": -1},
        {"key_version": 10**30},
        {"expires": -(10**30)},
        {"nonce": ""},
        {"nonce": "n" * 257},
        {"nonce": "n\udcff"},
    ],
)
def test_claims_that_no_log_can_have_are_a_failure_of_the_plugin(calls: SchemeCalls, claims: dict[str, Any]) -> None:
    """A sender without a key would write them into the log otherwise, for every reader of it."""
    with pytest.raises(PluginFailed):
        calls.read(Scripted(Presented(**{"timestamp": 1, "nonce": "n", **claims})), REQUEST)


def test_a_nonce_is_plain_text(calls: SchemeCalls) -> None:
    """A subclass of str is made one: it goes into claims and into the log."""
    presented = calls.read(Scripted(Presented(timestamp=1, nonce=Text("n"), evidence="mac")), REQUEST)
    assert (type(presented.nonce), presented.evidence) == (str, "mac")


@pytest.mark.parametrize("detail", ["Bad \udcff.", b"bad", 5])
def test_a_refusal_without_a_sentence_is_a_failure_of_the_plugin(calls: SchemeCalls, detail: Any) -> None:
    """Half a surrogate, as a decoded header may have it, would make the log unreadable."""
    scheme = Scripted(SignatureMalformed(detail))
    for call in (lambda: calls.read(scheme, REQUEST), lambda: calls.matches(scheme, REQUEST, PRESENTED, SECRET)):
        with pytest.raises(PluginFailed):
            call()


def test_a_refusal_has_the_form_of_its_interface(calls: SchemeCalls) -> None:
    """The code and the status that are documented, a text of a sentence's length, and nothing of the plugin."""
    with pytest.raises(SignatureMalformed) as caught:
        calls.read(Scripted(OwnRefusal(Text("x" * 1_000_000), header=object())), REQUEST)
    refusal = caught.value
    assert (refusal.status, refusal.code, refusal.evidence) == (400, "signature_malformed", {})
    assert (type(refusal.detail), len(refusal.detail)) == (str, 2000)


@pytest.mark.parametrize("headers", [None, {"X-Mac": 5}, {"X-Mac": "\udcff"}, ["X-Mac"]])
def test_what_are_no_headers_is_a_failure_of_the_plugin(calls: SchemeCalls, headers: Any) -> None:
    """Commands that sign with the scheme name it."""

    class Signing(Scripted):
        def sign(self, *_: object) -> Any:  # type: ignore[override]
            return headers

    with pytest.raises(PluginFailed) as failed:
        calls.sign(Signing(None), "secret", REQUEST, b"secret", 2, 1, "n" * 16)
    assert failed.value.evidence == {"plugin": "acme", "hook": "sign"}
