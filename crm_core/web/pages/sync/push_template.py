"""The form that shows the request for a payload type, a mode and data: as a shell script that signs and sends it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from crm_core.errors import CrmError
from crm_core.language import gettext, gettext_noop, localized
from crm_core.model.strict_json import loads
from crm_core.web.pages.page_context import PageContext

_MODES: Final = {
    "preview": gettext_noop("Mode preview: the response lists the changes, and nothing is written."),
    "apply": gettext_noop("Mode apply: the push changes the workspace immediately, for all users."),
}


_SCRIPT: Final = """\
key=$CRM_KEY_HEX   # the secret of {key} in hex; this page does not know it
body='{body}'
timestamp=$(date +%s)
nonce=$(openssl rand -hex 16)
digest=$(printf %s "$body" | openssl dgst -sha256 -r | cut -d' ' -f1)
text='crm-sync-v1\\n{instance}\\n{tenant}\\n{type}\\n{version}\\n%s\\n%s\\n%s'
signature=$(printf "$text" "$timestamp" "$nonce" "$digest" |
  openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -r | cut -d' ' -f1)
curl -X POST {url} \\
  -H 'Content-Type: application/json' \\
  -H 'Sync-Key-Version: {version}' \\
  -H "Sync-Timestamp: $timestamp" \\
  -H "Sync-Nonce: $nonce" \\
  -H "Sync-Signature: v1=$signature" \\
  --data-binary "$body"
"""
"""It reads the signing secret from the environment."""


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


def script(*, url: str, instance: str, tenant: str, key_version: int, body: dict[str, Any]) -> str:
    """The script of a push in the scheme crm-sync-v1."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    word = text.replace("'", "'\\''")  # between apostrophes, a POSIX shell takes all but an apostrophe as it is
    return _SCRIPT.format(
        key=f"{tenant}:{key_version}",
        body=word,
        instance=instance,
        tenant=tenant,
        type=body["type"],
        version=key_version,
        url=url,
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
