"""Register the ``activities`` record type."""

from __future__ import annotations

from crm_activities.record_type import Activities
from crm_core.plugin import hookimpl
from crm_core.plugin.record_type import RecordType


@hookimpl
def crm_register_record_types() -> list[RecordType]:
    """Offer records of ``activities``."""
    return [Activities()]
