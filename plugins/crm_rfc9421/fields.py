"""The part of Structured Fields (RFC 8941, RFC 9651) that signatures need, bounded and unambiguous.

It reads dictionaries of items and inner lists with parameters; items are integers, decimals, strings, tokens, byte
sequences and booleans. A repeated key is refused, although in RFC 8941 the last one wins: all readers of a signature
must agree. Dates and display strings do not occur in these fields and are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from crm_core.errors import SignatureMalformed

LONGEST_FIELD: Final = 8192  # characters
MOST_MEMBERS: Final = 64  # of a dictionary, of an inner list, of one item's parameters

_SPACES = re.compile(r" *")
_BLANKS = re.compile(r"[ \t]*")
_KEY = re.compile(r"[a-z*][a-z0-9_.*-]{0,63}")
_NUMBER = re.compile(r"-?[0-9]{1,15}(?![0-9.])|-?[0-9]{1,12}\.[0-9]{1,3}(?![0-9.])")
_STRING = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_TOKEN = re.compile(r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*")
_BASE64 = "[A-Za-z0-9+/]"
_BYTES = re.compile(f":((?:{_BASE64}{{4}})*(?:{_BASE64}{{2}}(?:==)?|{_BASE64}{{3}}=?)?):")
_BOOLEAN = re.compile(r"\?([01])")


class Token(msgspec.Struct, frozen=True):
    """A token, or a decimal as it is serialized (RFC 8941, 4.1.5), of which only the text is needed."""

    text: str


class ByteSequence(msgspec.Struct, frozen=True):
    """Bytes as the base64 of the field, without padding."""

    base64: str


BareItem = int | str | bool | Token | ByteSequence
Parameters = Mapping[str, BareItem]


class Item(msgspec.Struct, frozen=True):
    """A value with its parameters, in order."""

    value: BareItem
    parameters: Parameters


class InnerList(msgspec.Struct, frozen=True):
    """Items in parentheses, with parameters of the list."""

    items: tuple[Item, ...]
    parameters: Parameters


Member = Item | InnerList


def read_dictionary(text: str, field: str) -> dict[str, Member]:
    """The members of a dictionary field, in order (RFC 8941, 4.2.2). Raises SignatureMalformed."""
    if len(text) > LONGEST_FIELD:
        raise SignatureMalformed(f"{field} is longer than {LONGEST_FIELD} characters. Send fewer signatures.")
    return _Reader(text.strip(" "), field).dictionary()


def written_list(parts: InnerList) -> str:
    """An inner list, serialized (RFC 8941, 4.1.1.1)."""
    return f"({' '.join(map(written_item, parts.items))}){_written_parameters(parts.parameters)}"


def written_item(item: Item) -> str:
    """An item, serialized (RFC 8941, 4.1.3)."""
    return _written_value(item.value) + _written_parameters(item.parameters)


def written_member(member: Member) -> str:
    """A member of a dictionary, serialized."""
    return written_item(member) if isinstance(member, Item) else written_list(member)


def _written_parameters(parameters: Parameters) -> str:
    return "".join(
        f";{name}" if value is True else f";{name}={_written_value(value)}" for name, value in parameters.items()
    )


def _written_value(value: BareItem) -> str:
    match value:
        case bool():
            return "?1" if value else "?0"
        case int():
            return str(value)
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case Token():
            return value.text
        case ByteSequence():
            return ":" + value.base64 + "=" * (-len(value.base64) % 4) + ":"


def _canonical_decimal(text: str) -> str:
    """A decimal without the zeros that say nothing; ``-0.0`` is zero."""
    whole, _, fraction = text.removeprefix("-").partition(".")
    number = f"{int(whole)}.{fraction.rstrip('0') or '0'}"
    return f"-{number}" if text.startswith("-") and number != "0.0" else number


class _Reader:
    """Reads one field in one pass."""

    def __init__(self, text: str, field: str) -> None:
        self.text, self.field, self.at = text, field, 0

    def dictionary(self) -> dict[str, Member]:
        members: dict[str, Member] = {}
        while self.at < len(self.text):
            name = self.new_key(members)
            if self.accept("="):
                members[name] = self.inner_list() if self.next_is("(") else self.item()
            else:
                members[name] = Item(value=True, parameters=self.parameters())
            self.skip(_BLANKS)
            if self.at == len(self.text):
                break
            self.expect(",")
            self.skip(_BLANKS)
            if self.at == len(self.text):
                raise self.malformed("a comma with nothing after it")
        return members

    def inner_list(self) -> InnerList:
        self.expect("(")
        items: list[Item] = []
        self.skip(_SPACES)
        while not self.accept(")"):
            if len(items) == MOST_MEMBERS:
                raise self.malformed(f"more than {MOST_MEMBERS} members")
            items.append(self.item())
            if not (self.next_is(" ") or self.next_is(")")):
                raise self.malformed("a list without its end")
            self.skip(_SPACES)
        return InnerList(tuple(items), self.parameters())

    def item(self) -> Item:
        return Item(self.bare_item(), self.parameters())

    def parameters(self) -> Parameters:
        found: dict[str, BareItem] = {}
        while self.accept(";"):
            self.skip(_SPACES)
            name = self.new_key(found)
            found[name] = self.bare_item() if self.accept("=") else True
        return found

    def bare_item(self) -> BareItem:
        if number := self.match(_NUMBER):
            return Token(_canonical_decimal(number[0])) if "." in number[0] else int(number[0])
        if string := self.match(_STRING):
            return re.sub(r"\\(.)", r"\1", string[1])
        if sequence := self.match(_BYTES):
            return ByteSequence(sequence[1].rstrip("="))
        if boolean := self.match(_BOOLEAN):
            return boolean[1] == "1"
        if token := self.match(_TOKEN):
            return Token(token[0])
        raise self.malformed("an invalid value")

    def new_key(self, known: Mapping[str, object]) -> str:
        key = self.match(_KEY)
        if not key:
            raise self.malformed("an invalid key")
        if key[0] in known:
            raise self.malformed(f"a second {key[0]}")
        if len(known) == MOST_MEMBERS:
            raise self.malformed(f"more than {MOST_MEMBERS} members")
        return key[0]

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found

    def skip(self, pattern: re.Pattern[str]) -> None:
        self.match(pattern)

    def next_is(self, character: str) -> bool:
        return self.text.startswith(character, self.at)

    def accept(self, character: str) -> bool:
        found = self.next_is(character)
        self.at += found
        return found

    def expect(self, character: str) -> None:
        if not self.accept(character):
            raise self.malformed(f"a missing {character!r}")

    def malformed(self, what: str) -> SignatureMalformed:
        return SignatureMalformed(f"{self.field} is not a Structured Fields dictionary: {what} at character {self.at}.")
