from __future__ import annotations

import asyncio
import csv
import io
import json
from typing import Any

import httpx
import pytest

from served import ALL, Instance, problem


async def made(api: httpx.AsyncClient, record_type: str = "customers", **members: Any) -> dict[str, Any]:
    answer = await api.post(record_type, json={"name": "Ada", **members})
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def test_a_record_lives_through_its_routes(live: Instance, api: httpx.AsyncClient) -> None:
    """Create, detail with its tag, update with If-Match, the stale tag refused, the list that shows it."""
    answer = await api.post("customers", json={"name": "Ada Lovelace", "email": "ada@example.com"})
    assert answer.status_code == 201
    where = live.url + answer.headers["location"]
    detail = await api.get(where)
    assert (detail.content, detail.headers["etag"]) == (answer.content, answer.headers["etag"])
    assert detail.headers["cache-control"] == "private, no-cache"
    assert (await api.get(where, headers={"If-None-Match": detail.headers["etag"]})).status_code == 304
    tag = {"If-Match": detail.headers["etag"]}
    for kind in ("application/json", "application/merge-patch+json"):
        patch = {"content": json.dumps({"phone": f"+49 30 {len(kind)}"}), "headers": {**tag, "Content-Type": kind}}
        changed = await api.patch(where, **patch)
        assert changed.status_code == 200, changed.text
        tag = {"If-Match": changed.headers["etag"]}
    problem(
        await api.patch(where, json={"name": "B"}, headers={"If-Match": detail.headers["etag"]}),
        412,
        "revision_mismatch",
    )
    assert (await api.get("customers", params={"q": "lovelace"})).json()["items"] == [changed.json()]


async def test_an_email_with_an_internationalised_domain(api: httpx.AsyncClient) -> None:
    """It is stored as written and found by every form of its domain; a domain that is none is refused."""
    written = "post@k\u00f6ln-reisen.example"
    record = await made(api, email=written)
    assert record["email"] == written
    for form in (written, "post@K\u00d6LN-Reisen.example", "post@xn--kln-reisen-ecb.example"):
        found = await api.get("customers", params={"email": form})
        assert [each["id"] for each in found.json()["items"]] == [record["id"]], form
    direct = await made(api, email="post@xn--kln-sna.example")
    found = await api.get("customers", params={"email": "post@k\u00f6ln.example"})
    assert [each["email"] for each in found.json()["items"]] == [direct["email"]]
    for bad in (
        "post@k\u00f6ln\u2028.example",
        "post@\u2764.example",
        "p\u00f6st@example.com",
        "post@\uff45xample.com",
    ):
        refusal = problem(await api.post("customers", json={"name": "Ada", "email": bad}), 422, "invalid_record")
        assert [error["pointer"] for error in refusal["errors"]] == ["/email"], bad


async def test_a_write_from_a_list_needs_no_second_request(api: httpx.AsyncClient) -> None:
    """Its revision in quotes is a tag, also on the second of two lines; `If-None-Match: *` protects what exists."""
    where = f"customers/{(await made(api, external_id='x-1'))['id']}"
    item = (await api.get("customers")).json()["items"][0]
    lines = [("If-Match", '"9"'), ("If-Match", f'"{item["revision"]}"'), ("Idempotency-Key", "k")]
    changed = await api.patch(where, json={"name": "B"}, headers=lines)
    assert (changed.status_code, changed.json()["revision"]) == (200, 2)
    again = await api.patch(where, json={"name": "B"}, headers=lines)
    assert (again.content, again.headers["idempotent-replayed"]) == (changed.content, "true")
    fresh = {"If-None-Match": "*"}
    problem(await api.put("customers/external/x-1", json={"name": "C"}, headers=fresh), 412, "record_exists")
    problem(await api.patch(where, json={"name": "C"}, headers=fresh), 412, "record_exists")
    batch = {"items": [{"id": item["id"], "if_revision": 1, "name": "D"}, {"name": "E"}]}
    problem(await api.post("customers/batch?atomic=true", json=batch), 412, "revision_mismatch")
    assert (await api.get("customers", params={"total": "true"})).json()["total"] == 1
    assert (await api.get(where)).content == changed.content


async def test_a_missing_id_and_another_tenants_are_one(live: Instance, api: httpx.AsyncClient) -> None:
    """The bodies differ in nothing but the request id."""
    async with live.client(await live.token(tenant="contoso"), "contoso") as other:
        foreign = await made(other)
    bodies = []
    for id_ in (foreign["id"], "01900000-0000-7000-8000-000000000000", "x", "%00", "a%20b"):
        for answer in (await api.get(f"customers/{id_}"), await api.patch(f"customers/{id_}", json={"name": "B"})):
            if answer.status_code != 400:
                refusal = problem(answer, 404, "not_found")
                bodies.append({name: value for name, value in refusal.items() if name != "request_id"})
    assert all(body == bodies[0] for body in bodies)
    assert len(bodies) >= 8


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b'{"name": "A", "name": "B"}', "application/json", 400, "malformed_json"),
        (b'{"name": NaN}', "application/json", 400, "malformed_json"),
        (b'{"name": "a\\u0000b"}', "application/json", 400, "malformed_json"),
        (b'{"name": "\\ud800"}', "application/json", 400, "malformed_json"),
        (b"{" * 40, "application/json", 400, "malformed_json"),
        (b"", "application/json", 400, "malformed_json"),
        (b'{"name": "A"}', "text/plain", 415, "unsupported_media_type"),
        (b'{"name": "' + b"a" * 300_000 + b'"}', "application/json", 413, "payload_too_large"),
        (b'{"name": "a\\nb"}', "application/json", 422, "invalid_record"),
        (b'{"name": "A", "notes": "' + b"a" * 10_001 + b'"}', "application/json", 422, "invalid_record"),
        (b'{"name": "A", "custom": {"n": 9007199254740993}}', "application/json", 422, "invalid_record"),
    ],
)
async def test_bad_input_is_refused_cleanly(
    api: httpx.AsyncClient, body: bytes, kind: str, status: int, code: str
) -> None:
    """A body that is ambiguous, too large or of a wrong form gets its own refusal."""
    problem(await api.post("customers", content=body, headers={"Content-Type": kind}), status, code)
    assert (await api.get("customers", params={"total": "true"})).json()["total"] == 0


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("colour=red", "unknown_parameter"),
        ("limit=0", "invalid_parameter"),
        ("limit=201", "invalid_parameter"),
        ("limit=ten", "invalid_parameter"),
        ("sort=notes", "invalid_parameter"),
        ("sort=", "invalid_parameter"),
        ("sort=--name", "invalid_parameter"),
        ("status=gone", "invalid_parameter"),
        ("updated_since=yesterday", "invalid_parameter"),
        ("updated_since=2026-11-24T02:00:00", "invalid_parameter"),
        ("total=1", "invalid_parameter"),
        ("sort=name&sort=name", "invalid_parameter"),
        ("name.gt=", "invalid_parameter"),
        ("archived=1", "invalid_parameter"),
        ("status.gt=gone", "invalid_parameter"),
        ("email.gt=a", "unknown_parameter"),
        ("&".join(["tags=a"] * 21), "invalid_parameter"),
        ("q=" + "a" * 201, "invalid_parameter"),
        ("cursor=nonsense", "invalid_cursor"),
    ],
)
async def test_bad_parameters_are_refused(api: httpx.AsyncClient, query: str, code: str) -> None:
    """Unknown names, values out of range and forged cursors are refused."""
    problem(await api.get(f"customers?{query}"), 400, code)


async def test_a_cursor_is_good_for_its_own_list_only(live: Instance, api: httpx.AsyncClient) -> None:
    """Another tenant, type, filter or sort refuses it, and so does one changed character; the link leads on."""
    for number in range(3):
        customer = await made(api, name=f"n{number}")
    await made(api, "deals", customer_id=customer["id"])
    first = await api.get("customers", params={"limit": 1, "sort": "name", "status": "lead"})
    cursor = first.json()["next_cursor"]
    following = await api.get(live.url + first.links["next"]["url"])
    assert [item["name"] for item in following.json()["items"]] == ["n1"]
    searched = (await api.get("customers?q=n%3E&limit=1")).links["next"]["url"]
    second = await api.get(live.url + searched)
    third = await api.get(live.url + second.links["next"]["url"])
    assert [page.json()["items"][0]["name"] for page in (second, third)] == ["n1", "n2"]
    right = {"limit": "2", "sort": "name", "status": "lead", "cursor": cursor}
    assert len((await api.get("customers", params=right)).json()["items"]) == 2
    wrong = [
        ("customers", {**right, "sort": "-name"}),
        ("customers", {**right, "status": "active"}),
        ("customers", {**right, "q": "n"}),
        ("deals", {"sort": "name", "cursor": cursor}),
        ("customers", {**right, "cursor": ("A" if cursor[0] != "A" else "B") + cursor[1:]}),
    ]
    for path, parameters in wrong:
        problem(await api.get(path, params=parameters), 400, "invalid_cursor")
    async with live.client(await live.token(tenant="contoso"), "contoso") as other:
        problem(await other.get("customers", params=right), 400, "invalid_cursor")


async def test_ten_clients_count_to_eighty(live: Instance, api: httpx.AsyncClient) -> None:
    """Ten clients bump one counter through If-Match 8 times each, and no bump is lost."""
    where = f"customers/{(await made(api, custom={'n': 0}))['id']}"

    async def bump(times: int) -> None:
        async with live.client(token) as client:
            while times:
                seen = await client.get(where)
                patch = {"custom": {"n": seen.json()["custom"]["n"] + 1}}
                answer = await client.patch(where, json=patch, headers={"If-Match": seen.headers["etag"]})
                assert answer.status_code in (200, 412)
                times -= answer.status_code == 200

    token = await live.token()
    await asyncio.gather(*(bump(8) for _ in range(10)))
    record = (await api.get(where)).json()
    assert (record["custom"]["n"], record["revision"]) == (80, 81)


async def test_twenty_creates_with_one_key_make_one_record(api: httpx.AsyncClient) -> None:
    """All get the first answer; another body with the key is a conflict; another path is another matter."""
    key = {"Idempotency-Key": "order-77"}
    answers = await asyncio.gather(*(api.post("customers", json={"name": "Ada"}, headers=key) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert len({(answer.headers["etag"], answer.headers["location"]) for answer in answers}) == 1
    assert sum(answer.headers.get("idempotent-replayed") == "true" for answer in answers) == 19
    assert (await api.get("customers", params={"total": "true"})).json()["total"] == 1
    problem(await api.post("customers", json={"name": "Bob"}, headers=key), 409, "idempotency_conflict")
    assert (await api.post("tasks", json={"name": "Ada"}, headers=key)).status_code == 201


async def test_a_replay_stays_the_first_answer(api: httpx.AsyncClient) -> None:
    """The record has changed since; the repeat still hears what the first request heard."""
    key = {"Idempotency-Key": "k"}
    first = await api.post("customers", json={"name": "Ada"}, headers=key)
    await api.patch(f"customers/{first.json()['id']}", json={"name": "B"})
    assert (await api.post("customers", json={"name": "Ada"}, headers=key)).content == first.content
    refused = await api.post("customers", json={"name": ""}, headers={"Idempotency-Key": "bad"})
    again = await api.post("customers", json={"name": ""}, headers={"Idempotency-Key": "bad"})
    assert problem(refused, 422, "invalid_record")["errors"] == problem(again, 422, "invalid_record")["errors"]
    assert again.headers["idempotent-replayed"] == "true"
    stale, record = {"Idempotency-Key": "stale", "If-Match": '"9"'}, f"customers/{first.json()['id']}"
    refused, again = [await api.patch(record, json={"name": "C"}, headers=stale) for _ in range(2)]
    assert problem(refused, 412, "revision_mismatch")["current"] == problem(again, 412, "revision_mismatch")["current"]
    assert [each.headers.get("idempotent-replayed") for each in (refused, again)] == [None, "true"]
    for unusable in ("", "a b", "x" * 256):
        problem(
            await api.post("customers", json={"name": "A"}, headers={"Idempotency-Key": unusable}),
            400,
            "invalid_parameter",
        )


async def test_a_key_is_its_callers_own(live: Instance, api: httpx.AsyncClient) -> None:
    """Another token's request with the same key is another request."""
    key = {"Idempotency-Key": "k"}
    async with live.client(await live.token()) as other:
        ids = {(await one.post("customers", json={"name": "Ada"}, headers=key)).json()["id"] for one in (api, other)}
    assert len(ids) == 2


async def test_concurrent_creates_stop_at_the_limit(live: Instance, api: httpx.AsyncClient) -> None:
    """40 concurrent creates against a limit with 5 left: 5; updates and reads go on."""
    await live.push("features", {"plan": ALL, "limits": {"customers": 6}})
    first = await made(api)
    answers = await asyncio.gather(*(api.post("customers", json={"name": f"n{n}"}) for n in range(40)))
    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [403] * 35
    problem(next(answer for answer in answers if answer.status_code == 403), 403, "limit_reached")
    assert (await api.patch(f"customers/{first['id']}", json={"name": "B"})).status_code == 200
    problem(await api.post("customers", json={"name": ""}), 422, "invalid_record")


async def test_a_batch_gives_each_item_its_result(api: httpx.AsyncClient) -> None:
    """Created, changed, refused, in order; and all or none if it is atomic."""
    await made(api, external_id="x-1")
    items: list[Any] = [{"name": "New", "external_id": "x-2"}, {"name": "B", "external_id": "x-1"}, {"name": ""}, 5]
    results = (await api.post("customers/batch", json={"items": items})).json()["results"]
    assert [result["status"] for result in results] == [201, 200, 422, 422]
    assert results[1]["revision"] == 2
    assert results[2]["problem"]["errors"][0]["pointer"] == "/items/2/name"
    assert results[2]["problem"]["code"] == "invalid_record"
    refused = await api.post(
        "customers/batch?atomic=true", json={"items": [{"name": "C", "external_id": "x-3"}, *items[2:]]}
    )
    refusal = problem(refused, 422, "invalid_record")
    assert [error["pointer"] for error in refusal["errors"]] == ["/items/1/name", "/items/2"]
    assert (await api.get("customers", params={"external_id": "x-3"})).json()["items"] == []
    taken = await api.post("customers/batch?atomic=true", json={"items": items[:1]})
    assert [result["status"] for result in taken.json()["results"]] == [200]


async def test_an_export_is_the_whole_selection(live: Instance, api: httpx.AsyncClient) -> None:
    """More than a page, filtered and sorted; a cell that a spreadsheet would run is neutralised."""
    items = [{"name": f"=n{number:03}", "status": "active" if number % 2 else "lead"} for number in range(450)]
    assert (await api.post("customers/batch", json={"items": items})).status_code == 200
    query = {"status": "active", "sort": "-name"}
    expected = sorted((item["name"] for item in items if item["status"] == "active"), reverse=True)
    lines = await api.get("customers", params=query, headers={"Accept": "application/x-ndjson"})
    assert [json.loads(line)["name"] for line in lines.text.splitlines()] == expected
    sheet = await api.get("customers", params=query, headers={"Accept": "text/csv"})
    assert sheet.headers["content-type"] == "text/csv; charset=utf-8"
    assert [row["name"] for row in csv.DictReader(io.StringIO(sheet.text))] == [f"'{name}" for name in expected]
    limited = await api.get("customers", params={**query, "limit": "5"}, headers={"Accept": "text/csv;charset=utf-8"})
    assert limited.content == sheet.content
    for refused in ({"limit": "0"}, {"cursor": "x"}, {"total": "true"}):
        problem(await api.get("customers", params=refused, headers={"Accept": "text/csv"}), 400, "invalid_parameter")
    problem(await api.get("customers", headers={"Accept": "image/png"}), 406, "not_acceptable")
    await live.push("features", {"plan": ALL, "overrides": {"customers.export": False}})
    problem(await api.get("customers", headers={"Accept": "text/csv"}), 403, "feature_unavailable")
    assert (await api.get("customers")).status_code == 200


async def test_a_record_is_archived_and_restored(api: httpx.AsyncClient) -> None:
    """DELETE is 204, also a second time; until it is restored, changes are 409 and new references 422."""
    record = await made(api, external_id="x-1")
    where = f"customers/{record['id']}"
    problem(await api.delete(where, headers={"If-Match": '"2"'}), 412, "revision_mismatch")
    for _ in range(2):
        answer = await api.delete(where)
        assert (answer.status_code, answer.content) == (204, b"")
    shown = (await api.get(where)).json()
    assert shown["archived_at"] is not None
    assert (await api.get("customers", params={"archived": "true"})).json()["items"] == [shown]
    refusal = problem(await api.put("customers/external/x-1", json={"name": "B"}), 409, "record_archived")
    assert refusal["id"] == record["id"]
    problem(await api.patch(where, json={"name": "B"}), 409, "record_archived")
    problem(await api.post("customers", json={"name": "", "external_id": "x-1"}), 409, "record_archived")
    problem(await api.post("deals", json={"name": "D", "customer_id": record["id"]}), 422, "invalid_record")
    restored = await api.post(f"{where}/restore")
    assert (restored.status_code, restored.json()["revision"]) == (200, 3)
    assert restored.headers["etag"] == (await api.get(where)).headers["etag"]
    assert (await api.get("customers")).json()["items"] == [restored.json()]


async def test_a_filter_is_sent_several_times(live: Instance, api: httpx.AsyncClient) -> None:
    """Any of its values will do, on every page of the list."""
    for status in ("lead", "active", "inactive"):
        await made(api, name=status, status=status)
    page = await api.get("customers?status=lead&status=inactive&limit=1&total=true")
    assert page.json()["total"] == 2
    second = await api.get(live.url + page.links["next"]["url"])
    assert [each["name"] for each in (*page.json()["items"], *second.json()["items"])] == ["lead", "inactive"]
    assert second.json()["next_cursor"] is None
