"""The options of the backend in instance.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm_core.errors import SetupError


def options_of(options: Mapping[str, Any]) -> tuple[str, int]:
    """The DSN and the size of the pool. Raises SetupError with every problem."""
    problems = [
        f"storage: unknown option {name}; postgresql has dsn and pool" for name in options if name not in _KNOWN
    ]
    dsn, pool = options.get("dsn"), options.get("pool", 10)
    if dsn == "":
        problems.append("storage: the dsn is empty; write the database's URL where it refers to")
    elif not isinstance(dsn, str):
        problems.append("storage: postgresql needs a dsn; add one such as dsn: env:DATABASE_URL")
    if not isinstance(pool, int) or isinstance(pool, bool) or not 2 <= pool <= 200:
        problems.append("storage: pool must be a whole number from 2 to 200; change it")
    if problems:
        raise SetupError(problems)
    return str(dsn), int(pool)


_KNOWN = ("dsn", "pool")
