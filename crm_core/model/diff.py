"""What changed between two JSON values: one row for each place, by RFC 6901 pointer."""

from __future__ import annotations

from typing import Any

import msgspec

from crm_core.model.fields import step

_encode = msgspec.json.Encoder().encode
_OBJECT = (dict, type(None))  # an absent one too


class Change(msgspec.Struct, frozen=True, rename={"before": "from", "after": "to"}):
    """One place that differs; null means absent on either side."""

    pointer: str
    before: Any
    after: Any


def pointer_to(*path: str | int) -> str:
    """The RFC 6901 pointer of a path of member names and positions."""
    return "".join(map(step, path))


def steps_of(pointer: str) -> tuple[str, ...]:
    """The member names and positions of an RFC 6901 pointer."""
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])


def differences(before: Any, after: Any, pointer: str = "") -> list[Change]:
    """Every place that differs, members in order of name.

    Objects are walked, an absent one as an empty one; lists and scalars change as a whole, since a position there is
    no identity. A number and a boolean are never equal.
    """
    found: list[Change] = []
    if isinstance(before, _OBJECT) and isinstance(after, _OBJECT) and (before or after):
        old, new = before or {}, after or {}
        for name in sorted(old.keys() | new.keys()):
            was, now = old.get(name), new.get(name)
            if was is now or (was == now and (isinstance(was, str) or _encode(was) == _encode(now))):
                continue  # nearly all members of a section stay; 1 and true are equal and have two texts
            found += differences(was, now, pointer + step(name))
    elif not same(before, after):
        found.append(Change(pointer, before, after))
    return found


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(value, right[name]) for name, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)
