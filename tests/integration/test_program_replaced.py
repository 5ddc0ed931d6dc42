"""An upgrade that replaces the program's files while a server runs."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

from contract.box import BRANDING, PLAN, Box, good, problem

ROOT = Path(__file__).parents[2]


def test_a_server_whose_files_were_replaced_serves_on(tmp_path: Path) -> None:
    """Modules that it has not needed yet are loaded all the same: pushes, records, pages and commands still work."""
    program = tmp_path / "program"
    for name in ("crm_core", "plugins"):
        shutil.copytree(ROOT / name, program / name, ignore=shutil.ignore_patterns("__pycache__"))
    box = Box(tmp_path / "home", environ={"PYTHONPATH": f"{program}:{program / 'plugins'}"})
    box.program = (sys.executable, "-P", "-m", "crm_core.cli")
    box.create_tenants().start()
    try:
        page = box.client.get("/i/eu1/t/northwind/login")  # answered once the rest is loaded
        for file in program.rglob("*"):
            if file.is_file():
                file.write_text("raise RuntimeError(__file__)")

        box.applied("branding", BRANDING)
        box.applied("features", {"plan": PLAN})
        problem(box.push("branding", {"title": 1}), 422, "invalid_payload")
        problem(box.push("branding", BRANDING, timestamp=1), 401, "timestamp_out_of_window")
        records, headers = f"{box.base()}/customers", box.bearer("customers:read", "customers:write")
        assert box.client.post(records, json={"name": "Ada"}, headers=headers).status_code == 201
        assert [one["name"] for one in good(box.client.get(records, params={"q": "ada"}, headers=headers))["items"]]
        assert box.health()["status"] == "ok"
        assert len(json.loads(box.crm("log", "list", "--tenant", "northwind", "--json"))) == 4
        assert box.client.get("/i/eu1/t/northwind/login").status_code == 200
        assets = re.findall(r'(?:href|src)="(/[^"]+\.(?:css|js)[^"]*)"', page.text)
        assert assets
        for asset in assets:
            assert "RuntimeError" not in box.client.get(asset).text, asset
    finally:
        assert box.stop() == 0
