"""Which route answers a request: a tree of the paths' segments, made from the operations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from crm_core.errors import MethodNotAllowed, NotFound


class Routed(Protocol):
    """A route as the router needs it; the parameters of its path are in braces."""

    @property
    def method(self) -> str: ...  # noqa: D102 -- the class says it
    @property
    def path(self) -> str: ...  # noqa: D102 -- the class says it


R = TypeVar("R", bound=Routed)
Routes = dict[str, tuple[R, list[str]]]
"""The routes of one path by method, each with the parameters of its path in order."""


class _Node(msgspec.Struct):
    """A segment. Plain segments come before a parameter, which matches any segment that is not empty."""

    plain: dict[str, _Node] = {}
    parameter: _Node | None = None
    routes: Routes[Any] = {}


class Router(Generic[R]):
    """The routes, by method and path. GET answers HEAD too.

    A path whose segments are all plain is no other path's parameter: ``DELETE /customers/batch`` is not allowed, rather
    than the deletion of a record named batch.
    """

    def __init__(self, routes: Iterable[R]) -> None:
        self._root = _Node()
        for route in routes:
            self._add(route)

    def find(self, method: str, path: str) -> tuple[R, dict[str, str]]:
        """The route of a request and its path parameters. Raises NotFound, MethodNotAllowed."""
        routes, values = self._at(path)
        found = routes.get(method)
        if found is None:
            allowed = _listed(routes)
            raise MethodNotAllowed(f"Use {allowed} here.", allow=allowed)
        route, names = found
        return route, dict(zip(names, values, strict=True))

    def methods(self, path: str) -> str:
        """The methods of a path, as ``Allow`` lists them. Raises NotFound."""
        return _listed(self._at(path)[0])

    def has(self, path: str) -> bool:
        """Whether a path has an operation."""
        try:
            return bool(self._at(path))
        except NotFound:
            return False

    def _at(self, path: str) -> tuple[Routes[R], tuple[str, ...]]:
        """The routes of a path by method, and the values of its parameters. Raises NotFound."""
        segments = path.split("/")
        node, passed = self._root, []
        for segment in segments:  # the first match is nearly always the only one
            if (plain := node.plain.get(segment)) is not None:
                node = plain
            elif node.parameter is not None and segment:
                node = node.parameter
                passed.append(segment)
            else:
                break
        else:
            if node.routes:
                return node.routes, tuple(passed)
        return self._best_at(segments)

    def _best_at(self, segments: list[str]) -> tuple[Routes[R], tuple[str, ...]]:
        """The best of several matches, or the only one that leads on. Raises NotFound."""
        reached: list[tuple[_Node, tuple[str, ...]]] = [(self._root, ())]  # the best match first
        for segment in segments:
            following = []
            for node, values in reached:
                if (plain := node.plain.get(segment)) is not None:
                    following.append((plain, values))
                if node.parameter is not None and segment:
                    following.append((node.parameter, (*values, segment)))
            reached = following
        for node, values in reached:
            if node.routes:
                return node.routes, values
        raise NotFound("There is nothing at this address.")

    def _add(self, route: R) -> None:
        node, names = self._root, list[str]()
        for segment in route.path.split("/"):
            if not segment.startswith("{"):
                node = node.plain.setdefault(segment, _Node())
                continue
            if node.parameter is None:
                node.parameter = _Node()
            node = node.parameter
            names.append(segment[1:-1])
        for method in ("GET", "HEAD") if route.method == "GET" else (route.method,):
            assert method not in node.routes, f"{method} {route.path} has two routes"
            node.routes[method] = route, names


def _listed(routes: Routes[R]) -> str:
    return ", ".join(sorted(routes))
