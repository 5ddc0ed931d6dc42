"""Edits of the text of keys.yaml that change no other byte.

An edit inserts or replaces text at the positions that the YAML parser reports. Writing the whole tree would lose
comments and the admin's layout.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import yaml

from crm_core.settings.document import LOADER

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./+=-]*(?::[A-Za-z0-9_./+=-]+)*")
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})  # YAML 1.1 does not read them as text

KeyText = Mapping[str, str | tuple[str, ...]]
"""The members of a key to write; tuples become lists."""


def tenants_in(text: str) -> frozenset[str]:
    """The names of the tenants with an entry."""
    tenants = _value(_composed(text), "tenants")
    return frozenset(key.value for key, _ in tenants.value) if isinstance(tenants, yaml.MappingNode) else frozenset()


def with_tenants(text: str, keys: Mapping[str, KeyText]) -> str:
    """The text with a new entry that has one key, for each of these tenants, which have none."""
    entries: list[str] = []
    for tenant, key in keys.items():
        entries += [f"{_written_name(tenant)}:", "  keys:", *("    " + line for line in _item(key))]
    flow = ", ".join(f"{_written_name(tenant)}: {{keys: [{_flow(key)}]}}" for tenant, key in keys.items())
    root = _composed(text)
    tenants = _value(root, "tenants")
    if root is None or (tenants is None and not _bracketed(root)):
        start = text if not text or text.endswith("\n") else text + _newline(text)
        return start + _newline(text).join(["tenants:", *("  " + line for line in entries), ""])
    if tenants is None:
        return _with_child(text, root, [], f"tenants: {{{flow}}}", brackets="{}", parent=root)
    return _with_child(text, tenants, entries, flow, brackets="{}", parent=root)


def without_tenant(text: str, tenant: str) -> str:
    """The text without the entry of a tenant. Raises LookupError: the tenant has no entry."""
    tenants, _ = _entry(text, tenant)
    pairs = tenants.value
    at = next(at for at, (name, _) in enumerate(pairs) if name.value == tenant)
    name, entry = pairs[at]
    if len(pairs) == 1:
        end = tenants.end_mark.index if _bracketed(tenants) else _end(entry, text)
        return f"{text[: tenants.start_mark.index]}{{}}{text[max(end, _end(name, text) + 1) :]}"
    if _bracketed(tenants):
        if at:
            return text[: _end(pairs[at - 1][1], text)] + text[_end(entry, text) :]
        return text[: name.start_mark.index] + text[pairs[1][0].start_mark.index :]
    start = name.start_mark.index - name.start_mark.column
    rest = re.compile(r"\r?\n").search(text, max(_end(entry, text), _end(name, text)))
    return text[:start] + (text[rest.end() :] if rest else "")


def with_name(text: str, tenant: str, name: str) -> str:
    """The text with another name for a tenant's entry. Raises LookupError: the tenant has no entry."""
    tenants, _ = _entry(text, tenant)
    written = next(key for key, _ in tenants.value if key.value == tenant)
    return text[: written.start_mark.index] + _written_name(name) + text[written.end_mark.index :]


def with_key(text: str, tenant: str, key: KeyText) -> str:
    """The text with a further key, the last of the tenant's. Raises LookupError: the tenant has no entry."""
    tenants, entry = _entry(text, tenant)
    keys = _value(entry, "keys")
    if keys is None:
        lines = ["keys:", *("  " + line for line in _item(key))]
        return _with_child(text, entry, lines, f"keys: [{_flow(key)}]", brackets="{}", parent=tenants)
    return _with_child(text, keys, _item(key), _flow(key), brackets="[]", parent=entry)


def with_member(text: str, tenant: str, version: int, name: str, value: str) -> str:
    """The text with one member of a key set. Raises LookupError: no such key."""
    keys = _value(_entry(text, tenant)[1], "keys")
    for key in _children(keys):
        number = _value(key, "version")
        if number is None or number.value != str(version):
            continue
        old = _value(key, name)
        if old is not None:
            start, end = old.start_mark.index, old.end_mark.index
            return text[:start] + ("" if start < end else " ") + _written(value) + text[end:]
        line = f"{name}: {_written(value)}"
        return _with_child(text, key, [line], line, brackets="{}", parent=key)
    raise LookupError(f"{tenant} has no key version {version}")


def _with_child(text: str, node: yaml.Node, lines: list[str], flow: str, *, brackets: str, parent: yaml.Node) -> str:
    """The text with a child added at the end of a collection: as ``flow`` inside brackets, else as ``lines``.

    If the collection is empty or has no text, its ``parent`` decides.
    """
    children = _children(node)
    if children:
        end = _end(children[-1], text)
        return (
            f"{text[:end]}, {flow}{text[end:]}" if _bracketed(node) else _below(text, end, lines, _column(node, text))
        )
    start, end = node.start_mark.index, node.end_mark.index
    if _bracketed(parent):
        return f"{text[:start]}{'' if start < end else ' '}{brackets[0]}{flow}{brackets[1]}{text[end:]}"
    before = text[:start].rstrip(" ")
    return _below(before + text[end:], len(before), lines, parent.start_mark.column + 2)


def _below(text: str, end: int, lines: list[str], column: int) -> str:
    """The text with ``lines`` below the line that contains ``end``; a comment at the end of that line stays there."""
    rest = re.search(r"[\r\n]", text[end:])
    at = len(text) if rest is None else end + rest.start()
    added = "".join(_newline(text) + " " * column + line for line in lines)
    return text[:at] + added + (text[at:] or _newline(text))


def _composed(text: str) -> yaml.Node | None:
    root: yaml.Node | None = yaml.compose(text, Loader=LOADER)
    return root if isinstance(root, yaml.MappingNode) else None


def _entry(text: str, tenant: str) -> tuple[yaml.Node, yaml.Node]:
    """The mapping of all tenants, and the tenant's entry in it."""
    tenants = _value(_composed(text), "tenants")
    entry = _value(tenants, tenant)
    if tenants is None or entry is None:
        raise LookupError(f"{tenant} has no entry")
    return tenants, entry


def _value(node: yaml.Node | None, name: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for key, value in node.value if key.value == name), None)


def _children(node: yaml.Node | None) -> list[yaml.Node]:
    """The items of a list; the names and values of a mapping, one after the other; none of a scalar."""
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _bracketed(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) and bool(node.flow_style)


def _end(node: yaml.Node, text: str) -> int:
    """The end of a node's text. A block collection's own mark is after the comments before the next node."""
    children = _children(node)
    if children and not _bracketed(node):
        return _end(children[-1], text)
    return len(text[: node.end_mark.index].rstrip())


def _column(node: yaml.Node, text: str) -> int:
    """The column of the children of a block collection; for a list, that of the dash."""
    first = _children(node)[0].start_mark
    if isinstance(node, yaml.MappingNode):
        return int(first.column)
    before = text[: first.index]
    return before.rindex("-") - (max(before.rfind("\n"), before.rfind("\r")) + 1)


def _item(key: KeyText) -> list[str]:
    return [f"{'  ' if at else '- '}{name}: {_written(value)}" for at, (name, value) in enumerate(key.items())]


def _flow(key: KeyText) -> str:
    return "{" + ", ".join(f"{name}: {_written(value)}" for name, value in key.items()) + "}"


def _written(value: str | tuple[str, ...]) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_written_name, value))}]"
    return value if _PLAIN.fullmatch(value) else json.dumps(value)


def _written_name(name: str) -> str:
    return name if _NAME.fullmatch(name) and name not in _WORDS else json.dumps(name)


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
