"""The demo's records, written over the record API as an external system would."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

import httpx

TENANT = "northwind"


def fill(url: str, crm: Callable[..., str], records: Mapping[str, list[dict[str, Any]]]) -> None:
    """Create or update every record by its external id; ``customer`` and ``deal`` name others by theirs.

    A date is a number of days from today.
    """
    scopes = [word for name in records for word in ("--scope", f"{name}:read", "--scope", f"{name}:write")]
    token = json.loads(crm("token", "create", "--tenant", TENANT, "--name", "demo records", *scopes, "--json"))
    ids: dict[str, str] = {}
    headers = {"Authorization": f"Bearer {token['token']}"}
    with httpx.Client(base_url=f"{url}/api/v1/", headers=headers) as api:
        for name, rows in records.items():
            for row in rows:
                external_id, body = row["external_id"], _body(row, ids)
                answer = api.put(f"{name}/external/{external_id}", json=body)
                answer.raise_for_status()
                ids[external_id] = answer.json()["id"]
    crm("token", "revoke", "--tenant", TENANT, token["id"])


def _body(row: Mapping[str, Any], ids: Mapping[str, str]) -> dict[str, Any]:
    today = date.today()  # noqa: DTZ011 -- of the person who looks at it
    body = {name: str(today + timedelta(days=value)) if name.endswith("_on") else value for name, value in row.items()}
    del body["external_id"]
    for name in ("customer", "deal"):
        if name in body:
            body[f"{name}_id"] = ids[body.pop(name)]
    return body
