from __future__ import annotations

import json
import re

from contract.box import TENANT, Box
from visitor import EVERYTHING, Visitor

ENOUGH = 105


def id_of(path: str) -> str:
    return path.rpartition("/")[2]


def undo_of(page: str) -> dict[str, str]:
    """The form that the confirmation of a page offers."""
    form = re.findall(r'<form method="post" action="([^"]+)" data-swap-post>(.*?)</form>', page, re.DOTALL)[0]
    fields = dict(re.findall(r'name="(value|back)" value="([^"]*)"', form[1]))
    return {"action": form[0], **fields}


def test_a_bulk_act_asks_changes_and_is_undone(grace: Visitor) -> None:
    """Two customers get a status; Undo sets both back, and refuses one that someone changed since."""
    first, second = grace.customer(name="Bulk One"), grace.customer(name="Bulk Two", status="active")
    chosen = [("record", id_of(first)), ("record", id_of(second))]
    asked = grace.post("/customers", "/customers/bulk", act="status", several=chosen)
    assert "Change status of 2 customers" in asked
    refused = grace.post("/customers", "/customers/bulk/set", 422, act="status", several=chosen)
    assert "Choose a value for status." in refused
    changed = grace.post("/customers", "/customers/bulk/set", act="status", status="inactive", several=chosen)
    assert "2 customers changed" in changed
    undo = undo_of(changed)
    grace.post(f"{second}/edit", f"{second}/edit", revision="2", name="Bulk Two B", status="inactive")
    back = grace.post("/customers", undo["action"].removeprefix(grace.root), value=undo["value"])
    assert "1 customer set back, 1 refused." in back
    assert "Someone else changed it in the meantime." in back
    assert "Lead" in grace.get(first)
    assert "Inactive" in grace.get(second)


def test_tags_are_added_and_removed(grace: Visitor) -> None:
    """Each record keeps its other tags; a tag that is there already is not added twice."""
    first = grace.customer(name="Tagged One", tags="vip, north")
    second = grace.customer(name="Tagged Two", tags="south")
    chosen = [("record", id_of(first)), ("record", id_of(second))]
    fields = {"act": "tags", "form:with": "VIP, club", "form:without": "North"}
    assert "2 customers changed" in grace.post("/customers", "/customers/bulk/set", several=chosen, **fields)
    assert re.findall(r'<span class="tag">([^<]+)</span>', grace.get(first))[:2] == ["vip", "club"]
    assert re.findall(r'<span class="tag">([^<]+)</span>', grace.get(second))[:3] == ["south", "VIP", "club"]


def test_an_owner_is_found_by_name_without_script(grace: Visitor) -> None:
    """The typed name is a question with its matches; what is chosen becomes the owner of all."""
    path = grace.customer(name="Without Owner")
    chosen = [("record", id_of(path))]
    typed = {"act": "owner", "owner": "", "owner:text": "turing"}
    page = grace.post("/customers", "/customers/bulk/set", 422, several=chosen, **typed)
    assert 'name="form:choose:owner" value="agent@engines.example"' in page
    assert f'name="record" value="{id_of(path)}"' in page
    typed["form:choose:owner"] = "agent@engines.example"
    again = grace.post("/customers", "/customers/bulk/set", several=chosen, **typed)
    assert 'value="agent@engines.example"' in again
    typed = {"act": "owner", "owner": "agent@engines.example", "owner:text": "Alan Turing"}
    assert "1 customer changed" in grace.post("/customers", "/customers/bulk/set", several=chosen, **typed)


def test_a_whole_selection_is_archived_with_progress_and_comes_back(box: Box, grace: Visitor) -> None:
    """All that match a search are archived only after a confirmation, a script sees each part, and all come back."""
    items = [{"name": f"Crowd {number:03}"} for number in range(ENOUGH)]
    token = box.bearer("customers:write", "customers:read")
    answer = box.client.post(f"/i/eu1/t/{TENANT}/api/v1/customers/batch", json={"items": items}, headers=token)
    assert {one["status"] for one in answer.json()["results"]} == {201}
    fields = {"all": "true", "query": "q=crowd"}
    page = grace.post("/customers?q=crowd", "/customers/bulk/archive", **fields)
    assert f"Archive {ENOUGH} customers?" in page
    assert "data-steps" in page
    assert f"{ENOUGH} customers match" in grace.get("/customers?q=crowd")
    sent = {**fields, "form:sure": "true", "csrf": grace.csrf("/customers")}
    headers = {"Origin": grace.origin, "Accept": "application/x-ndjson"}
    streamed = grace.client.post(f"{grace.root}/customers/bulk/archive", data=sent, headers=headers)
    lines = [json.loads(line)["html"] for line in streamed.text.splitlines()]
    assert "Archiving: 100 of 105" in lines[0]
    assert f"{ENOUGH} customers archived" in lines[-1]
    undone = re.findall(r'name="record" value="([^"]+)"', lines[-1])
    assert len(undone) == ENOUGH
    assert f"{ENOUGH} customers restored" in grace.post(
        "/customers", "/customers/bulk/restore", several=[("record", one) for one in undone]
    )


def test_bulk_acts_follow_rights(box: Box, grace: Visitor, alan: Visitor) -> None:
    """Without the right to archive there is no such act and its address is refused; without any there is no bar."""
    path = grace.customer(name="Guarded")
    try:
        box.applied("features", {**EVERYTHING, "roles": {"agent": {"deny": ["customers.delete"]}}})
        listed = alan.get("/customers")
        assert 'value="status">Status' in listed
        assert "bulk/archive" not in listed
        alan.post("/customers", "/customers/bulk/archive", 403, several=[("record", id_of(path))])
        box.applied("features", {**EVERYTHING, "roles": {"agent": {"deny": ["customers.delete", "customers.update"]}}})
        assert 'class="bulk"' not in alan.get("/customers")
        assert 'name="record"' not in alan.get("/customers")
        assert 'class="bulk"' in grace.get("/customers")
    finally:
        box.applied("features", EVERYTHING)


def test_a_view_is_saved_shown_and_removed(grace: Visitor, alan: Visitor) -> None:
    """A view is a tab with its count for its user alone, with filters, order and columns; an invalid one is refused."""
    grace.customer(name="Viewed", status="inactive", tags="viewed")
    query = "tags=viewed&sort=name&columns=email,tags"
    page = grace.post("/customers", "/customers/views", name="Seen ones", query=query)
    assert "View Seen ones saved" in page
    tab = re.findall(r'<a href="([^"]+)" aria-current="page" dir="auto">Seen ones <span class="num">1<', page)
    shown = grace.get(tab[0].replace("&amp;", "&").removeprefix(grace.root))
    assert re.findall(r'<th scope="col"[^>]*>(?:<a[^>]*>)?([A-Z][a-z]+)', shown) == ["Name", "Email", "Tags"]
    assert "Seen ones" not in alan.get("/customers")
    assert "View Seen ones replaced" in grace.post("/customers", "/customers/views", name=" Seen  ones", query=query)
    refused = grace.post("/customers", "/customers/views", 422, name=" ", query=query)
    assert "Enter a name of up to 60 characters." in refused
    grace.post("/customers", "/customers/views", 400, name="Bad", query="sort=-")
    assert "Bad" not in grace.get("/customers")
    gone = grace.post("/customers", "/customers/views/remove", name="Seen ones", query=query)
    assert "View Seen ones removed" in gone
    assert "Seen ones" not in grace.get("/customers")


def test_columns_are_chosen_and_moved_without_script(grace: Visitor) -> None:
    """The order of the boxes is that of the columns, one is moved by its button, and Reset brings the usual ones."""

    def heads() -> list[str]:
        return re.findall(r'<th scope="col"[^>]*>(?:<a[^>]*>)?([A-Z][a-z]+)', grace.get("/customers"))

    usual = heads()
    chosen = [("column", "tags"), ("column", "phone"), ("column", "nonsense")]
    grace.post("/customers", "/customers/columns", several=chosen)
    assert heads() == ["Name", "Tags", "Phone"]
    grace.post("/customers", "/customers/columns", several=chosen, **{"form:up": "phone"})
    assert heads() == ["Name", "Phone", "Tags"]
    grace.post("/customers", "/customers/columns", **{"form:reset": "true"})
    assert heads() == usual


def test_an_overdue_task_says_so_until_it_is_done(grace: Visitor) -> None:
    """The list begins with it and marks its day, its customer's page says how late; a finished task leaves both."""
    path = grace.customer(name="Waiting since")
    fields = {"name": "Write them", "due_on": "2026-01-02", "customer_id": id_of(path), "assignee": grace.email}
    to_do = re.compile(r'<span class="count due"( hidden)?>(\d)<')
    assert to_do.findall(grace.get("/")) == [(" hidden", "0")]
    task = re.findall(r'data-id="([0-9a-f-]{36})"', grace.post("/tasks/new", "/tasks/new", **fields))[0]
    marked = re.compile(r'<span class="badge bad">.{,200}2 Jan', re.DOTALL)
    grace.post("/tasks/new", "/tasks/new", name="Write later", due_on="2099-01-02")
    assert marked.search(grace.get("/tasks?q=write+them"))
    assert re.search(r"\d+ days late", grace.get(path))
    assert to_do.findall(grace.get("/")) == [("", "1")]
    assert re.findall(r">(Write (?:them|later))</a>", grace.get("/tasks")) == ["Write them", "Write later"]
    grace.post(path, f"/tasks/{task}/set?member=done&revision=1", value="true", back=grace.root + path)
    assert not marked.search(grace.get("/tasks?q=write+them"))
    assert "days late" not in grace.get(path)
    assert "Write them" not in grace.get("/tasks")
    assert "Write them" in grace.get("/tasks?view=list")
    assert "No tasks match" in grace.get("/tasks?done=false&due_on=2026-01-02")


def test_a_task_is_ticked_off_in_the_list_and_on_the_record(grace: Visitor) -> None:
    """The button of a row, and on its customer's page, sets it done and offers the next; a second click undoes it."""
    path = grace.customer(name="With a task")
    made = grace.post("/tasks/new", "/tasks/new", name="Call them", customer_id=id_of(path))
    task = re.findall(r'data-id="([0-9a-f-]{36})"', made)[0]
    row = rf'formaction="{grace.root}/tasks/{task}/set\?member=done&amp;revision=(\d)" name="value" value="(\w*)"'
    for page in ("/tasks", path, f"/tasks/{task}"):
        assert re.findall(row, grace.get(page)) == [("1", "true")]
    done = grace.post(path, f"/tasks/{task}/set?member=done&revision=1", value="true", back=grace.root + path)
    assert "Call them: done" in done
    following = re.findall(r'href="([^"]+)"[^>]*>.{,200}Follow up</a>', done)[0].replace("&amp;", "&")
    form = grace.get(following.removeprefix(grace.root))
    assert f'name="customer_id" value="{id_of(path)}"' in form
    assert f'name="form:back" value="{grace.root}{path}"' in form
    assert re.findall(row, done) == [("2", "")]
    grace.post(path, f"/tasks/{task}/set?member=done&revision=1", 412, value="true")
    assert "Call them: not done" in grace.post("/tasks", f"/tasks/{task}/set?member=done&revision=2", value="")
