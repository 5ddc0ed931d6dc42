from __future__ import annotations

import html
from pathlib import Path

from contract.box import TENANT, Box, roster_key
from visitor import EVERYTHING, Visitor, with_users


def test_every_colleague_is_found_in_a_large_workspace(tmp_path: Path) -> None:
    """Pickers and imports know those by whose name many others come first."""
    box = Box(tmp_path, tenants={TENANT: {"keys": [roster_key()]}}).create_tenants().start()
    try:
        with_users(box).applied("features", EVERYTHING)
        with Visitor(box, "admin") as ida:
            headers = {"Origin": ida.origin, "X-CSRF-Token": ida.csrf("/account")}
            for number in range(205):
                user = {"email": f"u{number}@many.example", "name": f"Person {number:03}", "role": "agent"}
                assert ida.client.post(f"{box.base()}/users", json=user, headers=headers).status_code == 201
        with Visitor(box, "manager") as grace:
            assert "u204@many.example" in grace.get("/customers/choices?field=owner&q=person+204")
            page = html.unescape(grace.upload("/customers/import", "Name,Owner\nA,Person 204\nB,Person 000\n").text)
            assert "2 customers would be created" in page
    finally:
        assert box.stop() == 0
