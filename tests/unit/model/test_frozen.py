from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from crm_core.model.frozen import FrozenDict, FrozenList, frozen

PLAIN: dict[str, Any] = {"title": "T", "links": [{"url": "u"}, [2, 1]], "none": None}


def assigned(value: Any, key: Any) -> None:
    value[key] = 1


def removed(value: Any, key: Any) -> None:
    del value[key]


def merged(value: Any) -> None:
    value |= {"a": 1}


def added(value: Any) -> None:
    value += [1]


def multiplied(value: Any) -> None:
    value *= 2


@pytest.mark.parametrize(
    "change",
    [
        lambda value: assigned(value, "title"),
        lambda value: removed(value, "title"),
        merged,
        lambda value: value.clear(),
        lambda value: value.pop("title"),
        lambda value: value.popitem(),
        lambda value: value.setdefault("a", 1),
        lambda value: value.update(a=1),
        lambda value: assigned(value["links"][0], "url"),
        lambda value: assigned(value["links"], 0),
        lambda value: removed(value["links"], 0),
        lambda value: added(value["links"]),
        lambda value: multiplied(value["links"]),
        lambda value: value["links"].append(1),
        lambda value: value["links"].clear(),
        lambda value: value["links"].extend([1]),
        lambda value: value["links"].insert(0, 1),
        lambda value: value["links"].pop(),
        lambda value: value["links"].remove([2, 1]),
        lambda value: value["links"].reverse(),
        lambda value: value["links"][1].sort(),
    ],
)
def test_every_change_is_refused_at_any_depth(change: Callable[[Any], None]) -> None:
    """It raises with a sentence that says what to do, and nothing has changed."""
    value = frozen(PLAIN)
    with pytest.raises(TypeError, match="change a copy"):
        change(value)
    assert value == PLAIN


def test_no_method_that_changes_is_left() -> None:
    """Every method of dict and list either only reads or refuses; a new one of Python's shows here."""
    reading = {"copy", "count", "fromkeys", "get", "index", "items", "keys", "values"}
    for kind, base in ((FrozenDict, dict), (FrozenList, list)):
        named = {name for name in dir(base) if not name.startswith("_")}
        assert {name for name in named if getattr(kind, name) == getattr(base, name)} <= reading


def test_it_is_json_to_every_reader() -> None:
    """Plugins may test for dicts and lists, encode, convert and compare."""
    value = frozen(PLAIN)
    assert isinstance(value, dict)
    assert isinstance(value["links"], list)
    assert json.loads(json.dumps(value)) == msgspec.json.decode(msgspec.json.encode(value)) == value == PLAIN
    assert msgspec.convert(value, dict[str, Any]) == PLAIN


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_a_copy_is_plain_and_open(copied: Callable[[Any], Any]) -> None:
    """Who wants to change something copies it; the original stays."""
    value = frozen(PLAIN)
    mine = copied(value)
    mine["links"][0]["url"] = "mine"
    mine["links"].append(mine.pop("title"))
    assert (type(mine), type(mine["links"]), value) == (dict, list, PLAIN)


def test_it_shares_nothing_with_what_it_was_made_of() -> None:
    """A later change of the original does not show; freezing again costs nothing."""
    plain = copy.deepcopy(PLAIN)
    value = frozen(plain)
    plain["links"][0]["url"] = "changed"
    assert value == PLAIN
    assert frozen(value) is value
