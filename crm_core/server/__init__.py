"""The HTTP server: uvicorn behind a small adapter."""

from __future__ import annotations

from crm_core.lean_imports import without

with without("configparser", "logging.config", "uvicorn.main"):  # its command, and how that sets up logging
    import uvicorn.server  # noqa: F401
