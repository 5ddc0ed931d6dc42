from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from crm_core.access import feeds as feeds_module
from served import ALL, Instance, problem


async def waits(live: Instance) -> None:
    """Return once a request waits for a change."""
    async with asyncio.timeout(10):
        while live.services.feeds.open_streams != 1:  # noqa: ASYNC110 -- the server sends no signal
            await asyncio.sleep(0.01)


async def following(client: httpx.AsyncClient, **parameters: Any) -> dict[str, Any]:
    """A page of the feed."""
    answer = await client.get("changes", params=parameters)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_the_feed_over_the_api(live: Instance, api: httpx.AsyncClient) -> None:
    """Each item says what happened to which record, by whom and for which request; the history has the same."""
    start = (await following(api))["next"]
    made = await api.post("customers", json={"name": "Ada", "external_id": "x-1"})
    id_ = made.json()["id"]
    changed = await api.patch(f"customers/{id_}", json={"name": "Grace"})
    page = await following(api, after=start, types="customers,deals", include="record")
    assert [(item["change"], item["id"], item["external_id"]) for item in page["items"]] == [
        ("created", id_, "x-1"),
        ("updated", id_, "x-1"),
    ]
    item = page["items"][1]
    assert item["changes"] == [{"pointer": "/name", "from": "Ada", "to": "Grace"}]
    assert (item["request_id"], item["at"]) == (changed.headers["x-request-id"], changed.json()["updated_at"])
    assert item["actor"] == made.json()["created_by"]
    assert item["record"] == changed.json()
    assert page["types"] == ["customers", "deals"]
    history = (await api.get(f"customers/{id_}/history", params={"limit": 1})).json()
    assert history["items"] == [{name: value for name, value in item.items() if name != "record"}]
    assert history["next_cursor"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("after=x", "invalid_cursor"),
        ("after=", "invalid_cursor"),
        ("types=", "invalid_parameter"),
        ("types=customers,people", "invalid_parameter"),
        ("limit=501", "invalid_parameter"),
        ("limit=0", "invalid_parameter"),
        ("wait=31", "invalid_parameter"),
        ("wait=-1", "invalid_parameter"),
        ("include=records", "invalid_parameter"),
        ("since=1", "unknown_parameter"),
    ],
)
async def test_parameters_that_cannot_be_used(api: httpx.AsyncClient, query: str, code: str) -> None:
    """Each is refused with 400."""
    problem(await api.get(f"changes?{query}"), 400, code)


async def test_expired_cursors(live: Instance, api: httpx.AsyncClient) -> None:
    """A cursor of another tenant, or ahead of the feed, is 410 with how to start over."""
    here = (await following(api))["next"]
    async with live.client(await live.token(tenant="contoso"), "contoso") as other:
        there = (await following(other))["next"]
    epoch, _, place = here.partition("-")
    for cursor in (there, f"{epoch}-{int(place) + 1}"):
        refusal = problem(await api.get("changes", params={"after": cursor}), 410, "cursor_expired")
        assert "Start over" in refusal["detail"]


async def test_a_request_waits_for_the_first_change(live: Instance, api: httpx.AsyncClient) -> None:
    """It is answered by a change of its types, not by others; without one, when its time is over."""
    start = (await following(api))["next"]
    waiting = asyncio.create_task(following(api, after=start, types="customers", wait=20))
    await waits(live)
    await api.post("tasks", json={"name": "Call"})
    await asyncio.sleep(0.4)
    assert not waiting.done()
    made = (await api.post("customers", json={"name": "Ada"})).json()
    page = await asyncio.wait_for(waiting, 10)
    assert [item["id"] for item in page["items"]] == [made["id"]]
    page = await following(api, after=page["next"], wait=1)
    assert (page["items"], page["more"]) == ([], False)
    waiting = asyncio.create_task(following(api, wait=20))
    await waits(live)
    await api.post("tasks", json={"name": "Write"})
    assert [item["type"] for item in (await asyncio.wait_for(waiting, 10))["items"]] == ["tasks"]


async def test_rights_that_end_while_a_request_waits(live: Instance) -> None:
    """A waiting request is refused when its token is revoked or its module leaves the plan."""
    token = await live.token("customers:read")
    async with live.client(token) as client:
        waiting = asyncio.create_task(client.get("changes?types=customers&wait=20", timeout=25))
        await waits(live)
        await live.push("features", {"plan": {"code": "p", "name": "P", "features": ["tasks.*"]}})
        problem(await asyncio.wait_for(waiting, 10), 403, "module_unavailable")
        await live.push("features", {"plan": ALL})
        waiting = asyncio.create_task(client.get("changes?types=customers&wait=20", timeout=25))
        await waits(live)
        stored = await live.services.tokens.caller("northwind", token)
        await live.services.tokens.revoke("northwind", stored.id, by=None)
        problem(await asyncio.wait_for(waiting, 10), 401, "unauthenticated")


async def test_a_waiting_request_counts_as_a_stream(
    live: Instance, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more than the caller may have is 429; it is answered without waiting if there is something."""
    monkeypatch.setattr(feeds_module, "MAX_STREAMS_OF_CALLER", 1)
    start = (await following(api))["next"]
    waiting = asyncio.create_task(following(api, after=start, wait=20))
    await waits(live)
    refusal = problem(await api.get("changes", params={"after": start, "wait": 5}), 429, "too_many_streams")
    assert "waiting" in refusal["detail"]
    await api.post("customers", json={"name": "Ada"})
    await asyncio.wait_for(waiting, 10)
    assert (await following(api, after=start, wait=5))["items"]
    assert live.services.feeds.open_streams == 0


async def test_a_stop_answers_waiting_requests(live: Instance, api: httpx.AsyncClient) -> None:
    """When the server drains, a waiting request is answered with the page as it is."""
    waiting = asyncio.create_task(following(api, wait=20))
    await waits(live)
    live.services.stop.set()
    assert (await asyncio.wait_for(waiting, 10))["items"] == []


async def test_events_and_feed_share_their_cursors(live: Instance, api: httpx.AsyncClient) -> None:
    """The id of an event is the cursor of its change, so a client may go from one to the other."""
    start = (await following(api))["next"]
    await api.post("customers", json={"name": "Ada"})
    await api.post("customers", json={"name": "Grace"})
    items = (await following(api, after=start))["items"]
    async with api.stream("GET", "events", headers={"Last-Event-ID": items[0]["cursor"]}) as answer:
        ids = [line[4:] async for line in _until(answer, 'data: {"type"') if line.startswith("id: ")]
    assert ids[-1] == items[1]["cursor"]


async def _until(answer: httpx.Response, start: str) -> Any:
    async for line in answer.aiter_lines():
        yield line
        if line.startswith(start):
            return
