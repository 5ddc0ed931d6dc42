"""A multi-tenant CRM whose workspaces are configured from outside by signed payloads."""

from __future__ import annotations

__version__ = "0.2.0"
