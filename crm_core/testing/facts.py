"""The facts that hooks and payload types get, as of an instance whose admin has edited nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from crm_core.model.catalog import Catalog
from crm_core.plugin.payload import PayloadContext
from crm_core.settings import load_catalog, load_roles

_NOWHERE: Final = Path("modules.yaml") / "absent"
_LIMITS: Final = frozenset({"customers", "deals", "tasks", "users"})


def built_in_catalog() -> Catalog:
    """The built-in catalog of modules."""
    return load_catalog(_NOWHERE, record_types=())


def payload_context(options: Any = None) -> PayloadContext:
    """A context with the built-in catalog and roles, and no section pushed yet."""
    catalog = built_in_catalog()
    roles = load_roles(_NOWHERE, catalog=catalog)
    return PayloadContext(catalog=catalog, roles=frozenset(roles), options=options, limits=_LIMITS)
