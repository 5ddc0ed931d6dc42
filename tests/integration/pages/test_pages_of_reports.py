from __future__ import annotations

from contract.box import Box
from visitor import EVERYTHING, Visitor


def test_a_person_is_counted_once_however_the_address_is_written(box: Box, grace: Visitor) -> None:
    """Imports and other systems write capitals; a text that is no colleague's stays as it was first written."""
    plan = {**EVERYTHING["plan"], "features": [*EVERYTHING["plan"]["features"], "reports.*"]}
    token, path = box.bearer("tasks:write", "activities:write", "customers:write"), box.base()
    customer = box.client.post(f"{path}/customers", json={"name": "Counted"}, headers=token).json()["id"]
    for owner in ("Agent@engines.example", "agent@ENGINES.example", "Team North", "team north"):
        task = {"name": "Counted", "due_on": "2020-01-02", "assignee": owner}
        note = {"text": "Counted", "kind": "call", "customer_id": customer, "owner": owner}
        for kind, record in (("tasks", task), ("activities", note)):
            assert box.client.post(f"{path}/{kind}", json=record, headers=token).status_code == 201
    try:
        box.applied("features", {**EVERYTHING, "plan": plan})
        for report in ("activity", "tasks-overdue"):
            people = [line.split(",")[0] for line in grace.get(f"/reports/export.csv?report={report}").splitlines()]
            assert [people.count(name) for name in ("Alan Turing", "Team North", "team north")] == [1, 1, 0]
    finally:
        box.applied("features", EVERYTHING)
