"""The limits of the plan, said before one fills a form."""

from __future__ import annotations

from crm_core.language import gettext
from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.queries import counted


async def full_text(context: PageContext, record_type: RecordType) -> str:
    """Why no record of a type can be created at present; empty if one can."""
    limit = context.workspace.entitlements.limits.get(record_type.NAME)
    if limit is None or await context.services.records.count(context.tenant, record_type.NAME) < limit:
        return ""
    included = counted(context, record_type, limit)
    return gettext(
        "The plan includes {records}, and all are in use. Archive some, or ask your platform operator for more.",
        records=included,
    )
