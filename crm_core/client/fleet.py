"""Many tenants at a time, in threads: httpx costs a third of what it does on an event loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed

import httpx

from crm_core.client.desired import ApplyOptions, DesiredTenant, TenantResult, apply_steps
from crm_core.client.exchange import Pause, Retries
from crm_core.client.transport import DEFAULT_RETRIES, TIMEOUT, drive, platform_of

_OPTIONS = ApplyOptions()
_UNREADABLE = (httpx.HTTPError, RecursionError, LookupError, TypeError)
"""Errors that an answer of something else than a receiver may lead to."""


def _quiet(*_: object) -> None:
    """Report nothing."""


def apply_tenants(
    tenants: Iterable[DesiredTenant],
    options: ApplyOptions = _OPTIONS,
    *,
    parallel: int = 8,
    transport: httpx.BaseTransport | None = None,
    retries: Retries = DEFAULT_RETRIES,
    done: Callable[[TenantResult], None] = _quiet,
    watch: Callable[[str, Pause], None] = _quiet,
) -> list[TenantResult]:
    """Bring each tenant to its desired state, ``parallel`` at a time; return the results in the order given.

    A failure is a result and stops no other tenant; applying again does what is left. ``done`` receives each result as
    it comes; ``watch`` receives each pause with its tenant, in the thread that pauses.
    """
    with (
        httpx.Client(transport=transport, timeout=TIMEOUT) as http,
        ThreadPoolExecutor(max_workers=parallel) as threads,
    ):

        def one(desired: DesiredTenant) -> TenantResult:
            tenant = desired.target.tenant
            platform = platform_of(desired.target, desired.signer, retries)
            try:
                return drive(http, apply_steps(platform, desired, options), lambda pause: watch(tenant, pause))
            except _UNREADABLE as error:  # of one tenant: the others must not suffer
                detail = f"The answer is not one of a receiver ({type(error).__name__}). Check the address."
                return TenantResult(tenant=tenant, status="failed", problem={"code": "failed", "detail": detail})

        applying = [threads.submit(one, desired) for desired in tenants]
        try:
            for each in as_completed(applying):
                done(each.result())
        except BaseException:  # an interrupt too: tenants that were not begun are left
            threads.shutdown(wait=False, cancel_futures=True)
            raise
        return [each.result() for each in applying]
