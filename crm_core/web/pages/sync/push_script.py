"""A push as a shell script to copy. It reads the signing secret from the environment."""

from __future__ import annotations

import json
from typing import Any, Final

_SCRIPT: Final = """\
key=$CRM_KEY_HEX   # the secret of {key} in hex; this page does not know it
body={body}
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


def script(*, url: str, instance: str, tenant: str, key_version: int, body: dict[str, Any]) -> str:
    """The script of a push in the scheme crm-sync-v1."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return _SCRIPT.format(
        key=f"{tenant}:{key_version}",
        body=_quoted(text),
        instance=instance,
        tenant=tenant,
        type=body["type"],
        version=key_version,
        url=url,
    )


def _quoted(text: str) -> str:
    """The text as one word of a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"
