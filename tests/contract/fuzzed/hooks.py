"""What schemathesis cannot guess: signatures, ids that are there, and tokens that are good for one use.

Loaded by ``schemathesis run`` itself. CRM_FUZZED names a file that the test prepared.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import time
from collections import Counter
from pathlib import Path
from typing import Any

import requests
import schemathesis
from schemathesis import Case, HookContext, Response
from schemathesis.generation import GenerationMode

GIVEN: dict[str, Any] = json.loads(Path(os.environ["CRM_FUZZED"]).read_text())
SEEN = Path(os.environ["CRM_FUZZED"]).with_name("seen.txt")
KEY = bytes.fromhex(GIVEN["key"])
REMOVED = ("if-match", "if-none-match", "sync-", "webhook-", "svix-", "signature")
PUSH, REFRESH = "/sync/{payload_type}", "/auth/refresh"
TRIED: Counter[str] = Counter()  # positive cases of each operation


class Credentials(requests.auth.AuthBase):
    """Signs pushes; everything else gets the token of a super admin, or to sign out one that is not needed again."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        path = (request.url or "").partition("/api/v1/")[2].partition("?")[0]
        if path.startswith("sync/") and request.method == "POST" and "/restore" not in path:
            request.headers.update(signature(path.removeprefix("sync/"), body_of(request)))
        elif path == "auth/logout":
            request.headers["Authorization"] = f"Bearer {GIVEN['leaving'].pop()}"
        else:
            request.headers["Authorization"] = f"Bearer {GIVEN['token']}"
        return request


schemathesis.auth.set_from_requests(Credentials())


def body_of(request: requests.PreparedRequest) -> bytes:
    body = request.body or b""
    return body.encode() if isinstance(body, str) else bytes(body)


def signature(payload_type: str, body: bytes) -> dict[str, str]:
    stamp, nonce = str(int(time.time())), secrets.token_urlsafe(18)
    lines = ["crm-sync-v1", "eu1", "northwind", payload_type, "2", stamp, nonce, hashlib.sha256(body).hexdigest()]
    mac = hmac.new(KEY, "\n".join(lines).encode(), hashlib.sha256).hexdigest()
    return {
        "Sync-Key-Version": "2",
        "Sync-Timestamp": stamp,
        "Sync-Nonce": nonce,
        "Sync-Signature": f"v1={mac}",
    }


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Fit generated values to this instance, where it was meant to be good."""
    meta = case.meta
    positive = meta is None or meta.generation.mode is GenerationMode.POSITIVE
    path = case.operation.path
    if not positive:
        return
    TRIED[case.operation.label] += 1
    if TRIED[case.operation.label] % 4:  # three of four, and the first one: some operations have a single positive case
        case.path_parameters |= GIVEN["paths"].get(path, {})
    if path.endswith(PUSH) and isinstance(case.body, dict):
        case.body |= {"tenant": "northwind", "mode": "preview", "strategy": "replace"}
        case.body["version"] = GIVEN["version"] = GIVEN["version"] + 1
        case.body.pop("instance", None)
        case.path_parameters["payload_type"] = case.body["type"]
    elif path.endswith(REFRESH):
        case.body = {"refresh_token": GIVEN["refresh"].pop()}
    elif path.endswith("/auth/login"):
        case.body = GIVEN["login"]
    elif isinstance(case.body, dict):
        refer(case.body)
        if case.method == "POST" and case.body.get("external_id") is not None:
            case.body["external_id"] = secrets.token_hex(8)  # no two records have one
        for item in case.body.get("items", ()) if isinstance(case.body.get("items"), list) else ():
            if isinstance(item, dict):
                refer(item)
    for name in {"cursor", "after", "types", "wait"} & set(case.query or ()):
        del case.query[name]
    # The request is signed with its final body, or goes with a token; no generated tag is that of a record.
    for header in [name for name in case.headers or () if name.lower().startswith(REMOVED)]:
        del case.headers[header]
    if case.headers and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = secrets.token_hex(8)


def refer(record: dict[str, Any]) -> None:
    """Let references lead to records that are there."""
    for name, id_ in GIVEN["references"].items():
        if record.get(name) is not None:
            record[name] = id_


@schemathesis.hook
def after_call(context: HookContext, case: Case, response: Response) -> None:
    """Record the operations that were reached, and the codes of their refusals."""
    code = response.json()["code"] if response.status_code >= 400 and case.method != "HEAD" else ""
    with SEEN.open("a") as seen:
        seen.write(f"{response.status_code} {case.operation.label}\t{code}\n")
