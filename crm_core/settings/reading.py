"""Readers: each turns a node into one typed value or raises Wrong with every problem in it.

The module of each file describes the file with these readers; the messages come from here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

from crm_core.model.names import is_name
from crm_core.model.sources import Network, plain_network
from crm_core.model.times import from_input
from crm_core.settings.document import Items, Mapping, MappingMember, Node, Scalar, parse, read_text
from crm_core.settings.places import FileProblem, Place, Wrong, closest, hint, named, quoted, setup_error

T = TypeVar("T")
D = TypeVar("D")
Read = Callable[[Node], T]

LARGEST_INTEGER = 2**53 - 1
LARGEST_PORT = 65_535

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_HOST = re.compile(r"(?=.{1,253}$)(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def read_file(path: Path, read: Read[T]) -> T:
    """The content of a file. Raises SetupError with every problem of the file, each as ``file:line:column: text``."""
    problems: list[FileProblem] = []
    try:
        root, problems = parse(read_text(path), path.name)
        value = read(root)
    except Wrong as wrong:
        raise setup_error([*problems, *wrong.problems]) from None
    if problems:
        raise setup_error(problems)
    return value


class Members:
    """The members of a mapping while they are read; ``done`` raises Wrong with all problems."""

    def __init__(self, node: Node, what: str = "members") -> None:
        self.node = mapping(node, what)
        self.problems: list[FileProblem] = []
        self._read: set[str] = set()
        self._missing: dict[str, FileProblem] = {}

    def find(self, name: str) -> MappingMember | None:
        """The member as written; None if it is absent or null."""
        self._read.add(name)
        for member in self.node.members:
            if member.name == name and not (isinstance(member.value, Scalar) and member.value.null):
                return member
        return None

    def get(self, name: str, read: Read[T], default: D) -> T | D:
        """An optional member."""
        member = self.find(name)
        if member is None:
            return default
        try:
            return read(member.value)
        except Wrong as wrong:
            self.problems.extend(wrong.problems)
            return default

    def required(self, name: str, read: Read[T], like: str) -> T | None:
        """A required member, with an example of it; None only if ``done`` will raise."""
        if self.find(name) is None:
            self._missing[name] = FileProblem(self.node.place, f"`{name}` is missing; add `{name}: {like}`")
        return self.get(name, read, None)

    def rest(self) -> tuple[MappingMember, ...]:
        """The members that were not read."""
        return tuple(member for member in self.node.members if member.name not in self._read)

    def wrong(self, place: Place, text: str) -> None:
        """Note a problem."""
        self.problems.append(FileProblem(place, text))

    def done(self, *, others: bool = False) -> None:
        """Raise all problems; members that were not read are problems unless ``others`` are allowed."""
        for member in self.rest():
            meant = closest(member.name, self._read) or ""
            misspelled = self._missing.pop(meant, None) is not None  # so it is not reported as missing
            if misspelled or not others:
                self.wrong(member.place, f"{named('unknown member', member.name)}; {hint(member.name, self._read)}")
        self.problems.extend(self._missing.values())
        self._missing.clear()
        if self.problems:
            raise Wrong(self.problems)


def mapping(node: Node, what: str = "members") -> Mapping:
    """The node as a mapping; null counts as an empty one."""
    if isinstance(node, Scalar) and node.null:
        return Mapping(node.place, ())
    if not isinstance(node, Mapping):
        raise Wrong.at(node.place, f"expected {what} as `name: value`; {_is(node)}")
    return node


def mapping_of(node: Node, read: Callable[[MappingMember], T], what: str) -> dict[str, T]:
    """A mapping with arbitrary names; ``read`` is called with each member."""
    values: dict[str, T] = {}
    problems: list[FileProblem] = []
    for member in mapping(node, what).members:
        try:
            values[member.name] = read(member)
        except Wrong as wrong:
            problems.extend(wrong.problems)
    if problems:
        raise Wrong(problems)
    return values


def list_of(read: Read[T], *, least: int = 0, unique: str | None = None) -> Read[tuple[T, ...]]:
    """A list; if ``unique`` says what its items are, without duplicates."""

    def read_items(node: Node) -> tuple[T, ...]:
        if not isinstance(node, Items):
            raise Wrong.at(node.place, f"expected a list such as `[a, b]`; {_is(node)}")
        if len(node.items) < least:
            raise Wrong.at(node.place, f"the list needs at least {least}; add one or leave the member out")
        values: list[T] = []
        problems: list[FileProblem] = []
        for item in node.items:
            try:
                values.append(read(item))
            except Wrong as wrong:
                problems.extend(wrong.problems)
        if problems:
            raise Wrong(problems)
        seen = set[object]()
        for item, value in zip(node.items, values, strict=True):
            if unique is not None and value in seen:
                raise Wrong.at(item.place, f"this {unique} is in the list twice; remove one")
            seen.add(value)
        return tuple(values)

    return read_items


def set_of(read: Read[T], *, least: int = 0) -> Read[frozenset[T]]:
    """A list whose order and repeats do not count."""
    read_items = list_of(read, least=least)
    return lambda node: frozenset(read_items(node))


def text(node: Node) -> str:
    """A text of 1 to 2,000 characters without control characters."""
    if not isinstance(node, Scalar):
        raise Wrong.at(node.place, f"expected a text; {_is(node)}")
    if not node.text.strip() or len(node.text) > 2000 or not node.text.isprintable():
        raise Wrong.at(node.place, "expected a text of 1 to 2000 printable characters; write it on one line")
    return node.text


def name(node: Node) -> str:
    """An instance code or a tenant name."""
    return check_name(text(node), node.place)


def check_name(written: str, place: Place) -> str:
    """Return an instance code or a tenant name. Raises Wrong."""
    if not is_name(written):
        message = "is not a valid name; use 1 to 63 of a-z, 0-9 and `-`, with no `-` first or last"
        raise Wrong.at(place, f"{quoted(written)} {message}")
    return written


def matching(pattern: re.Pattern[str], what: str) -> Read[str]:
    """A text that matches a pattern as a whole; ``what`` says what is expected, with an example."""

    def read(node: Node) -> str:
        written = text(node)
        if pattern.fullmatch(written) is None:
            raise Wrong.at(node.place, f"{quoted(written)} is not {what}")
        return written

    return read


def one_of(names: Collection[str], what: str) -> Read[str]:
    """One of some names."""

    def read(node: Node) -> str:
        written = text(node)
        if written not in names:
            raise Wrong.at(node.place, f"{quoted(written)} is not a known {what}; {hint(written, names)}")
        return written

    return read


def integer(least: int, most: int = LARGEST_INTEGER) -> Read[int]:
    """A whole number, not in quotes."""

    def read(node: Node) -> int:
        if not isinstance(node, Scalar) or not node.plain or _INTEGER.fullmatch(node.text) is None:
            quoted = isinstance(node, Scalar) and not node.plain and _INTEGER.fullmatch(node.text) is not None
            fix = "remove the quotes" if quoted else f"write digits such as {max(least, 1)}"
            raise Wrong.at(node.place, f"expected a whole number; {fix}")
        value = int(node.text)
        if not least <= value <= most:
            raise Wrong.at(node.place, f"the number must be from {least} to {most}; change it")
        return value

    return read


def boolean(node: Node) -> bool:
    """``true`` or ``false``. Other spellings of YAML 1.1 are refused, since parsers disagree on them."""
    if isinstance(node, Scalar) and node.plain and node.text in ("true", "false"):
        return node.text == "true"
    raise Wrong.at(node.place, "expected `true` or `false`, without quotes; write one of the two")


def moment(node: Node) -> datetime:
    """A time (RFC 3339) with its offset, in UTC; its T may be a space."""
    if isinstance(node, Scalar):
        with suppress(ValueError):
            return from_input(node.text.replace(" ", "T", 1))
    raise Wrong.at(node.place, "this is not a time; write one in UTC such as 2026-11-01T00:00:00Z")


def duration(node: Node) -> timedelta:
    """A length of time: ``90s``, ``30m``, ``24h``, ``7d``."""
    match = _DURATION.fullmatch(node.text) if isinstance(node, Scalar) else None
    if match is None:
        raise Wrong.at(node.place, "this is not a length of time; write a number with s, m, h or d, such as 24h")
    return timedelta(**{_UNITS[match.group(2)]: int(match.group(1))})


def network(node: Node) -> Network:
    """An address, a network in CIDR form, or ``unix``."""
    written = text(node)
    if written == "unix":
        return "unix"
    with suppress(ValueError):
        return plain_network(written)
    try:
        wide = plain_network(written, strict=False)
    except ValueError:
        message = f'{quoted(written)} is not a network; write one such as 10.0.0.0/8 or "::1/128", or unix for sockets'
        raise Wrong.at(node.place, message) from None
    raise Wrong.at(node.place, f"the address has bits set beyond its mask; write {wide}")


networks = list_of(network, unique="network")
"""Networks, each once."""


def host_port(node: Node) -> tuple[str, int]:
    """``host:port``, an IPv6 address in brackets."""
    written = text(node)
    host, colon, port = written.rpartition(":")
    message = (
        f'{quoted(written)} is not an address; write one such as 127.0.0.1:8000, "[::1]:8000" or unix:/run/crm/eu1.sock'
    )
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or _INTEGER.fullmatch(port) is None or not 0 <= int(port) <= LARGEST_PORT:
        raise Wrong.at(node.place, message)
    if (":" in bare and bare == host) or not is_host(bare):
        raise Wrong.at(node.place, message)
    return bare, int(port)


def is_host(written: str) -> bool:
    """Whether a text is the address of a host, or a name that can be resolved (RFC 1035, section 2.3.4)."""
    with suppress(ValueError):
        return bool(ip_address(written)) if ":" in written else _HOST.fullmatch(written) is not None
    return False


def _is(node: Node) -> str:
    """The kind of a node that is not the expected one, for a message."""
    if isinstance(node, Mapping):
        return "here it is `name: value` members"
    if isinstance(node, Items):
        return "here it is a list"
    return "here it is empty" if node.null else "here it is a single value"
