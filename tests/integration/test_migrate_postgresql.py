from __future__ import annotations

from pathlib import Path
from typing import Any

from contract.box import BRANDING, TENANT, Box
from postgresql_server import Server


def test_from_files_to_postgresql_and_back(tmp_path: Path, postgresql: Server) -> None:
    """Into an empty database, and back over the marked files: log head, records, tokens and nonces are the same."""
    options: dict[str, Any] = {"tinydb": {}, "postgresql": {"dsn": postgresql.fresh(), "pool": 3}}

    def settings(backend: str) -> dict[str, Any]:
        return {"storage": {"backend": backend, **options[backend], "others": options}}

    box = Box(tmp_path / "instance", settings=settings("tinydb")).create_tenants().start()
    box.applied("branding", BRANDING)
    writer = box.bearer("customers:read", "customers:write")
    customer = {"name": "Ada", "tags": ["vip"], "email": "ada@example.com"}
    made = box.client.post(f"{box.base()}/customers", json=customer, headers=writer).json()
    head = box.health()["log_head"]
    raw = box.body("features", {})
    headers = box.sign("features", raw)
    assert box.client.post(f"{box.base()}/sync/features", content=raw, headers=headers).status_code == 200
    head = box.health()["log_head"]
    box.stop()
    said = box.crm("migrate", "--to", "postgresql")
    assert "Copied from tinydb to postgresql" in said
    assert "and move dsn, pool from storage.others next to it." in said
    box.write_settings(settings("postgresql"))
    box.start()
    try:
        assert "1 process serves postgresql: stop all first" in box.crm("migrate", "--to", "tinydb", code=1)
        again = box.client.post(f"{box.base()}/sync/features", content=raw, headers=headers)
        assert again.json()["code"] == "replayed_nonce"
        found = box.client.get(f"{box.base()}/customers?q=ad&tags=vip", headers=writer).json()
        assert [item["id"] for item in found["items"]] == [made["id"]]
        assert box.health()["log_head"] == head
    finally:
        box.stop()
    box.crm("tenant", "backup", TENANT, str(tmp_path / "of-postgresql"))
    assert "Copied from postgresql to tinydb" in box.crm("migrate", "--to", "tinydb")
    box.write_settings(settings("tinydb"))
    assert "is intact" in box.crm("log", "verify", "--tenant", TENANT, "--head", f"{head['seq']}:{head['hash']}")
    said = box.crm("tenant", "restore", "other", str(tmp_path / "of-postgresql"), code=1)
    assert "not a backup of this storage backend: restore it with the backend that wrote it" in said
    assert "set storage.backend to tinydb" not in box.crm("user", "list", "--tenant", TENANT)
