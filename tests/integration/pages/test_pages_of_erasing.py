from __future__ import annotations

import re

from visitor import Visitor


def test_erase_lists_what_goes_and_requires_the_name(ida: Visitor, grace: Visitor) -> None:
    """The page counts what refers to the record, refuses a wrong name and a cascade not chosen, then erases both."""
    path = ida.customer(name="Mary Somerville", email="mary@stars.example")
    customer = path.rpartition("/")[2]
    ida.post("/tasks/new", "/tasks/new", name="Write to Mary", customer_id=customer)
    assert "/erase" not in ida.get(path)
    archived = ida.post(path, f"{path}/archive", revision="1")
    assert "Mary Somerville archived" in archived
    assert f'href="{ida.root}{path}/erase">Erase for good' in ida.get(path)
    assert "/erase" not in grace.get(path)
    page = ida.get(f"{path}/erase")
    assert f'href="{ida.root}/tasks?view=list&amp;customer_id={customer}">1 task</a>' in page
    assert "Erase these too: 1 task" in page
    named = {"form:name": "mary SOMERVILLE", "revision": "2"}
    wrong = ida.post(f"{path}/erase", f"{path}/erase", 422, **{**named, "form:name": "Mary"})
    assert "Enter the name of the customer as it is written above." in wrong
    assert 'value="Mary"' in wrong
    refused = ida.post(f"{path}/erase", f"{path}/erase", 409, **named)
    assert "1 task refers to this customer. Erase them too, or change them first." in refused
    ida.post(f"{path}/erase", f"{path}/erase", 412, **{**named, "revision": "1"}, **{"form:cascade": "true"})
    done = ida.post(f"{path}/erase", f"{path}/erase", **named, **{"form:cascade": "true"})
    assert "Customer erased" in done
    assert "Somerville" not in done
    ida.get(path, 404)
    ida.get(f"{path}/erase", 404)
    assert "Write to Mary" not in ida.get("/tasks")


def test_erase_requires_its_right_and_its_own_form(ida: Visitor, grace: Visitor) -> None:
    """A manager is refused the page and its address, and a form without the page's token erases nothing."""
    path = ida.customer(name="Guarded Customer")
    grace.get(f"{path}/erase", 403)
    named = {"form:name": "Guarded Customer", "revision": "1"}
    grace.post("/customers", f"{path}/erase", 403, **named)
    forged = ida.client.post(ida.root + f"{path}/erase", data=named, headers={"Origin": ida.origin})
    assert forged.status_code == 403
    assert re.search(r"<code>csrf_failed</code>", forged.text)
    assert "Guarded Customer" in ida.get(path)
