"""Refusals of a tenant. Callers see a plain sentence; a reason that names files of the server only operators see."""

from __future__ import annotations

from crm_core.errors import StorageUnavailable


def files_unreadable(why: str, retry_after: int | None = None) -> StorageUnavailable:
    """The refusal of a tenant whose files cannot be read. ``why``: a sentence for operators."""
    detail = "The tenant's files cannot be read now. Its operator runs crm doctor to see why."
    return StorageUnavailable(detail, retry_after=retry_after, operator_detail=why)


def just_closed() -> StorageUnavailable:
    """The refusal of a tenant whose folder another object may use now."""
    return StorageUnavailable("The tenant has just been closed. Try again in a moment.", retry_after=1)
