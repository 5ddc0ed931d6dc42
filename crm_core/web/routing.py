"""Which route answers a request: a tree of the paths' segments, made from the operations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from crm_core.errors import MethodNotAllowed, NotFound
from crm_core.web.operations import Route


@dataclass(slots=True)
class _Node:
    """A segment. Plain segments come before a parameter, which matches any segment that is not empty."""

    plain: dict[str, _Node] = field(default_factory=dict)
    parameter: _Node | None = None
    routes: dict[str, Route] = field(default_factory=dict)  # by method


class Router:
    """The routes, by method and path. GET answers HEAD too."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            self._add(route)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route of a request and its path parameters. Raises NotFound, MethodNotAllowed."""
        reached: list[tuple[_Node, tuple[str, ...]]] = [(self._root, ())]  # the best match first
        for segment in path.split("/"):
            following = []
            for node, values in reached:
                if (plain := node.plain.get(segment)) is not None:
                    following.append((plain, values))
                if node.parameter is not None and segment:
                    following.append((node.parameter, (*values, segment)))
            reached = following
        for node, values in reached:
            if (route := node.routes.get(method)) is not None:
                return route, dict(zip(route.path_names, values, strict=True))
        allowed = ", ".join(sorted({known for node, _ in reached for known in node.routes}))
        if not allowed:
            raise NotFound("There is nothing at this address.")
        raise MethodNotAllowed(f"Use {allowed} here.", allow=allowed)

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in route.operation.path.split("/"):
            if not segment.startswith("{"):
                node = node.plain.setdefault(segment, _Node())
                continue
            if node.parameter is None:
                node.parameter = _Node()
            node = node.parameter
        for method in ("GET", "HEAD") if route.operation.method == "GET" else (route.operation.method,):
            assert method not in node.routes, f"{method} {route.operation.path} has two routes"
            node.routes[method] = route
