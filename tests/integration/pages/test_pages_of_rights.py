from __future__ import annotations

import re

from contract.box import Box
from visitor import EVERYTHING, Visitor


def test_the_grid_changes_the_boxes_that_it_has(box: Box, grace: Visitor, ida: Visitor) -> None:
    """Rights of a module that is off stay removed, and others stay, until they are checked; then nothing is removed."""
    without = {"plan": EVERYTHING["plan"]}
    reports = {"plan": {**without["plan"], "features": [*without["plan"]["features"], "reports.*"]}}
    found = re.search(r'href="[^"]*(/users/[0-9a-f-]{36})"[^>]*>(?:(?!</a>).)*Grace Hopper', ida.get("/users"))
    assert found is not None
    path = found[1]

    def set_all_but(*removed: str) -> None:
        page = ida.get(path)
        boxes = re.findall(r'<input[^>]*name="key"[^>]*>', page)
        keys = [re.findall(r'value="([^"]+)"', box)[0] for box in boxes if "disabled" not in box]
        checked = [("key", key) for key in keys if key not in removed]
        revision = re.findall(r'name="revision" value="([^"]+)"', page)[0]
        ida.post(path, f"{path}/assignment", several=checked, revision=revision)

    try:
        box.applied("features", reports)
        set_all_but("reports.view", "customers.delete")
        box.applied("features", without)
        set_all_but()
        box.applied("features", reports)
        grace.get("/reports", 403)
        set_all_but("customers.delete")
        grace.get("/reports")
        box.applied("features", without)
        set_all_but("customers.export")
        box.applied("features", reports)
        grace.get("/reports")
        set_all_but()
        assert "Grant all features of the role" not in ida.get(path)
    finally:
        box.applied("features", EVERYTHING)
        set_all_but()
