"""The form that shows the request for a payload type, a mode and data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from crm_core.errors import CrmError
from crm_core.language import gettext, gettext_noop, localized
from crm_core.model.strict_json import loads
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.sync.push_script import script

_MODES: Final = {
    "preview": gettext_noop("Mode preview: the response lists the changes, and nothing is written."),
    "apply": gettext_noop("Mode apply: the push changes the workspace immediately, for all users."),
}


class PushTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """The form and the request that it describes. ``error``: why its data is invalid, or empty."""

    types: tuple[str, ...]
    type: str
    mode: str
    data: str
    version: int
    key: str
    hint: str
    error: str
    curl: str


def template_of(context: PageContext, health: Mapping[str, Any], form: Mapping[str, str]) -> PushTemplate:
    """The request that the form describes, or an error if its data is not a JSON object."""
    types = context.services.registry.payload_types
    offered = [name for name, one in types.items() if one.EXAMPLE] or list(types)
    kind = form["type"] if form.get("type") in types else offered[0]
    mode = form.get("mode", "") if form.get("mode") in _MODES else "preview"
    text = form.get("data") or json.dumps(types[kind].EXAMPLE, indent=2)
    data, error = _read(text)
    key = health["expected_key"] or f"{context.tenant}:1"
    version = _version(health, (kind,) if types[kind].SECTION is not None else data)
    body = {"tenant": context.tenant, "type": kind, "version": version, "mode": mode, "strategy": "merge", "data": data}
    curl = script(
        url=context.address(f"/api/v1/sync/{kind}"),
        instance=context.services.settings.instance,
        tenant=context.tenant,
        key_version=int(key.rpartition(":")[2]),
        body=body,
    )
    return PushTemplate(
        types=tuple(types),
        type=kind,
        mode=mode,
        data=text,
        version=version,
        key=key,
        hint=gettext(_MODES[mode]),
        error=error,
        curl="" if error else curl,
    )


def _read(text: str) -> tuple[Any, str]:
    try:
        found = loads(text.encode())
    except CrmError as error:
        return {}, localized(error.detail)
    return (found, "") if isinstance(found, dict) else ({}, gettext("Enter a JSON object, from { to }."))


def _version(health: Mapping[str, Any], names: Iterable[str]) -> int:
    """The lowest version that all sections of the push accept."""
    return max((health["sections"][name]["min_version"] for name in names if name in health["sections"]), default=1)
