"""Register the ``tasks`` record type."""

from __future__ import annotations

from crm_core.plugin import hookimpl
from crm_core.plugin.record_type import RecordType
from crm_tasks.record_type import Tasks


@hookimpl
def crm_register_record_types() -> list[RecordType]:
    """Offer records of ``tasks``."""
    return [Tasks()]
