from __future__ import annotations

import time
from ipaddress import ip_address
from typing import Annotated, Literal

import pytest
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec import convert as plain_convert

from crm_core.model.fields import convert, is_immutable, without_nulls
from crm_core.model.hosts import is_inside, is_inside_host
from crm_core.model.secret_members import SecretMember, redacted, secret_members
from crm_core.model.text_types import Email, Line, https_trouble
from crm_core.plugin.payload import secret


class Fixed(Struct, frozen=True):
    """Nothing in it can be changed."""

    line: Line | UnsetType = UNSET
    kind: Literal["a", "b"] | None = None
    pairs: tuple[tuple[str, int], ...] = ()


class Around(Struct, frozen=True):
    """As what it contains."""

    fixed: tuple[Fixed, ...] = ()


class Listing(Struct, frozen=True):
    """A list can be changed."""

    lines: list[str] = []


class Open(Struct):
    """Its members can be set."""

    fixed: Fixed


class AroundOpen(Struct, frozen=True):
    """As what it contains."""

    inner: Open | UnsetType = UNSET


class Node(Struct, frozen=True):
    """It contains itself."""

    below: tuple[Node, ...] = ()


class WithDict(Struct, frozen=True, dict=True):
    """Its ``__dict__`` takes anything."""


@pytest.mark.parametrize(
    ("struct", "expected"),
    [
        (Fixed, True),
        (Around, True),
        (Listing, False),
        (Open, False),
        (AroundOpen, False),
        (Node, False),
        (WithDict, False),
    ],
)
def test_only_what_cannot_be_changed_is_shared(struct: type[Struct], expected: bool) -> None:
    """At any depth, since plugins may change the instances that they receive."""
    assert is_immutable(struct) is expected


class Inner(Struct, forbid_unknown_fields=True):
    size: Annotated[int, Meta(ge=1)]
    key: Annotated[str, secret(bound_to=("size",), max_length=5)] | UnsetType = UNSET


class Outer(Struct, forbid_unknown_fields=True):
    name: str
    kind: Literal["a", "b"] | UnsetType = UNSET
    inner: Inner | UnsetType = UNSET
    items: list[Inner] | UnsetType = UNSET
    flags: dict[Annotated[str, Meta(pattern=r"\A[a-z]+\Z")], bool] | UnsetType = UNSET
    few: Annotated[list[int], Meta(max_length=2)] | UnsetType = UNSET


def found(data: object) -> set[tuple[str, str]]:
    return {(finding.pointer, finding.code) for finding in convert(data, Outer)[1]}


def test_good_data_becomes_the_type() -> None:
    """Data that fits comes back as the struct, members left out unset."""
    value, findings = convert({"name": "n", "inner": {"size": 1}}, Outer)
    assert findings == ()
    assert value == Outer(name="n", inner=Inner(size=1))


def test_every_error_is_found_in_one_pass() -> None:
    """Errors of every kind and depth are all reported, each at its own pointer."""
    data = {
        "kind": "c",
        "inner": {"size": 0, "more": 1},
        "items": [{"size": 1}, {"size": "1"}, {}],
        "flags": {"ok": True, "N/o~": 1},
        "few": [1, 2, 3],
        "extra": None,
    }
    assert found(data) == {
        ("/name", "missing_member"),
        ("/kind", "invalid_value"),
        ("/inner/size", "invalid_value"),
        ("/inner/more", "unknown_member"),
        ("/items/1/size", "wrong_type"),
        ("/items/2/size", "missing_member"),
        ("/flags/N~1o~0", "invalid_value"),
        ("/flags/N~1o~0", "wrong_type"),
        ("/few", "invalid_value"),
        ("/extra", "unknown_member"),
    }


@pytest.mark.parametrize("data", [None, 1, "x", [], True])
def test_something_else_than_an_object_is_one_error(data: object) -> None:
    """A document of the wrong kind is reported at its root."""
    assert found(data) == {("", "wrong_type")}


@pytest.mark.parametrize("size", ["1", True, 1.5])
def test_nothing_is_coerced(size: object) -> None:
    """Texts, booleans and fractions are no whole numbers."""
    assert found({"name": "n", "inner": {"size": size}}) == {("/inner/size", "wrong_type")}


def test_pointers_begin_where_the_caller_says() -> None:
    """The prefix comes before every pointer."""
    assert convert({}, Outer, pointer="/data")[1][0].pointer == "/data/name"


def test_messages_do_not_repeat_values() -> None:
    """A value that is refused does not come back in a message."""
    _, findings = convert({"name": "n", "kind": "hunter2", "inner": {"size": 1, "key": "hunter22"}}, Outer)
    assert len(findings) == 2
    assert not any("hunter2" in finding.message for finding in findings)


@pytest.mark.parametrize(
    ("data", "type_", "reported"),
    [
        ("short", Annotated[str, Meta(min_length=10)], "This must be text of at least 10 characters."),
        ("long", Annotated[str, Meta(max_length=1)], "This must be text of at most 1 character."),
        ([1], Annotated[list[int], Meta(min_length=2)], "This must be a list of at least 2 items."),
        ({}, Annotated[dict[str, int], Meta(min_length=1)], "This must be an object of at least 1 member."),
        (0, Annotated[int, Meta(ge=1)], "This must be a whole number of at least 1."),
        (0.75, Annotated[float, Meta(le=0.5)], "This must be a number of at most 0.5."),
        ("x", Inner, "This must be an object."),
        ("x", int | None, "This must be a whole number or null."),
        ("x", bool | None, "This must be true, false or null."),
        (1, str | UnsetType, "This must be text."),
        ([], int | str | None, "This must be a whole number, text or null."),
        ("b", Annotated[str, Meta(pattern=r"\Aa\Z")], r"Expected str matching regex '\\Aa\\Z'."),
        (3, Annotated[int, Meta(multiple_of=2)], "Expected int that's a multiple of 2."),
    ],
)
def test_messages_speak_of_json_and_not_of_python(data: object, type_: object, reported: str) -> None:
    """Who sends a payload reads of texts, lists and whole numbers, with their limits."""
    (finding,) = convert(data, type_)[1]
    assert finding.message == reported


def test_nulls_count_as_absent_in_objects_only() -> None:
    """Null members go at every depth, null items stay."""
    assert without_nulls({"a": None, "b": {"c": None, "d": [None, {"e": None}]}}) == {"b": {"d": [None, {}]}}


def test_secrets_are_found_with_what_they_are_bound_to() -> None:
    """A nested secret is found, a secret inside an array is a mistake of the type."""

    class Whole(Struct):
        inner: Inner | UnsetType = UNSET

    assert secret_members(Whole) == (SecretMember(("inner", "key"), ("size",)),)
    assert secret_members(None) == ()
    with pytest.raises(TypeError, match="items"):
        secret_members(Outer)


def test_redacting_keeps_all_but_the_secret() -> None:
    """Secrets show as set, absent ones stay absent, the original is untouched."""
    members = (SecretMember(("inner", "key")), SecretMember(("other",)))
    data = {"inner": {"size": 1, "key": "k"}, "rest": 2}
    assert redacted(data, members) == {"inner": {"size": 1, "key": {"set": True}}, "rest": 2}
    assert data["inner"] == {"size": 1, "key": "k"}
    assert redacted({"inner": {"size": 1}}, members) == {"inner": {"size": 1}}


@pytest.mark.parametrize("text", ["a\n", "a\r\nb", "\x00", "", "x" * 201])
def test_lines_have_no_line_ends_and_fit(text: str) -> None:
    """A final newline does not slip through either."""
    assert convert(text, Line)[1]


def test_good_lines_and_addresses_pass() -> None:
    """Ordinary names and addresses are taken as they are."""
    assert plain_convert("Grüße, 世界", Line)
    assert plain_convert("a.b+c@mail.example.com", Email)
    assert convert("a@b\n", Email)[1]


def test_long_nonsense_is_refused_fast() -> None:
    """No pattern takes a second of processor time over a quarter of a megabyte."""
    started = time.thread_time()
    for text in ("a@" * 120_000, "a" * 250_000, "<" * 250_000):
        assert convert(text, Email)[1]
    assert time.thread_time() - started < 1


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://user@example.com/",
        "https://u:p@example.com/",
        "https:///x",
        "https://example.com:99999/",
        "https://[::1/",
        "https://example.com/a b",
        "https://example.com\\@evil.example/",
        "javascript:alert(1)",
        "//example.com/",
        "https://example.com/\n",
        "https://example.com/" + "x" * 2048,
    ],
)
def test_urls_that_are_not_plain_https_are_refused(url: str) -> None:
    """Other schemes, userinfo, bad hosts, odd characters and overlong URLs are reported."""
    assert https_trouble(url)


def test_plain_https_urls_pass() -> None:
    """A host with port, path, query and fragment is fine."""
    assert https_trouble("https://cdn.example.com:8443/a/b.png?x=1@2#y") is None


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0x7f000001",
        "10.0.0.1", "192.168.1.1", "169.254.1.1", "fec0::1",
        "0", "::1", "[::1]", "::", "fe80::1", "fd00::1", "::ffff:8.8.8.8", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
        "2002:7f00:1::", "100.64.0.1", "224.0.0.1", "255.255.255.255", "localhost", "a.LOCALHOST.", "127.0.0.1.",
    ],
)  # fmt: skip
def test_inside_hosts_are_reported_in_every_spelling(host: str) -> None:
    """Anything that inet_aton or an IPv6 reader makes a local address of is inside."""
    assert is_inside_host(host)


@pytest.mark.parametrize("host", ["smtp.example.com", "8.8.8.8", "2606:4700:4700::1111", "local.example"])
def test_public_hosts_are_not_inside(host: str) -> None:
    """Names and public addresses pass."""
    assert not is_inside_host(host)


def test_mapped_addresses_are_always_inside() -> None:
    """A mapped public address is refused too: nothing needs that spelling."""
    assert is_inside(ip_address("::ffff:8.8.8.8"))


Capital = Annotated[str, Meta(extra={"check": str.isupper})]


class Branch(Struct, forbid_unknown_fields=True):
    """A struct inside itself."""

    name: Capital | UnsetType = UNSET
    branches: list[Branch] | UnsetType = UNSET


def test_checks_reach_into_lists() -> None:
    """A text that only its own check refuses is found in items, and in members of items, with its pointer."""
    assert [one.pointer for one in convert(["A", "b"], list[Capital])[1]] == ["/1"]
    tree = {"branches": [{"name": "A"}, {"name": "b"}]}
    assert [one.pointer for one in convert(tree, Branch)[1]] == ["/branches/1/name"]
