"""Addresses that are nearly those of the API: the one that was meant."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from crm_core.web.operations import BASE

SLIP: Final = re.compile(r"/i/[^/]*/t/[^/]*/v1(?:/|$)|(?!/i/[^/]*/t/)/(?:[^/]+/){0,3}(?:api|v1)(?:/|$)")
"""Paths that forgot a part of the API's: ``api``, ``i``, the instance, ``t`` or the tenant."""

_PARTS: Final = re.compile(
    r"(?:/i(?:/(?P<instance>(?!t/)[^/]+))?)?(?:(?:/(?P<code>[^/]+))?/t)?(?:/(?P<tenant>(?!api/|v1/)[^/]+))?"
    r"(?:/api)?(?:/v[0-9]+)?(?P<rest>/.*)?"
)


def nothing_here(path: str, instance: str, exists: Callable[[str], bool]) -> str:
    """What to say about a path without an operation. ``exists``: whether a path has one."""
    found = _PARTS.fullmatch(path)
    if found is not None:
        code = found["instance"] or found["code"] or instance
        base = BASE.format(instance=code, tenant=found["tenant"] or "{tenant}")
        rest = found["rest"] or ""
        for meant in (base + rest, base + rest.rstrip("/")):
            if exists(meant):
                return f"There is nothing at this address. Did you mean {meant}?"
    addresses = f"/i/{instance}/docs lists the API's addresses, which begin with {BASE}/."
    return f"There is nothing at this address. {addresses}"
