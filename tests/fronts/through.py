"""Runs the contract's tests through a front: ``pytest -p fronts.through --front manager tests/contract``."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from contract.box import Box
from fronts.processes import manager, nginx
from plain_http import PLAIN

FRONTS = {"manager": manager, "nginx": nginx}
LIMITS = {nginx: httpx.Limits(max_keepalive_connections=0)}
"""nginx closes a connection after a refusal that came before the body, though it has answered with keep-alive."""
FRAMEWORK = "framework"
"""No front: the API's requests take the road through Quart."""
NOT_THROUGH_A_FRONT = {
    "test_liveness_readiness_and_documents_are_for_anyone": "documents are asked at the instance",
    "test_the_type_of_a_problem_leads_to_its_code": "a front refuses some of these requests itself",
    "test_the_documents_are_also_below_the_instance": "documents are asked at the instance",
    "test_metrics_and_plugins_are_for_operators": "operator pages are never forwarded",
    "test_past_the_limit_attempts_are_told_to_wait_and_good_pushes_pass": "a front judges the instance code itself",
    "test_the_source_is_the_rightmost_address_that_is_no_trusted_proxy": "a front says who the client is",
    "test_each_source_has_a_count_of_its_own": "a front says who the client is",
    "test_every_route_and_parameter_of_the_api_is_in_the_docs": "documents are asked at the instance",
    "test_it_takes_part_in_combined_health_history_and_openapi": "documents are asked at the instance",
    "test_a_damaged_tenant_takes_no_writes_and_the_others_go_on": "readiness is asked at the instance",
    "test_nothing_is_answered_as_written_to_a_file_that_somebody_removed": "readiness is asked at the instance",
    "test_sigterm_finishes_what_is_in_flight": "a front keeps its clients' connections when an instance stops",
}
NOT_THROUGH_NGINX = {
    "test_every_answer_has_our_own_request_id": "ids of nginx's own answers have another form",
    "test_a_body_announced_too_large_is_refused_unread": "nginx decides itself when it closes",
    "test_a_path_that_two_readers_see_differently_is_refused_before_routing": "some nginx refuses in its own words",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--front", choices=sorted({*FRONTS, FRAMEWORK}), required=True, help="what each request goes through"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Put the front before each instance that the tests start, and let them talk to it alone."""
    if config.getoption("--front") == FRAMEWORK:
        Box.program = (sys.executable, "-m", "fronts.framework")
        return
    front = FRONTS[config.getoption("--front")]
    start, stop = Box.start, Box.stop

    def start_behind(box: Any) -> Box:
        start(box)
        running = box.front = ExitStack()
        upstream = str(box.client.base_url).rstrip("/")
        home = box.folder / "front-home"
        home.mkdir(exist_ok=True)
        url = running.enter_context(front(home, {"eu1": [upstream]})).url
        box.client.close()
        box.client = httpx.Client(base_url=url, timeout=30, limits=LIMITS.get(front, httpx.Limits()), verify=PLAIN)
        return box  # type: ignore[no-any-return]

    def stop_behind(box: Any, *arguments: Any) -> int:
        if (running := box.__dict__.pop("front", None)) is not None:
            running.close()
        return stop(box, *arguments)

    Box.start, Box.stop = start_behind, stop_behind  # type: ignore[method-assign,assignment]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is another's by nature."""
    if config.getoption("--front") == FRAMEWORK:
        return
    left_out = {**NOT_THROUGH_A_FRONT, **(NOT_THROUGH_NGINX if config.getoption("--front") == "nginx" else {})}
    for item in items:
        reason = left_out.get(item.name.partition("[")[0])
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))
