from __future__ import annotations

import pytest

from crm_core.errors import MethodNotAllowed, NotFound
from crm_core.web.answers import Answer
from crm_core.web.operations import Operation, Route
from crm_core.web.request import Request
from crm_core.web.routing import Router


async def handler(_request: Request) -> Answer:
    return Answer(200, [])


def route(method: str, path: str) -> Route:
    operation = Operation(method=method, path=path, name=f"{method} {path}", summary="", tag="", replies={})  # type: ignore[arg-type]
    return Route(operation, handler)


ROUTER = Router(
    route(*words.split())
    for words in ("GET /a", "POST /a", "POST /a/batch", "GET /a/{id}", "PATCH /a/{id}", "GET /{name}/log/{id}")
)


@pytest.mark.parametrize(
    ("method", "path", "name", "parameters"),
    [
        ("GET", "/a", "GET /a", {}),
        ("HEAD", "/a", "GET /a", {}),
        ("POST", "/a/batch", "POST /a/batch", {}),
        ("GET", "/a/é ü", "GET /a/{id}", {"id": "é ü"}),
        ("GET", "/a/log/7", "GET /{name}/log/{id}", {"name": "a", "id": "7"}),
    ],
)
def test_a_plain_segment_comes_before_a_parameter(
    method: str, path: str, name: str, parameters: dict[str, str]
) -> None:
    """HEAD is answered like GET."""
    found, values = ROUTER.find(method, path)
    assert (found.operation.name, values) == (name, parameters)


@pytest.mark.parametrize("path", ["", "/", "a", "/a/", "/a/b/c", "/b", "/a/log/", "/A"])
def test_other_paths_lead_nowhere(path: str) -> None:
    """A parameter is never empty, and a slash at the end makes another path."""
    with pytest.raises(NotFound):
        ROUTER.find("GET", path)


def test_another_method_is_refused_with_those_that_there_are() -> None:
    """Of the path itself: one with a parameter in its place is another, as no record has such an id."""
    for path, allow in (("/a/batch", "POST"), ("/a/b", "GET, HEAD, PATCH"), ("/a", "GET, HEAD, POST")):
        with pytest.raises(MethodNotAllowed) as refused:
            ROUTER.find("DELETE", path)
        assert refused.value.evidence["allow"] == ROUTER.methods(path) == allow


def test_two_routes_for_one_operation_are_a_mistake() -> None:
    """Also where the parameter has another name."""
    with pytest.raises(AssertionError, match="two routes"):
        Router([route("GET", "/a/{id}"), route("GET", "/a/{name}")])
