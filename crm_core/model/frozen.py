"""Immutable JSON values, for data that the core passes to plugins."""

from __future__ import annotations

from typing import Any, NoReturn

_NESTING = (dict, list)
_READ_ONLY = "What plugins receive is read-only; change a copy made with copy.deepcopy."


def _refuse(*_: object, **__: object) -> NoReturn:
    raise TypeError(_READ_ONLY)


class FrozenDict(dict[str, Any]):
    """A dict that raises TypeError where it would change; ``copy.deepcopy`` makes a plain one."""

    __slots__ = ()

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce_ex__(self, _: object) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        """What ``copy`` and ``pickle`` rebuild: a plain dict."""
        return dict, (dict(self),)


class FrozenList(list[Any]):
    """A list that raises TypeError where it would change; ``copy.deepcopy`` makes a plain one."""

    __slots__ = ()

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __reduce_ex__(self, _: object) -> tuple[type[list[Any]], tuple[list[Any]]]:
        """What ``copy`` and ``pickle`` rebuild: a plain list."""
        return list, (list(self),)


_FROZEN = (FrozenDict, FrozenList)  # a union would be made at each call


def frozen(value: Any) -> Any:
    """A copy whose dicts and lists, at any depth, cannot be changed.

    They stay dicts and lists to ``isinstance``, ``json`` and msgspec. A frozen value is returned as it is.
    """
    if isinstance(value, _FROZEN):
        return value
    if isinstance(value, dict):
        return FrozenDict({name: frozen(item) if isinstance(item, _NESTING) else item for name, item in value.items()})
    if isinstance(value, list):
        return FrozenList([frozen(item) if isinstance(item, _NESTING) else item for item in value])
    return value
