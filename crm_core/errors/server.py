"""Errors that are ours: nothing was changed and nothing was used up."""

from __future__ import annotations

from crm_core.errors.base import CrmError


class ServerError(CrmError):
    """Our side failed: nothing was changed and nothing was used up."""


class PluginFailed(ServerError, status=500, code="plugin_failed", title="A plugin failed"):
    """A plugin raised; it is named, the request changed nothing. ``cause``: for operators."""

    def __init__(self, plugin: str, hook: str, cause: str) -> None:
        detail = f"The plugin {plugin} failed in {hook}. The server's log has the cause."
        super().__init__(detail, operator_detail=cause, plugin=plugin, hook=hook)


class InternalError(ServerError, status=500, code="internal_error", title="Internal error"):
    """The server failed; the request id leads to the log entry."""


class StorageUnavailable(ServerError, status=503, code="storage_unavailable", title="Storage unavailable"):
    """The tenant's storage cannot take writes now."""

    usual_wait = 30


class StorageFull(ServerError, status=507, code="storage_full", title="Storage full"):
    """There is no space for the write."""

    usual_wait = 60


class TooManyConnections(ServerError, status=503, code="too_many_connections", title="Too many connections"):
    """Every connection that the server may have is busy."""


class InstanceUnavailable(ServerError, status=502, code="instance_unavailable", title="Instance unavailable"):
    """The manager reaches no upstream of the instance."""


class InstanceTimeout(ServerError, status=504, code="instance_timeout", title="Instance timeout"):
    """The instance did not answer the manager in time."""
