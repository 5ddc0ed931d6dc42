"""A tenant with many customers, written as a file of the store: as cheap as the file is long."""

from __future__ import annotations

import re
from pathlib import Path
from zlib import crc32

from crm_core.services import Services
from crm_tinydb.checksum import ending
from served import caller

_NUMBER, _DRAWN = 7654321, 1234567  # in the first customer: its number, and one that sorts otherwise
_PRIME = 2_654_435_761


async def first_customer(services: Services, tenant: str) -> None:
    """Store the customer that all others are copies of, in the folded file."""
    data = {
        "external_id": f"ext-{_NUMBER}", "name": f"Customer {_DRAWN}", "email": f"c{_NUMBER}@example.com",
        "phone": "+49 30 1234567".replace("1234567", str(_NUMBER)), "company": f"Company {_DRAWN}",
        "status": "active", "tags": ["vip", "club"], "notes": "n" * 120,
        "address": {"line1": "Street 1", "city": "Berlin", "postal_code": "10115", "country": "DE"},
    }  # fmt: skip
    access = services.records.access(tenant, caller("customers:read", "customers:write"), "customers")
    await services.records.writes.create(access, data, None)
    await services.backend.fold(tenant)


def multiply(folder: Path, count: int) -> None:
    """Write the only customer of a closed tenant's folded file so many times; each has its own id, name and numbers."""
    path = max(folder.glob("store-*.json"))
    text = path.read_bytes()
    head, line, tail = re.fullmatch(
        rb'(.*"records:customers":\{\n)"1":(\{[^\n]*\})(\n.*),\n"_check".*', text, re.DOTALL
    ).groups()
    id_ = re.match(rb'\{"id":"([^"]+)"', line)[1]
    pieces = re.split(rb"(%b|%d|%d)" % (re.escape(id_), _NUMBER, _DRAWN), line)
    stem = id_[:-12].decode()
    names = {id_: 0, str(_NUMBER).encode(): 1, str(_DRAWN).encode(): 2}
    form = "".join(
        f"{{{names[piece]}}}" if piece in names else piece.decode().replace("{", "{{").replace("}", "}}")
        for piece in pieces
    )
    rows = ",\n".join(
        f'"{at}":' + form.format(f"{stem}{at:012x}", f"{at:07d}", f"{(at * _PRIME >> 8) % 9_999_991:07d}")
        for at in range(1, count + 1)
    )
    body = head + rows.encode() + tail
    path.write_bytes(body + ending(len(body), crc32(body)))
