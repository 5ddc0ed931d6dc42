"""The box that shows what a platform would send: from a type, a mode and data to a request to sign and send."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from crm_core.errors import CrmError
from crm_core.model.strict_json import loads
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.sync.push_script import Template, script

_MODES: Final = {
    "preview": "Mode is preview: the answer lists what would change, and nothing is written.",
    "apply": "Mode is apply: the push changes the workspace at once, for everybody.",
}
_FIRST: Final[Mapping[str, Any]] = {"branding": {"title": "Nordwind Reisen", "colors": {"primary": "#0b5fff"}}}


def template_of(context: PageContext, health: Mapping[str, Any], wanted: Mapping[str, str]) -> Template:
    """The request that the form describes; with an error where its data is no JSON."""
    types = tuple(context.services.registry.payload_types)
    kind = wanted.get("type", "") if wanted.get("type") in types else "branding" if "branding" in types else types[0]
    mode = wanted.get("mode", "") if wanted.get("mode") in _MODES else "preview"
    text = wanted.get("data") or json.dumps(_FIRST.get(kind, {}), indent=2)
    data, error = _read(text)
    key = health["expected_key"] or f"{context.tenant}:1"
    version = _version(health, kind, data)
    body = {"tenant": context.tenant, "type": kind, "version": version, "mode": mode, "strategy": "merge", "data": data}
    shown = script(
        url=context.address(f"/api/v1/sync/{kind}"),
        instance=context.services.settings.instance,
        tenant=context.tenant,
        key_version=int(key.rpartition(":")[2]),
        body=body,
    )
    return Template(
        types=types,
        type=kind,
        mode=mode,
        data=text,
        version=version,
        key=key,
        hint=_MODES[mode],
        error=error,
        curl="" if error else shown,
    )


def _read(text: str) -> tuple[Any, str]:
    try:
        found = loads(text.encode())
    except CrmError as error:
        return {}, error.detail
    return (found, "") if isinstance(found, dict) else ({}, "Data is a JSON object: it begins with { and ends with }.")


def _version(health: Mapping[str, Any], kind: str, data: Any) -> int:
    """The least version that would be taken: above the floors of all sections that the push holds."""
    names = data if kind == "combined" else (kind,)
    return max((health["sections"][name]["min_version"] for name in names if name in health["sections"]), default=1)
