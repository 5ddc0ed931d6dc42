"""Shared by commands that send requests: connections, retries, exit codes, and texts of refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

import click
import httpx

from crm_core.cli.output import finding_line
from crm_core.cli.target import SigningTarget
from crm_core.client import Client, Pause, Retries, Unanswered
from crm_core.model.sources import within
from crm_core.settings.instance import LOOPBACK

WOULD_CHANGE: Final = 3
NO_ANSWER: Final = 4
RETRIES: Final = Retries(attempts=4, first_pause=0.5, longest_pause=60.0)

_EXPLAIN: Final = "crm sign --curl prints the same request; crm explain shows what is wrong with it"
_KEYS: Final = "crm keys list at the receiver shows its keys; give this machine an active one"
_NEXT: Final = {
    "signature_invalid": "compare the fingerprint of this key version with the receiver's: crm keys list on both sides."
    " If they differ, copy the receiver's key\n  if they are equal, something in between changes the request: "
    + _EXPLAIN,
    "timestamp_out_of_window": "compare this machine's clock with server_time, and set the one that is wrong",
    "key_unknown": _KEYS,
    "key_inactive": _KEYS,
    "scheme_not_accepted": "sign with another --scheme, or add this one to schemes in the receiver's keys.yaml",
    "type_not_allowed": "push with another key, or add the section to the key's types in the receiver's keys.yaml",
    "source_not_allowed": "crm log list at the receiver shows the address that it saw; add it to the key's sources",
    "unknown_tenant": "create it with crm tenant create, or correct its name",
    "misdirected_instance": "correct the instance in --url, or in instance.yaml",
    "receiver_disabled": "set sync: enabled in the receiver's keys.yaml and instance.yaml",
    "invalid_envelope": "if it is the version, the highest possible one was pushed before: crm keys revoke at the"
    " receiver if its key leaked, else crm tenant reset-version",
    "stale_version": "another push came first; run the command again, without --version",
    "module_blocked": "take it out of the file; sync_policy in the receiver's modules.yaml blocks it",
    "unanswered": "check that the server runs and that this machine reaches it, then run the command again"
    "\n  if it answered with an error, run crm doctor there first",
    "stored_secret": "name it in the file, or add --drop-secrets",
}


def client(by: SigningTarget) -> Client:
    """A client for the target; pauses between attempts are shown."""
    return Client(by.target, by.signer, transport=transport(by), retries=RETRIES, watch=show_pause)


def transport(by: SigningTarget) -> httpx.BaseTransport | None:
    """A transport for its socket, or without the environment's proxies for this machine; None: httpx's own."""
    if by.unix is not None:
        return httpx.HTTPTransport(uds=str(by.unix))
    host = by.target.authority.rpartition("]")[0].removeprefix("[") or by.target.authority.partition(":")[0]
    return httpx.HTTPTransport() if host == "localhost" or within(host, LOOPBACK) else None


def show_pause(pause: Pause, tenant: str = "") -> None:
    """Say on standard error that a request is sent again, and why."""
    click.echo(f"{tenant and f'{tenant}: '}{pause.why.removesuffix('.')}; retrying in {pause.seconds:g} s", err=True)


def problem_lines(problem: Mapping[str, object]) -> Iterator[str]:
    """Why a request was refused, where, and what to do next; the first line is the reason."""
    detail = str(problem.get("detail") or problem.get("title") or "")
    yield f"{problem['status']} {problem.get('code', '')}: {detail}" if "status" in problem else detail
    errors = problem.get("errors")
    for error in errors if isinstance(errors, list) else ():
        if isinstance(error, dict):
            yield f"  {finding_line(error)}"
    for name in ("skew", "server_time", "current", "original"):
        if name in problem:
            yield f"  {name}: {json.dumps(problem[name], ensure_ascii=False)}"
    if problem.get("request_id") is not None:
        yield f"  request id: {problem['request_id']}"
    code = str(problem.get("code", ""))
    following = _NEXT.get(code) or (_EXPLAIN if code.startswith("signature_") else None)
    if following is not None:
        yield f"  {following}"


def unanswered_lines(error: Unanswered) -> Iterator[str]:
    """Why there was no answer, and what to do next."""
    return problem_lines({"code": "unanswered", "detail": str(error)})
