"""Stored records that their type cannot read, which another version of its plugin wrote."""

from __future__ import annotations

from crm_core.model.fields import convert
from crm_core.model.stored_values import as_stored
from crm_core.model.turns import Turn
from crm_core.plugin.storage import StorageBackend
from crm_core.records.known_members import present_members
from crm_core.records.shape import EXTERNAL_ID, Shape


async def unreadable(backend: StorageBackend, tenant: str, shape: Shape) -> list[str]:
    """How many records of a type it cannot read, and the fault of the first one, in a sentence."""
    record, turn = shape.record_type.RECORD, Turn()
    first, problem, count = "", "", 0
    for collection in (shape.collection, shape.archive):
        async for document in backend.documents(tenant, collection):
            members = present_members(shape.parse(document.body).writable, shape.known)
            members.pop(EXTERNAL_ID, None)
            if as_stored(members, record) is None:
                count += 1
                if not first:
                    finding = convert(members, record)[1][0]
                    first, problem = document.id, f"{finding.pointer}: {finding.message}"
            await turn.pause()
    if not count:
        return []
    number = "1 record" if count == 1 else f"{count} records"
    sentence = (
        f"The plugin {shape.owner} cannot read {number} of {shape.name}, such as {first}, {problem} They stay "
        "stored. Install a version of the plugin that reads it (SCHEMA_VERSION, upgrade), or change the member."
    )
    return [sentence]
